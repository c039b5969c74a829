"""StreamIntake: through a stream in Redis, and past it when it is away."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from itertools import chain

from redis.asyncio import Redis

from domain.broker import OUTAGES
from domain.circuit import Circuit
from domain.errors import RampartError
from domain.intake.grouping import Batch, GroupCommit, Outcome
from domain.intake.intake import Intake, Overloaded
from domain.intake.stream import Stream
from domain.wire import Event, pack

logger = logging.getLogger(__name__)

STREAM_LIMIT = 256 * 1024 * 1024  # bytes of packed events: two million of the usual size
MEMORY_LIMIT = 100_000  # events in this process that wait for an answer of Redis
ENTRY_LIMIT = 1_000  # events of one entry, so that a reader's transactions can be filled evenly
RETRY_AFTER = timedelta(seconds=2)


class StreamIntake:
    """Takes events in by appending them to a stream, which a `Drain` counts.

    Batches that come while an answer of Redis is awaited share the next entry. When Redis does not
    answer, events go to the fallback until it does: tried again after pauses of 0.25 s growing to
    10 s. An append whose answer was lost may have happened all the same; its events then come twice
    and are counted once, by their ids.

    Durable is what Redis calls so: with `appendfsync always` a crash loses nothing, with `everysec`
    at most what came in its last second, without `appendonly` everything that was not counted yet.
    """

    def __init__(
        self,
        client: Redis,
        fallback: Intake,
        *,
        limit: int = STREAM_LIMIT,
        circuit: Circuit | None = None,
    ) -> None:
        """Take Redis, and what takes the events while it is away.

        Args:
            client: Of `domain.broker.connect`.
            fallback: A `DirectIntake`.
            limit: Bytes of packed events the stream may hold, >= 1; more is refused, none dropped.
            circuit: When to leave Redis alone.
        """
        self._stream = Stream(client)
        self._fallback = fallback
        self._limit = limit
        self._circuit = circuit or Circuit()
        self._group = GroupCommit(self._append, limit=MEMORY_LIMIT)

    @property
    def waiting(self) -> int:
        """How many events wait in this process."""
        return self._group.held

    async def accept(self, events: Sequence[Event]) -> None:
        """Return when the events are in the stream, or else in the database. See `Intake`.

        Raises:
            Overloaded: The stream is full: events come faster than they are counted.
            Unavailable: Neither Redis nor the database can be reached.
            Refused: Redis is away, and the database refuses some.
        """
        if self._circuit.pausing:
            await self._fallback.accept(events)
        else:
            await self._group.submit(events)

    async def _append(self, batches: list[Batch]) -> list[Outcome]:
        if self._circuit.pausing:  # since they were submitted
            return await self._divert(batches)
        events = list(chain.from_iterable(batches))
        parts = [events[at : at + ENTRY_LIMIT] for at in range(0, len(events), ENTRY_LIMIT)]
        try:
            held = await self._stream.add([(len(p), pack(p)) for p in parts], limit=self._limit)
        except OUTAGES as error:
            pause = self._circuit.failed()
            logger.warning("intake.redis_away", extra={"error": str(error), "pause": pause})
            return await self._divert(batches)
        if self._circuit.worked():
            logger.info("intake.redis_back")
        if held is not None:
            raise Overloaded(
                held, limit=self._limit, unit="bytes of events", retry_after=RETRY_AFTER
            )
        return [None] * len(batches)

    async def _divert(self, batches: list[Batch]) -> list[Outcome]:
        return await asyncio.gather(*(self._outcome(batch) for batch in batches))

    async def _outcome(self, batch: Batch) -> Outcome:
        try:
            await self._fallback.accept(batch)
        except RampartError as error:
            return error
        return None
