"""Courier: takes notifications from the database to Temporal, each once."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Self

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain.circuit import Circuit
from domain.errors import Unavailable
from domain.notifications.outbox import Outbox
from workflows.notifications.workflow import NotificationWorkflow

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=1)
PATIENCE = timedelta(seconds=10)  # with one start


def queue_of(task_queue: str) -> str:
    """Return the task queue of notifications: their workers do nothing else.

    A target that hangs holds slots of its own worker then, and a rollback never waits for one.
    """
    return f"{task_queue}-notifications"


class Courier:
    """Starts a workflow for each notification that waits. Any number may: the id makes it one.

    While Temporal or the database is away it waits, with growing pauses, and so do they.
    """

    def __init__(
        self,
        client: Client,
        outbox: Outbox,
        *,
        task_queue: str,
        wanted: bool = True,
        every: timedelta = EVERY,
        circuit: Circuit | None = None,
    ) -> None:
        """Take Temporal and the database.

        Args:
            client: Of Temporal.
            outbox: What waits there.
            task_queue: That of the rollouts; `queue_of` it is where notifications go.
            wanted: Whether there is any target; else what waits is noted as unwanted.
            every: How often is looked, > 0.
            circuit: How long to pause after outages.
        """
        self._client, self._outbox = client, outbox
        self._queue = queue_of(task_queue)
        self._wanted, self._every = wanted, every.total_seconds()
        self._circuit = circuit or Circuit()
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self.run())
        self._task.add_done_callback(_log_death)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End after what is under way."""
        self._left.set()
        if self._task is not None:
            await self._task

    async def run(self) -> None:
        """Carry until stopped."""
        while not self._left.is_set():
            try:
                carried = await self.carry()
            except (RPCError, Unavailable) as error:
                pause = self._circuit.failed()
                logger.warning("courier.waits", extra={"error": str(error), "pause": pause})
            else:
                pause = 0.0 if carried else self._every
                if self._circuit.worked():
                    logger.info("courier.goes_on")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), pause)

    async def carry(self) -> int:
        """Hand on what waits, some at a time; return how many.

        Raises:
            RPCError: Temporal does not answer; what it did not get waits on.
            Unavailable: The database does not.
        """
        ids = await self._outbox.waiting()
        if not self._wanted:
            await self._outbox.drop(ids)
            return len(ids)
        await self._hand_on(ids)
        return len(ids)

    async def _hand_on(self, ids: Sequence[str]) -> None:
        handed: list[str] = []
        try:
            for each in ids:
                await self._start(each)
                handed.append(each)
        finally:
            await self._outbox.hand(handed)

    async def _start(self, notification_id: str) -> None:
        with suppress(WorkflowAlreadyStartedError):  # by another courier, or before a crash
            await self._client.start_workflow(
                NotificationWorkflow.run,
                notification_id,
                id=f"notification/{notification_id}",
                task_queue=self._queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                rpc_timeout=PATIENCE,
            )


def _log_death(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("courier.died", exc_info=error)
