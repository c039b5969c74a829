"""The schedule by which what is old is deleted, and the operator's say in it."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError

from control.schedules import Scheduled
from domain.retention.plan import Retention, Swept
from workflows.retention.workflow import RetentionWorkflow

logger = logging.getLogger(__name__)

SCHEDULE = "rampart-retention"
EVERY = timedelta(days=1)
AT = timedelta(hours=3)  # UTC
JITTER = timedelta(hours=1)  # of all namespaces of a cluster, not all at once
CATCH_UP = timedelta(days=1)  # of days on which Temporal was away, one is enough


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
        self._scheduled = Scheduled(client, SCHEDULE, result_type=Swept)

    async def ensure(self) -> bool:
        """Make the schedule unless there is one, which stays as it is; return whether there is.

        Where that is not permitted, or not known (Temporal's server that skips time), it says so
        in the log: nothing is deleted there.
        """
        try:
            await self._scheduled.make(_schedule(self._task_queue, Retention()))
        except RPCError as error:
            logger.warning("%s; go on without a schedule: nothing old is deleted", error.message)
            return False
        return True

    async def change(self, plan: Retention) -> None:
        """Have it swept by another plan from the next time on; make the schedule if need be.

        Raises:
            Unreachable: Temporal does not answer, or does not permit it.
        """
        await self._scheduled.change(_schedule(self._task_queue, plan), part="action")

    async def sweep(self) -> None:
        """Start a sweep now, unless one is running.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        await self._scheduled.trigger()

    async def describe(self) -> RetentionDescription:
        """Return what is known of it.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        found = await self._scheduled.describe()
        return RetentionDescription(
            plan=await self._plan_of(found.schedule),
            paused=found.paused,
            next_at=found.next_at,
            last_at=found.last_at,
            last=found.last,
            failure=found.failure,
        )

    async def _plan_of(self, schedule: Schedule) -> Retention:
        if not isinstance(schedule.action, ScheduleActionStartWorkflow):
            return Retention()
        given = await self._client.data_converter.decode(schedule.action.args)
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
