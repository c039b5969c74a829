"""Outbox: what happened, noted at once and taken in soon after, exactly once."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from threading import Lock
from typing import Self

from domain.intake.intake import Intake, Overloaded, Refused
from domain.routing import OUTAGES
from domain.wire import Event

CAPACITY = 100_000  # events
EVERY = timedelta(seconds=1)
BATCH = 1_000  # events sent at once
GRACE_S = 5.0  # for what still waits at the end
RETRY_S = 0.2  # between attempts at the end

logger = logging.getLogger(__name__)


class Outbox:
    """Holds events until an intake has taken them, and sends them while it is entered.

    An event that was put is sent, with the same id, until it is taken; one for which there is no
    room is not put, and counted. So what is lost in a long outage is what comes last, for all
    variants alike, and never what was promised.
    """

    def __init__(
        self, intake: Intake, *, capacity: int = CAPACITY, every: timedelta = EVERY
    ) -> None:
        """Take whom to tell, how many events may wait (> 0), and how long an event waits (> 0)."""
        self._intake = intake
        self._capacity = capacity
        self._every = every.total_seconds()
        self._waiting: list[Event] = []
        self._dropped = 0
        self._told = 0
        self._reason = ""
        self._counting = Lock()
        self._flushing = asyncio.Lock()
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many events are not taken yet."""
        return len(self._waiting)

    @property
    def dropped(self) -> int:
        """How many will never be counted: there was no room, or they were refused."""
        return self._dropped

    def put(self, event: Event) -> bool:
        """Have the event counted soon, and return whether there was room. From any thread."""
        if len(self._waiting) >= self._capacity:
            self.drop(1, reason=f"{self._capacity} wait already")
            return False
        self._waiting.append(event)
        return True

    def drop(self, count: int, *, reason: str) -> None:
        """Note events that will never be counted; the log says so once a flush, not each time."""
        with self._counting:
            self._dropped += count
            self._reason = reason

    async def flush(self) -> None:
        """Send all that was put until now.

        Raises:
            Unavailable: Nobody took the rest; it goes on waiting.
            Overloaded: As well, and it says how long.
        """
        async with self._flushing:
            due = len(self._waiting)
            while due > 0:
                batch = self._waiting[: min(due, BATCH)]
                await self._send(batch)
                del self._waiting[: len(batch)]
                due -= len(batch)

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self._keep_flushing())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Send what still waits; what nobody has taken after five seconds is dropped."""
        self._left.set()
        if self._task is not None:
            await self._task
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._flush_at_last()
        if self._waiting:
            self.drop(len(self._waiting), reason="nobody took them before the end")
            self._waiting.clear()
        self._tell()

    async def _flush_at_last(self) -> None:
        while self._waiting:
            try:
                await self.flush()
            except (Overloaded, *OUTAGES):
                await asyncio.sleep(RETRY_S)

    async def _send(self, batch: Sequence[Event]) -> None:
        try:
            await self._intake.accept(batch)
        except Refused as error:
            self.drop(len(error.reasons), reason=str(error))

    async def _keep_flushing(self) -> None:
        pause = self._every
        while not self._left.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), pause)
            pause = self._every
            try:
                await self.flush()
            except Overloaded as error:
                pause = error.retry_after.total_seconds()
            except OUTAGES as error:
                logger.warning("%d events wait: %s", len(self._waiting), error)
            self._tell()

    def _tell(self) -> None:
        if self._dropped > self._told:
            logger.warning("%d events dropped: %s", self._dropped - self._told, self._reason)
            self._told = self._dropped
