"""Looks at the database all the time, for what must never be seen there, not even for a moment."""

import asyncio
from typing import Self

from sqlmodel import select

from domain.composition import PRODUCTION_TAG
from domain.database import Database
from domain.errors import Unavailable
from domain.prompts import VersionStatus
from domain.record import RolloutStatus
from domain.routing import RoutingManager
from domain.tables import RolloutRow, TagRow, VersionRow
from tests.chaos.people import NAME, NEW, TYPE, USERS

EVERY_S = 0.1


class Sentry:
    """Exactly one version in production; nobody treated once it is rolled back.

    Attributes:
        looks: How often it saw something.
        seen: What must never be seen, each once.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._routing = RoutingManager(database)
        self._left = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.looks = 0
        self.seen: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.set()
        if self._task is not None:
            await self._task

    async def _watch(self) -> None:
        while not self._left.is_set():
            try:
                for wrong in await self.look():
                    self.seen[wrong] = self.seen.get(wrong, 0) + 1
                self.looks += 1
            except Unavailable:  # it was killed, as the story has it
                pass
            await asyncio.sleep(EVERY_S)

    async def look(self) -> list[str]:
        """Return what is wrong at this moment."""
        async with self._database.reading() as session:
            rows = (await session.exec(select(VersionRow))).all()
            status = {row.id: row.status for row in rows}
            tagged = select(TagRow.version_id).where(TagRow.tag == PRODUCTION_TAG)
            holders = (await session.exec(tagged)).all()
            ended = set(await session.exec(select(RolloutRow.status)))
            snapshot = await self._routing.snapshot(NAME, TYPE)
        found = []
        if len(holders) != 1:
            found.append(f"{len(holders)} versions carry the tag production")
        in_production = [key for key, value in status.items() if value == VersionStatus.PRODUCTION]
        if in_production != list(holders):
            found.append(f"{len(in_production)} versions have the status production")
        if ended == {RolloutStatus.ROLLED_BACK} and snapshot is not None:
            treated = [user for user in USERS if snapshot.evaluate(user).version == NEW]
            found += [f"{len(treated)} users are treated after the rollback"] if treated else []
        return found
