"""Callers who send events until they are acknowledged, some of them more than once."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from domain.errors import Unavailable
from domain.intake.intake import Overloaded
from domain.wire import Event
from tests.torrent import batch

SIZE = 20  # events of one batch
CALLERS = 8
REST = 0.002  # seconds between two batches of one caller

Accept = Callable[[Sequence[Event]], Awaitable[None]]


class Feeder:
    """Sends while it is entered; each caller has events of its own, and sends them in order.

    Attributes:
        acknowledged: When each event was, the first time.
        failures: How often somebody was told to come again.
    """

    def __init__(self, accept: Accept) -> None:
        self._accept = accept
        self._sent = 0
        self._left = False
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged: dict[str, float] = {}
        self.failures = 0

    async def __aenter__(self) -> "Feeder":
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let everybody end with an acknowledgement."""
        self._left = True
        await asyncio.gather(*self._tasks)

    async def more(self, events: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + events
        while len(self.acknowledged) < wanted:
            assert not any(task.done() for task in self._tasks), "a caller gave up"
            await asyncio.sleep(0.01)

    async def _call(self) -> None:
        chance = random.Random(self._sent)  # noqa: S311
        before: list[Event] = []
        while not self._left:
            events = batch(SIZE, start=self._sent)
            self._sent += SIZE
            await self._send(events)
            if chance.random() < 0.3:  # regrouped with what was sent before, in another order
                await self._send(chance.sample([*before, *events], k=SIZE))
            before = events
            await asyncio.sleep(REST)

    async def _send(self, events: Sequence[Event]) -> None:
        while True:
            try:
                await self._accept(events)
            except (Overloaded, Unavailable):
                self.failures += 1
                await asyncio.sleep(0.02)
            else:
                now = monotonic()
                self.acknowledged = {e.event_id: now for e in events} | self.acknowledged
                return
