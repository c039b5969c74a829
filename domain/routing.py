"""What a prompt serves: one row and its epoch, and the snapshot of it that processes serve from.

Every change of what a prompt serves goes through `claim_epoch`; it locks the prompt until the
transaction ends.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

from mmh3 import mmh3_32_uintdigest as hash32
from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain.assignment import CONTROL
from domain.database import Database, default_database, note_change
from domain.errors import Fenced, Unavailable
from domain.prompts import ExperimentStatus
from domain.snapshot import SPLITTING, Answers, Assignment, Reason, RoutingSnapshot, Served
from domain.tables import AllocationRow, ExperimentRow, RolloutRow, RoutingRow, TagRow, VersionRow

__all__ = ["Assignment", "Reason", "Router", "RoutingManager", "RoutingSnapshot", "Served"]

PRODUCTION_TAG = "production"
LIVE = "live"
POLL = timedelta(seconds=1)
# A driver's own errors included: serving outlives everything that can happen to the database.
OUTAGES = (Unavailable, SQLAlchemyError, OSError)


class RoutingManager:
    """Reads what prompts serve."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def epochs(self) -> dict[tuple[str, str], int]:
        """Return the epoch of every prompt whose serving was ever changed."""
        query = select(RoutingRow.name, RoutingRow.prompt_type, RoutingRow.epoch)
        async with self._database.reading() as session:
            found = await session.exec(query.where(RoutingRow.epoch > 0))
            return {(name, prompt_type): epoch for name, prompt_type, epoch in found}

    async def snapshot(self, name: str, prompt_type: str) -> RoutingSnapshot | None:
        """Return what the prompt serves now; None if nothing was ever decided."""
        async with self._database.reading() as session:
            row = (await session.exec(_routing(name, prompt_type))).first()
            if row is None or row.epoch == 0:
                return None
            experiment = await session.get(ExperimentRow, row.experiment_id or "")
            return await _snapshot(session, row, experiment=experiment)


class Router:
    """Assigns users from memory, and keeps its memory fresh while it is entered."""

    def __init__(self, storage: Database | None = None, *, poll: timedelta = POLL) -> None:
        self._manager = RoutingManager(storage)
        self._poll = poll.total_seconds()
        self._snapshots: dict[tuple[str, str], RoutingSnapshot] = {}
        self._answers: dict[tuple[str, str], Answers] = {}
        self._stale = False
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    def assign(
        self, name: str, prompt_type: str, user_id: str, *, default: str | None = None
    ) -> Assignment:
        """Return what the user is served. Never raises, whatever it is given."""
        try:
            ready = self._answers[name, prompt_type]
            # `ready.of(user_id)` written out: each call saved is a fifth of the whole.
            place = hash32(user_id.encode(), ready.salt)
            return ready.assignments[bisect_right(ready.starts, place) - 1]
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
            return self._assign_with_care((name, prompt_type), user_id, default=default)

    def apply(self, snapshot: RoutingSnapshot) -> bool:
        """Serve from the snapshot if it is newer than the one held; return whether it was."""
        prompt = (snapshot.name, snapshot.prompt_type)
        if snapshot.epoch <= self._epoch(prompt):
            return False
        self._snapshots[prompt] = snapshot
        self._prepare(snapshot)
        return True

    async def refresh(self) -> None:
        """Load what has changed; if the database cannot be asked, go on with what is known."""
        try:
            for prompt, epoch in (await self._manager.epochs()).items():
                if epoch > self._epoch(prompt):
                    snapshot = await self._manager.snapshot(*prompt)
                    self.apply(snapshot) if snapshot else None
        except OUTAGES:
            self._mark(stale=True)
        else:
            self._mark(stale=False)

    async def __aenter__(self) -> Self:
        await self.refresh()
        self._left.clear()
        self._task = asyncio.create_task(self._keep_fresh())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End between two refreshes: a cancelled one could pass for an outage, and be survived."""
        self._left.set()
        if self._task is not None:
            await self._task

    async def _keep_fresh(self) -> None:
        while not self._left.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._poll)
            if not self._left.is_set():
                await self.refresh()

    def _epoch(self, prompt: tuple[str, str]) -> int:
        held = self._snapshots.get(prompt)
        return held.epoch if held else -1

    def _mark(self, *, stale: bool) -> None:
        if stale != self._stale:
            self._stale = stale
            for snapshot in self._snapshots.values():
                self._prepare(snapshot)

    def _prepare(self, snapshot: RoutingSnapshot) -> None:
        prompt = (snapshot.name, snapshot.prompt_type)
        if snapshot.serves:
            self._answers[prompt] = snapshot.answers(stale=self._stale)
        else:
            self._answers.pop(prompt, None)

    def _assign_with_care(
        self, prompt: tuple[object, object], user_id: object, *, default: str | None
    ) -> Assignment:
        """Answer for an unknown prompt, and for a user id that is not a sound text."""
        known = all(isinstance(part, str) for part in prompt)
        snapshot = self._snapshots.get((str(prompt[0]), str(prompt[1]))) if known else None
        if snapshot is None or not snapshot.serves:
            return Assignment(None, default, Reason.UNKNOWN, snapshot.epoch if snapshot else None)
        if isinstance(user_id, str):
            return snapshot.answers(stale=self._stale).of(user_id)
        answer = replace(snapshot.unsplit(), reason=Reason.ERROR)
        return answer if snapshot.default else replace(answer, version=default)


async def lock_prompt(
    session: AsyncSession, name: str, prompt_type: str, *, held: int | None = None
) -> RoutingRow:
    """Keep every other writer of the prompt waiting until the transaction ends.

    Raises:
        Fenced: The writer holds another epoch than the routing's.
    """
    fresh = RoutingRow(name=name, prompt_type=prompt_type, epoch=0, changed_at=datetime.now(UTC))
    await insert_once(session, fresh)
    row = (await session.exec(_routing(name, prompt_type).with_for_update())).one()
    if held is not None and row.epoch != held:
        raise Fenced(
            f"{name}.{prompt_type} is at epoch {row.epoch}, this writer holds {held}: "
            "somebody else has changed it since"
        )
    return row


async def claim_epoch(
    session: AsyncSession, name: str, prompt_type: str, *, held: int | None = None
) -> RoutingRow:
    """Raise the prompt's epoch by one and return its row, for the caller to set the experiment.

    Raises:
        Fenced: The writer holds another epoch than the routing's.
    """
    row = await lock_prompt(session, name, prompt_type, held=held)
    row.epoch += 1
    row.changed_at = datetime.now(UTC)
    session.add(row)
    note_change(session, (name, prompt_type))
    return row


async def live_rollout(session: AsyncSession, name: str, prompt_type: str) -> str | None:
    """Return the id of the rollout that is live on the prompt, if one is."""
    of_prompt = (RolloutRow.name == name, RolloutRow.prompt_type == prompt_type)
    query = select(RolloutRow.id).where(*of_prompt, RolloutRow.status == LIVE)
    return (await session.exec(query)).first()


async def insert_once(session: AsyncSession, row: SQLModel) -> None:
    """Insert the row unless its key is taken; concurrent inserts of one key do not fail."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[session.get_bind().dialect.name]
    statement: Insert = dialect.insert(type(row)).on_conflict_do_nothing()
    await session.exec(statement.values(row.model_dump()))


def _routing(name: str, prompt_type: str) -> SelectOfScalar[RoutingRow]:
    of_prompt = (RoutingRow.name == name, RoutingRow.prompt_type == prompt_type)
    # A row this session has already read may have been changed by another one since.
    return select(RoutingRow).where(*of_prompt).execution_options(populate_existing=True)


async def _snapshot(
    session: AsyncSession, routing: RoutingRow, *, experiment: ExperimentRow | None
) -> RoutingSnapshot:
    ids = await _version_ids(session, routing, experiment=experiment)
    served = tuple(Served(version_id=ids.get(v), version=v) for v in _versions(experiment))
    snapshot = RoutingSnapshot(
        name=routing.name,
        prompt_type=routing.prompt_type,
        epoch=routing.epoch,
        variants=served,
        default=await _production(session, routing) or _left_by(experiment, served),
    )
    if experiment is None:
        return snapshot
    allocation = await session.get_one(AllocationRow, (experiment.id, experiment.epoch))
    split = {
        "experiment_id": experiment.id,
        "status": experiment.status,
        "allocated": experiment.epoch,
        "salt": experiment.salt,
        "starts": allocation.starts,
        "arms": allocation.arms,
    }
    return RoutingSnapshot.model_validate(dict(snapshot) | split)


def _versions(experiment: ExperimentRow | None) -> list[str]:
    return [variant["version"] for variant in experiment.variants] if experiment else []


async def _version_ids(
    session: AsyncSession, routing: RoutingRow, *, experiment: ExperimentRow | None
) -> dict[str, str]:
    query = select(VersionRow.version, VersionRow.id).where(
        VersionRow.name == routing.name,
        VersionRow.prompt_type == routing.prompt_type,
        col(VersionRow.version).in_(_versions(experiment)),
    )
    return dict((await session.exec(query)).all())


async def _production(session: AsyncSession, routing: RoutingRow) -> Served | None:
    query = (
        select(VersionRow.id, VersionRow.version)
        .join(TagRow)
        .where(
            TagRow.name == routing.name,
            TagRow.prompt_type == routing.prompt_type,
            TagRow.tag == PRODUCTION_TAG,
        )
    )
    found = (await session.exec(query)).first()
    return Served(version_id=found[0], version=found[1]) if found else None


def _left_by(experiment: ExperimentRow | None, served: Sequence[Served]) -> Served | None:
    """Return what an ended experiment leaves behind: its winner if it has one, else control."""
    if experiment is None or experiment.status in SPLITTING:
        return None
    winner = experiment.metrics.get("winner") or experiment.details.get("winner")
    won = experiment.status == ExperimentStatus.COMPLETED
    return next((s for s in served if won and s.version == winner), served[CONTROL])
