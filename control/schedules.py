"""What a Temporal Schedule of ours is, whatever it starts: made once, changed, triggered, told."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from control.connection import ControlError, ending, unreachable

Result = TypeVar("Result")
Part = Literal["action", "spec"]  # what it starts, or when


class NoSchedule(ControlError):
    """Nobody has made the schedule: no worker has started yet, or Temporal did not permit it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing(Generic[Result]):
    """Where a schedule stands.

    Attributes:
        schedule: As it was made, or changed since.
        paused: By somebody in Temporal.
        next_at: None while it is paused.
        last_at: When the latest run began; `last` is its result, None while it runs.
        failure: Why the latest run failed, when it did.
    """

    schedule: Schedule
    paused: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    last: Result | None = None
    failure: str = ""


class Scheduled(Generic[Result]):
    """One schedule of the namespace, by its id. Errors are Temporal's own until they are `told`."""

    def __init__(self, client: Client, schedule_id: str, *, result_type: type[Result]) -> None:
        self._client = client
        self._id = schedule_id
        self._result_type = result_type

    async def make(self, schedule: Schedule) -> bool:
        """Make it unless there is one, which stays as it is; return whether there was none."""
        try:
            await self._client.create_schedule(self._id, schedule)
        except ScheduleAlreadyRunningError:
            return False
        return True

    async def change(self, wanted: Schedule, *, part: Part) -> None:
        """Have that part of it be as wanted, all else stays as it is; make it if need be.

        Raises:
            Unreachable: Temporal does not answer, or does not permit it.
        """

        def changed(given: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule = given.description.schedule
            setattr(schedule, part, getattr(wanted, part))
            return ScheduleUpdate(schedule=schedule)

        try:
            if not await self.make(wanted):
                await self._handle().update(changed)
        except RPCError as error:
            raise unreachable(error) from error

    async def trigger(self) -> None:
        """Have it start one now, besides.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        try:
            await self._handle().trigger()
        except RPCError as error:
            raise self._told(error) from error

    async def describe(self) -> Standing[Result]:
        """Return where it stands.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        try:
            found = await self._handle().describe()
            last, failure = await self._latest(found)
        except RPCError as error:
            raise self._told(error) from error
        recent, paused = found.info.recent_actions, found.schedule.state.paused
        return Standing(
            schedule=found.schedule,
            paused=paused,
            next_at=None if paused else next(iter(found.info.next_action_times), None),
            last_at=recent[-1].started_at if recent else None,
            last=last,
            failure=failure,
        )

    def _handle(self) -> ScheduleHandle:
        return self._client.get_schedule_handle(self._id)

    async def _latest(self, found: ScheduleDescription) -> tuple[Result | None, str]:
        """Return the latest run's result, or why it failed; neither while it runs."""
        recent = found.info.recent_actions
        if not recent or found.info.running_actions:
            return None, ""
        action = recent[-1].action
        if not isinstance(action, ScheduleActionExecutionStartWorkflow):
            return None, ""
        handle = self._client.get_workflow_handle(
            action.workflow_id,
            run_id=action.first_execution_run_id,
            result_type=self._result_type,
        )
        return await ending(handle)

    def _told(self, error: RPCError) -> ControlError:
        if error.status is RPCStatusCode.NOT_FOUND:
            return NoSchedule(f"no schedule {self._id} is known: a worker makes it when it starts")
        return unreachable(error)
