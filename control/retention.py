"""The schedule by which what is old is deleted, and the operator's say in it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from control.connection import ControlError, ending, unreachable
from domain.retention.plan import Retention, Swept
from workflows.retention.workflow import RetentionWorkflow

logger = logging.getLogger(__name__)

SCHEDULE = "rampart-retention"
EVERY = timedelta(days=1)
AT = timedelta(hours=3)  # UTC
JITTER = timedelta(hours=1)  # of all namespaces of a cluster, not all at once
CATCH_UP = timedelta(days=1)  # of days on which Temporal was away, one is enough


class NoSchedule(ControlError):
    """Nobody has made the schedule: no worker has started yet, or Temporal did not permit it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionDescription:
    """What is known of the schedule.

    Attributes:
        paused: By somebody in Temporal.
        next_at: None while it is paused.
        last_at: When the latest sweep began; `last` is what it deleted, None while it runs.
        failure: Why the latest sweep failed, when it did.
    """

    plan: Retention
    paused: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    last: Swept | None = None
    failure: str = ""


class RetentionControl:
    """The verbs. There is one schedule in a namespace."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def ensure(self) -> bool:
        """Make the schedule unless there is one, which stays as it is; return whether there is.

        Where that is not permitted, or not known (Temporal's server that skips time), it says so
        in the log: nothing is deleted there.
        """
        try:
            await self._made(_schedule(self._task_queue, Retention()))
        except RPCError as error:
            logger.warning("%s; go on without a schedule: nothing old is deleted", error.message)
            return False
        return True

    async def change(self, plan: Retention) -> None:
        """Have it swept by another plan from the next time on; make the schedule if need be.

        Raises:
            Unreachable: Temporal does not answer, or does not permit it.
        """
        wanted = _schedule(self._task_queue, plan)

        def changed(given: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule = given.description.schedule
            schedule.action = wanted.action
            return ScheduleUpdate(schedule=schedule)

        try:
            if not await self._made(wanted):
                await self._handle().update(changed)
        except RPCError as error:
            raise unreachable(error) from error

    async def sweep(self) -> None:
        """Start a sweep now, unless one is running.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        try:
            await self._handle().trigger()
        except RPCError as error:
            raise _told(error) from error

    async def describe(self) -> RetentionDescription:
        """Return what is known of it.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        try:
            return await self._described(await self._handle().describe())
        except RPCError as error:
            raise _told(error) from error

    def _handle(self) -> ScheduleHandle:
        return self._client.get_schedule_handle(SCHEDULE)

    async def _made(self, schedule: Schedule) -> bool:
        """Make the schedule; return whether there was none."""
        try:
            await self._client.create_schedule(SCHEDULE, schedule)
        except ScheduleAlreadyRunningError:
            return False
        return True

    async def _described(self, found: ScheduleDescription) -> RetentionDescription:
        recent, paused = found.info.recent_actions, found.schedule.state.paused
        swept, failure = await self._latest(found)
        return RetentionDescription(
            plan=await self._plan_of(found),
            paused=paused,
            next_at=None if paused else next(iter(found.info.next_action_times), None),
            last_at=recent[-1].started_at if recent else None,
            last=swept,
            failure=failure,
        )

    async def _latest(self, found: ScheduleDescription) -> tuple[Swept | None, str]:
        """Return what the latest sweep deleted, or why it failed; neither while it runs."""
        recent = found.info.recent_actions
        if not recent or found.info.running_actions:
            return None, ""
        action = recent[-1].action
        if not isinstance(action, ScheduleActionExecutionStartWorkflow):
            return None, ""
        run = action.first_execution_run_id
        return await ending(
            self._client.get_workflow_handle(action.workflow_id, run_id=run, result_type=Swept)
        )

    async def _plan_of(self, found: ScheduleDescription) -> Retention:
        action = found.schedule.action
        if not isinstance(action, ScheduleActionStartWorkflow):
            return Retention()
        given = await self._client.data_converter.decode(action.args)
        return Retention.parse(given[0] if given else None)


def _schedule(task_queue: str, plan: Retention) -> Schedule:
    """Return the schedule; a plan of the defaults is not written down: those of tomorrow count."""
    return Schedule(
        action=ScheduleActionStartWorkflow(
            RetentionWorkflow.run,
            args=[] if plan == Retention() else [plan.model_dump(mode="json")],
            id="retention",
            task_queue=task_queue,
            static_summary=str(plan),
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY, offset=AT)], jitter=JITTER),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )


def _told(error: RPCError) -> ControlError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return NoSchedule(f"no schedule {SCHEDULE} is known: a worker makes it when it starts")
    return unreachable(error)
