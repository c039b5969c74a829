"""The schedule by which orphaned rollouts are found, and the operator's say in it."""

import asyncio
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
    WorkflowFailureError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from control.connection import PATIENCE, Refused, Unreachable, said, unreachable
from control.schedules import Scheduled
from workflows.reconciliation import Reconciled, ReconcileWorkflow

logger = logging.getLogger(__name__)

SCHEDULE = "rampart-reconcile"
EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileDescription:
    """What is known of the schedule.

    Attributes:
        every: From one look to the next.
        paused: By somebody in Temporal: then nothing is found.
        next_at: None while it is paused.
        last_at: When the latest look began; `last` is what it found, None while it looks.
        failure: Why the latest look failed, when it did.
    """

    every: timedelta
    paused: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    last: Reconciled | None = None
    failure: str = ""


class ReconcileControl:
    """The verbs. There is one schedule in a namespace."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue
        self._scheduled = Scheduled(client, SCHEDULE, result_type=Reconciled)

    async def ensure(self) -> bool:
        """Make the schedule unless there is one, which stays as it is; return whether there is.

        Where that is not permitted, or not known (Temporal's server that skips time), it says so
        in the log: rollouts whose workflow is gone are found there by nobody.
        """
        try:
            await self._scheduled.make(_schedule(self._task_queue, EVERY))
        except RPCError as error:
            alone = "a rollout whose workflow is gone keeps its split"
            logger.warning("%s; go on without a schedule: %s", error.message, alone)
            return False
        return True

    async def change(self, every: timedelta) -> None:
        """Have it look so often from now on, at least once a second; make it if need be.

        Raises:
            Unreachable: Temporal does not answer, or does not permit it.
        """
        await self._scheduled.change(_schedule(self._task_queue, every), part="spec")

    async def look(self) -> Reconciled:
        """Look now, and return what was found.

        Raises:
            Refused: The look failed. Unreachable: Temporal, or every worker, is silent.
        """
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                return await self._client.execute_workflow(
                    ReconcileWorkflow.run,
                    id="reconcile-now",
                    task_queue=self._task_queue,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                )
        except TimeoutError as error:
            raise Unreachable("no worker answers: start one with `rampart worker`") from error
        except WorkflowFailureError as error:
            raise Refused(said(error)) from error
        except RPCError as error:
            raise unreachable(error) from error

    async def describe(self) -> ReconcileDescription:
        """Return what is known of it.

        Raises:
            NoSchedule: There is none. Unreachable: Temporal does not answer.
        """
        found = await self._scheduled.describe()
        times = found.schedule.spec.intervals
        return ReconcileDescription(
            every=times[0].every if times else EVERY,
            paused=found.paused,
            next_at=found.next_at,
            last_at=found.last_at,
            last=found.last,
            failure=found.failure,
        )


def _schedule(task_queue: str, every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileWorkflow.run,
            id="reconcile",
            task_queue=task_queue,
            static_summary="finds rollouts whose workflow is gone",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=every),
    )
