"""Drain: counts what is in the stream, and only then lets go of it."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Self
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from domain.broker import OUTAGES
from domain.circuit import Circuit
from domain.errors import Unavailable
from domain.intake.recording import Collector, log_refused, record
from domain.intake.stream import Entry, Settled, Stream
from domain.limits import BATCH_LIMIT
from domain.wire import Event, Malformed, pack, unpack

logger = logging.getLogger(__name__)

IDLE = timedelta(seconds=30)  # a consumer that holds an entry for longer is taken for dead
BLOCK = timedelta(milliseconds=500)  # less than the client waits for an answer
FORGET = timedelta(hours=1)
READ_MOST, READ_LEAST = 1_000, 10  # entries at once; between them as many as fill a transaction
START = b"0-0"


class Drain:
    """Takes entries from the stream of Redis, counts their events, and removes them.

    Any number of drains share the work. What one of them held when it was killed is taken over by
    another; it may be counted again, which counts nothing twice. While the database or Redis is
    away it waits, with growing pauses, and nothing is acknowledged. What cannot be counted for
    what it is, is set aside in a stream of its own and holds up nothing; `Stream.backlog` tells
    how much there is of it, `Stream.restore` brings it back.
    """

    def __init__(
        self,
        client: Redis,
        collector: Collector,
        *,
        idle: timedelta = IDLE,
        block: timedelta = BLOCK,
        circuit: Circuit | None = None,
    ) -> None:
        """Take Redis, and what counts the events.

        Args:
            client: Of `domain.broker.connect`; its timeout is longer than `block`.
            collector: It is called with at most 10 000 events at a time.
            idle: After so long without an answer a consumer is taken for dead, > 0.
            block: How long an empty stream is waited at, > 0; as long may leaving take.
            circuit: How long to pause after outages.
        """
        self._stream = Stream(client)
        self._collector = collector
        self._consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        self._idle, self._block = idle, block
        self._circuit = circuit or Circuit()
        self._count = READ_LEAST
        self._cursor, self._reclaim_at = START, 0.0
        self._held: list[Entry] = []
        self._dangers: list[str] = []
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self.run())
        self._task.add_done_callback(_log_death)
        return self

    async def __aexit__(self, *_: object) -> None:
        """End after the transaction that is under way."""
        self.stop()
        if self._task is not None:
            await self._task

    def stop(self) -> None:
        """Have `run` return after what it is at."""
        self._left.set()

    async def run(self) -> None:
        """Drain until stopped."""
        while not self._left.is_set():
            try:
                await self._turn()
            except (*OUTAGES, Unavailable) as error:
                if not await self._reopened(error):
                    await self._rest(error)
            else:
                if self._circuit.worked():
                    logger.info("drain.goes_on")

    async def _turn(self) -> None:
        """Count one transaction's worth of entries; those that fail are tried again first."""
        self._held = self._held or await self._next()
        if self._held:
            await self._stream.settle(await self._settled(self._held))
            self._held = []

    async def _next(self) -> list[Entry]:
        due = self._cursor != START or time.monotonic() >= self._reclaim_at
        if due and (entries := await self._reclaimed()):
            return entries
        block_ms = _ms(self._block)
        return await self._stream.read(self._consumer, count=self._count, block_ms=block_ms)

    async def _reclaimed(self) -> list[Entry]:
        """Take over from the dead, a part at a time; at the end, leave things in order."""
        self._cursor, entries = await self._stream.claim(
            self._consumer, after=self._cursor, idle_ms=_ms(self._idle), count=self._count
        )
        if entries:
            logger.warning("drain.reclaimed", extra={"entries": len(entries)})
        if self._cursor == START:
            self._reclaim_at = time.monotonic() + self._idle.total_seconds() / 2
            await self._keep_order()
        return entries

    async def _keep_order(self) -> None:
        if await self._stream.tidy(forget_ms=_ms(FORGET)):
            logger.warning("drain.delivers_again")
        dangers = await self._stream.dangers()
        if dangers and dangers != self._dangers:
            logger.warning("drain.not_durable", extra={"dangers": dangers})
        self._dangers = dangers

    async def _settled(self, entries: list[Entry]) -> list[Settled]:
        """Count what can be counted, and say what cannot.

        Raises:
            Unavailable: The database cannot be asked.
        """
        readable: list[tuple[Entry, list[Event]]] = []
        done: list[Settled] = []
        for entry in entries:
            try:
                readable.append((entry, unpack(entry.packed)))
            except Malformed as error:
                logger.error("drain.unreadable", extra={"entry": entry.id, "reason": str(error)})
                done.append(Settled(entry, str(error), entry.told, entry.packed))
        events = [event for _, held in readable for event in held]
        refused = await record(self._collector, events)
        log_refused(refused, where="drain")
        self._count = _adapted(len(readable), len(events))
        return done + [_settled(entry, held, refused) for entry, held in readable]

    async def _reopened(self, error: Exception) -> bool:
        """Create the stream's group again if that is what is missing: Redis was wiped."""
        if not (isinstance(error, ResponseError) and "NOGROUP" in str(error)):
            return False
        with suppress(*OUTAGES):
            if await self._stream.open():
                logger.info("drain.opened", extra={"stream": self._stream.name})
            return True
        return False

    async def _rest(self, error: Exception) -> None:
        pause = self._circuit.failed()
        logger.warning("drain.waits", extra={"error": str(error), "pause": pause})
        with suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), pause)


def _settled(entry: Entry, events: list[Event], refused: Mapping[str, str]) -> Settled:
    guilty = [event for event in events if event.event_id in refused]
    if not guilty:
        return Settled(entry)
    return Settled(entry, refused[guilty[0].event_id], len(guilty), pack(guilty))


def _adapted(entries: int, events: int) -> int:
    """Return how many entries like these fill a transaction."""
    fitting = BATCH_LIMIT * entries // events if events else READ_LEAST
    return max(READ_LEAST, min(READ_MOST, fitting))


def _ms(duration: timedelta) -> int:
    return max(1, int(duration.total_seconds() * 1000))


def _log_death(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("drain.died", exc_info=error)
