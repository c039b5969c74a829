"""Events in masses, and collectors of them that do as they are told."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from redis.asyncio import Redis

from domain.errors import InvalidValue, Unavailable
from domain.wire import Event

VERSION = "v-1"
DEADLINE = 30  # seconds; never reached unless something is wrong
NOW = datetime.now(UTC)


def batch(size: int, *, start: int = 0, version_id: str = VERSION) -> list[Event]:
    """Return events `e-<start>` and so on, of as many users."""
    return [
        Event(version_id=version_id, event_id=f"e-{n:08}", user_id=f"u-{n}", occurred_at=NOW)
        for n in range(start, start + size)
    ]


async def entries(client: Redis, stream: str) -> list[dict[bytes, bytes]]:
    """Return what the entries of a stream hold."""
    found: Any = await client.xrange(stream)
    return [fields for _, fields in found]


async def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = monotonic() + DEADLINE
    while not holds():
        assert monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.005)


class Scripted:
    """A collector in memory: away, slow, or at odds with some events, as a story wants it.

    Attributes:
        sizes: Of the batches that were recorded, one after the other.
        guilty: Ids of events that it refuses a batch for.
        away: Whether it cannot be reached.
        gate: Closed, it holds up every batch.
    """

    def __init__(self) -> None:
        self.counted: list[str] = []
        self.sizes: list[int] = []
        self.tried = 0
        self.guilty: set[str] = set()
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def record(self, events: Sequence[Event]) -> int:
        self.tried += 1
        await self.gate.wait()
        if self.away:
            raise Unavailable("the scripted database is away")
        for event in events:
            if event.event_id in self.guilty:
                raise InvalidValue(f"{event.event_id} is guilty")
        known = set(self.counted)
        new = [event.event_id for event in events if event.event_id not in known]
        self.counted += dict.fromkeys(new)
        self.sizes.append(len(events))
        return len(new)
