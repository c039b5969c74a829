"""A house on a database in memory, for thousands of short lives in it, one prompt each."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, TypeVar

import aiosqlite
from sqlmodel import col, select

from domain.composition import PRODUCTION_TAG
from domain.database import Database
from domain.prompts import MetricEvent, VersionStatus
from domain.record import RolloutStatus
from domain.routing import RoutingManager
from domain.tables import RolloutRow, TagRow, VersionRow
from tests.house import House

TYPE = "system"
NUMBERS = ("1.0.0", "1.1.0", "1.2.0")
USERS = [f"user-{number}" for number in range(200)]
Result = TypeVar("Result")
_names = (f"prompt-{number}" for number in count())


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is true of a prompt at one moment; `served` is by user."""

    epoch: int
    routed: str | None
    statuses: dict[str, str]
    holders: tuple[str, ...]
    served: tuple[str | None, ...]
    rollouts: dict[str, str]

    @property
    def restorable(self) -> tuple[object, ...]:
        """What a rollback has to restore."""
        return self.routed, self.statuses, self.holders, self.served

    @property
    def held(self) -> bool:
        """Whether a rollout has the prompt."""
        return any(status in HELD for status in self.rollouts.values())

    def treated(self, version: str) -> frozenset[str]:
        """Return who gets the version."""
        pairs = zip(USERS, self.served, strict=True)
        return frozenset(user for user, served in pairs if served == version)


class Home(House):
    """A house with three versions, the first one in production."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, name=next(_names))
        self._routing = RoutingManager(database)
        self.ids: dict[str, str] = {}

    async def settle(self) -> None:
        async with self.database.transaction():
            for number in NUMBERS:
                self.ids[number] = (await self.version(number)).version_id
            await self.take_over(NUMBERS[0])

    async def take_over(self, number: str) -> None:
        """Put a version in production by hand, as a careful person does: tag and statuses."""
        async with self.database.transaction():
            before = await self.versions.production(self.name, TYPE)
            await self.versions.tag_version(self.ids[number], PRODUCTION_TAG)
            if before is not None:
                await self.versions.update_status(before.version_id, VersionStatus.ACTIVE)
            await self.versions.update_status(self.ids[number], VersionStatus.PRODUCTION)

    async def come(self, numbers: tuple[str, ...], *, failing: str = "") -> None:
        """Let some users report of each version."""
        now = datetime.now(UTC)
        events = [
            MetricEvent(self.ids[number], now, success=number != failing)
            for number in numbers
            for _ in range(12)
        ]
        await self.metrics.record_events(events)

    async def look(self) -> Facts:
        """Return what is true now, of one moment."""
        async with self.database.reading() as session:
            ours = (VersionRow.name == self.name, VersionRow.prompt_type == TYPE)
            versions = (await session.exec(select(VersionRow).where(*ours))).all()
            carried = (TagRow.name == self.name, TagRow.tag == PRODUCTION_TAG)
            holders = (await session.exec(select(TagRow.version_id).where(*carried))).all()
            wanted = select(RolloutRow.id, RolloutRow.status).where(RolloutRow.name == self.name)
            rollouts = (await session.exec(wanted.order_by(col(RolloutRow.id)))).all()
            snapshot = await self._routing.snapshot(self.name, TYPE)
        assert snapshot
        number = {row.id: row.version for row in versions}
        return Facts(
            epoch=snapshot.epoch,
            routed=snapshot.experiment_id,
            statuses={row.version: row.status for row in versions},
            holders=tuple(number[holder] for holder in holders),
            served=tuple(snapshot.evaluate(user).version for user in USERS),
            rollouts=dict(rollouts),
        )


_in_its_thread = aiosqlite.Connection._execute


async def _at_once(
    connection: aiosqlite.Connection, call: Callable[..., Result], *given: Any, **more: Any
) -> Result:
    """Ask SQLite in this very thread: two thirds of a step would be waiting for another one."""
    del connection
    return call(*given, **more)


@cache
def _runner() -> "asyncio.Runner":
    return asyncio.Runner()


@cache
def database() -> Database:
    aiosqlite.Connection._execute = _at_once  # type: ignore[method-assign, assignment]
    return Database("sqlite:///:memory:?check_same_thread=false")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for the work, in the one event loop of this process."""
    return _runner().run(work)


def end() -> None:
    """Close the database and the loop; the next call makes new ones."""
    run(database().dispose())
    aiosqlite.Connection._execute = _in_its_thread  # type: ignore[method-assign]
    _runner().close()
    database.cache_clear()
    _runner.cache_clear()


LIVE, ROLLING_BACK = RolloutStatus.LIVE.value, RolloutStatus.ROLLING_BACK.value
PROMOTED, ROLLED_BACK = RolloutStatus.PROMOTED.value, RolloutStatus.ROLLED_BACK.value
HELD = (LIVE, ROLLING_BACK)  # nobody else may have the prompt
