"""Group commit: callers that come while a write is under way share the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from domain.errors import RampartError, Unavailable
from domain.intake.intake import Overloaded
from domain.limits import BATCH_LIMIT
from domain.wire import Event

RETRY_AFTER = timedelta(seconds=1)

Batch = Sequence[Event]
Outcome = RampartError | None
Write = Callable[[list[Batch]], Awaitable[list[Outcome]]]


class _Waiting(NamedTuple):
    batch: Batch
    outcome: "asyncio.Future[Outcome]"


class GroupCommit:
    """Writes the batches of concurrent callers together, one group after the other.

    A group is written by a task that lives while somebody waits, so nothing has to be entered or
    left. Whoever is cancelled while waiting may or may not have been written.
    """

    def __init__(self, write: Write, *, limit: int) -> None:
        """Take what writes a group and returns the outcome of each batch.

        Args:
            write: Its error, other than an outcome, is everybody's.
            limit: Events that may wait, those being written included, >= 1. A batch that is larger
                than the limit is taken when nothing else waits.
        """
        self._write = write
        self._limit = limit
        self._held = 0
        self._queue: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> int:
        """How many events wait."""
        return self._held

    async def submit(self, batch: Batch) -> None:
        """Return when the batch is written.

        Raises:
            Overloaded: More events wait than may.
            RampartError: As the batch's outcome is.
        """
        if not batch:
            return
        if self._held and self._held + len(batch) > self._limit:
            raise Overloaded(self._held, limit=self._limit, unit="events", retry_after=RETRY_AFTER)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(batch, loop.create_future())
        self._held += len(batch)
        self._queue.append(waiting)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._write_all())
        if (error := await waiting.outcome) is not None:
            raise error

    async def _write_all(self) -> None:
        """Write what waits; should it fail for good, let nobody wait for ever."""
        try:
            while self._queue:
                group = self._next()
                outcomes: list[Outcome] = [Unavailable("what writes events has ended")]
                try:
                    outcomes = await self._outcomes(group)
                finally:
                    self._release(group, outcomes)
        finally:
            self._release(self._queue, [Unavailable("what writes events has ended")])
            self._queue.clear()

    def _next(self) -> list[_Waiting]:
        """Take callers in their order, as many as one transaction holds, and at least one."""
        group = [self._queue.popleft()]
        size = len(group[0].batch)
        while self._queue and size + len(self._queue[0].batch) <= BATCH_LIMIT:
            group.append(self._queue.popleft())
            size += len(group[-1].batch)
        return group

    async def _outcomes(self, group: list[_Waiting]) -> list[Outcome]:
        try:
            return await self._write([waiting.batch for waiting in group])
        except RampartError as error:
            return [error]

    def _release(self, group: Collection[_Waiting], outcomes: list[Outcome]) -> None:
        """Let the callers go, each with its outcome or with the only one."""
        each = outcomes if len(outcomes) == len(group) else outcomes * len(group)
        for waiting, outcome in zip(group, each, strict=True):
            self._held -= len(waiting.batch)
            if not waiting.outcome.done():  # it may have been cancelled
                waiting.outcome.set_result(outcome)
