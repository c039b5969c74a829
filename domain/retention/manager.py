"""RetentionManager: deletes what a plan keeps no longer, a little at a time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Column, Table, delete, func, select, true, tuple_, update
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.retention.plan import Retention, Swept

BATCH = 2_000  # rows of one transaction: SQLite has its other writers wait for so long
BREATH_S = 0.05  # between two of them: SQLite's writers queue by trying again
TABLES = SQLModel.metadata.tables


class _Hoard(NamedTuple):
    """A table of which rows are deleted.

    Attributes:
        age: The field of `Retention` that says when.
        tally: The field of `Swept` that counts.
        owner: The column by which rows are found; an index begins with it.
        of: The table of owners, and the column that says when one ended: all its rows go together.
            None: each row goes by its own `occurred_at`.
        marks: Whether the owner keeps that its rows are gone.
    """

    age: str
    tally: str
    table: Table
    owner: str
    of: tuple[Table, str] | None = None
    marks: bool = False


EXPERIMENTS = (TABLES["experiment"], "end_date")
ROLLOUTS = (TABLES["rollout"], "concluded_at")
TRIALS = (TABLES["trial"], "concluded_at")
HOARDS = (
    _Hoard("events", "events", TABLES["event"], "version_id"),
    _Hoard("users", "exposures", TABLES["exposure"], "experiment_id", EXPERIMENTS, marks=True),
    _Hoard("users", "observations", TABLES["observation"], "experiment_id", EXPERIMENTS),
    _Hoard("evidence", "evidence", TABLES["evidence"], "rollout_id", ROLLOUTS, marks=True),
    _Hoard("evidence", "evidence", TABLES["trial_evidence"], "trial_id", TRIALS),
    _Hoard("notifications", "notifications", TABLES["notification"], "rollout_id"),
)


class RetentionManager:
    """Sweeps. Every call may be repeated, and broken off anywhere: the next one goes on."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def sweep(self, plan: Retention | None = None, *, now: datetime | None = None) -> Swept:
        """Delete everything the plan keeps no longer, and return how much that was.

        Args:
            plan: That of the defaults if None.
            now: The instant that ages are counted from; the present one if None.

        Raises:
            Unavailable: The database does not answer; what was deleted stays so.
        """
        total = Swept()
        async for swept in self.batches(plan or Retention(), now=now or datetime.now(UTC)):
            total = total.plus(swept)
        return total

    async def batches(self, plan: Retention, *, now: datetime) -> AsyncIterator[Swept]:
        """Do it step by step; yield, often, how much a step deleted: nothing, or a batch.

        Each step is a transaction of its own. None waits for a row that somebody else holds.

        Raises:
            Unavailable: As for `sweep`.
        """
        for hoard in HOARDS:
            age = getattr(plan, hoard.age)
            if age is None:
                continue
            async for owner in self._owners(hoard):
                async for count in self._clear(hoard, owner, before=now - age, now=now):
                    yield Swept(**{hoard.tally: count})

    async def _owners(self, hoard: _Hoard) -> AsyncIterator[str]:
        """Yield whose rows there are, one look at the index each: no row is read."""
        column, last = hoard.table.columns[hoard.owner], ""
        while True:
            async with self._database.reading() as session:
                connection = await session.connection()
                found = await connection.scalar(select(func.min(column)).where(column > last))
            if found is None:
                return
            last = found
            yield last

    async def _clear(
        self, hoard: _Hoard, owner: str, *, before: datetime, now: datetime
    ) -> AsyncIterator[int]:
        """Delete an owner's rows, batch by batch; yield how many each time."""
        deleted = BATCH
        while deleted == BATCH:
            async with self._database.transaction() as session:
                deleted = 0
                if not await _is_kept(session, hoard, owner, before=before):
                    deleted = await _delete(session, hoard, owner, before=before)
                if deleted and hoard.marks:
                    await _mark(session, hoard, owner, now=now)
            yield deleted
            if deleted:
                await asyncio.sleep(BREATH_S)


async def _is_kept(session: AsyncSession, hoard: _Hoard, owner: str, *, before: datetime) -> bool:
    """Say whether the owner has not ended, or not long enough ago; one that is deleted has."""
    if hoard.of is None:
        return False
    table, ended = hoard.of
    query = select(table.columns[ended]).where(table.columns.id == owner)
    found = (await (await session.connection()).execute(query)).first()
    return found is not None and (found[0] is None or found[0] >= before)


async def _delete(session: AsyncSession, hoard: _Hoard, owner: str, *, before: datetime) -> int:
    """Delete some rows, those that somebody holds excepted: waiting for them might deadlock."""
    columns = hoard.table.columns
    old = columns.occurred_at < before if hoard.of is None else true()
    key = _key(hoard.table)
    some = (
        select(*key)
        .where(columns[hoard.owner] == owner, old)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("some")
    )
    mine = tuple_(*key) if len(key) > 1 else key[0]
    # Counted by what comes back: of a DELETE that begins with WITH, SQLite's driver counts nothing.
    statement = delete(hoard.table).where(mine.in_(select(some))).returning(key[0])
    return len((await (await session.connection()).execute(statement)).all())


async def _mark(session: AsyncSession, hoard: _Hoard, owner: str, *, now: datetime) -> None:
    if hoard.of is not None:
        table = hoard.of[0]
        of_owner = (table.columns.id == owner) & table.columns.swept_at.is_(None)
        statement = update(table).where(of_owner).values(swept_at=now)
        await (await session.connection()).execute(statement)


def _key(table: Table) -> Sequence[Column[object]]:
    return list(table.primary_key.columns)
