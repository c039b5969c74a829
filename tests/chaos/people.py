"""Users of a house in trouble: served from memory, heard through the gateway, watched for flips."""

import asyncio
import random
from time import monotonic
from typing import Self

from domain.broadcast.source import updates_of
from domain.database import Database
from domain.errors import Unavailable
from domain.routing import Router
from domain.snapshot import Assignment
from domain.wire import Event, new_event_id
from tests.chaos.victims import GatewayProcess

NAME, TYPE = "greeting", "system"
OLD, NEW = "1.0.0", "1.1.0"
USERS = [f"user-{number}" for number in range(200)]
COME = 60  # users of one tick
TICK_S = 0.25
AGAIN_S = 0.1


class People:
    """They come while it is entered, and report until they are heard.

    Attributes:
        bad: Whether the candidate fails them.
        acknowledged: When each event was, by its id.
        treated: Who was ever served the candidate.
        flipped: Who was served the baseline after it.
    """

    def __init__(self, database: Database, gateway: GatewayProcess, *, redis_url: str) -> None:
        self._router = Router(database, updates=updates_of(database, redis_url=redis_url))
        self._gateway = gateway
        self._chance = random.Random(7)  # noqa: S311  # reproducible users, not secrets
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.bad = False
        self.acknowledged: dict[str, float] = {}
        self.treated: set[str] = set()
        self.flipped: set[str] = set()

    async def __aenter__(self) -> Self:
        await self._router.__aenter__()
        self._task = asyncio.create_task(self._come())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stay_away()
        await self._router.__aexit__()

    async def stay_away(self) -> None:
        """Let nobody come any more, and everybody who came be heard."""
        self._left.set()
        if self._task is not None:
            await self._task

    def served(self) -> dict[str, int]:
        """Return how many users this process serves each version now."""
        given = [self._serve(user).version or "nothing" for user in USERS]
        return {version: given.count(version) for version in set(given)}

    async def _come(self) -> None:
        while not self._left.is_set():
            users = self._chance.sample(USERS, COME)
            await self._report([self._used(self._serve(user), user) for user in users])
            await asyncio.sleep(TICK_S)

    def _serve(self, user: str) -> Assignment:
        served = self._router.assign(NAME, TYPE, user)
        if served.version == NEW:
            self.treated.add(user)
        elif user in self.treated:
            self.flipped.add(user)
        return served

    def _used(self, served: Assignment, user: str) -> Event:
        return Event(
            version_id=str(served.version_id),
            event_id=new_event_id(),
            user_id=user,
            experiment_id=served.experiment_id,
            success=served.version == OLD or not self.bad,
        )

    async def _report(self, events: list[Event]) -> None:
        while True:
            try:
                await self._gateway.accept(events)
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
            else:
                now = monotonic()
                self.acknowledged |= {event.event_id: now for event in events}
                return
