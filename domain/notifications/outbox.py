"""Outbox: notifications that were written with the journal, and what became of them."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.errors import NotFound
from domain.notifications.notice import Notice, Receipt, Status
from domain.plan import RolloutPlan
from domain.tables import DecisionRow, NotificationRow, RolloutRow, VersionRow
from domain.value import Frozen

BATCH = 100


class Failure(Frozen):
    """A notification that some targets did not get, and why."""

    id: str
    at: datetime
    kind: str
    prompt: str
    reasons: dict[str, str]


class Standing(Frozen):
    """How things are.

    Attributes:
        counts: Notifications by status, as long as retention keeps them.
        oldest: When the oldest that waits was written.
        failures: The latest first.
    """

    counts: dict[Status, int]
    oldest: datetime | None = None
    failures: tuple[Failure, ...] = ()


class Outbox:
    """What is to be told. Each method is one transaction, and may be repeated."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def waiting(self, *, limit: int = BATCH) -> Sequence[str]:
        """Return the ids of what waits, oldest first."""
        query = select(NotificationRow.id).where(NotificationRow.status == Status.WAITING)
        async with self._database.reading() as session:
            found = await session.exec(query.order_by(NotificationRow.id).limit(limit))
            return found.all()

    async def hand(self, ids: Collection[str]) -> None:
        """Note that Temporal sees to them; what has gone on since stays so."""
        await self._leave_waiting(Status.HANDED, ids)

    async def drop(self, ids: Collection[str]) -> None:
        """Note that nobody asks for them."""
        await self._leave_waiting(Status.UNWANTED, ids)

    async def _leave_waiting(self, status: Status, ids: Collection[str]) -> None:
        if not ids:
            return
        statement = update(NotificationRow).where(
            col(NotificationRow.id).in_(ids), col(NotificationRow.status) == Status.WAITING
        )
        async with self._database.transaction() as session:
            await (await session.connection()).execute(statement.values(status=status.value))

    async def notice(self, notification_id: str) -> Notice:
        """Return what is to be told.

        Raises:
            NotFound: There is no such notification: retention may have deleted it.
        """
        async with self._database.reading() as session:
            line = await session.get(DecisionRow, notification_id)
            row = await session.get(NotificationRow, notification_id)
            if line is None or row is None:
                raise NotFound(f"no notification {notification_id!r}")
            rollout = await session.get_one(RolloutRow, line.rollout_id)
            return await _notice(session, line, rollout)

    async def settle(self, receipt: Receipt) -> None:
        """Note what became of one.

        Raises:
            NotFound: There is no such notification.
        """
        async with self._database.transaction() as session:
            row = await session.get(NotificationRow, receipt.notification_id)
            if row is None:
                raise NotFound(f"no notification {receipt.notification_id!r}")
            row.status, row.settled_at = receipt.status.value, datetime.now(UTC)
            row.failures = receipt.failures or None
            session.add(row)

    async def standing(self, *, limit: int = 10) -> Standing:
        """Return how many wait, were sent and failed, and the latest failures."""
        async with self._database.reading() as session:
            counted = select(NotificationRow.status, func.count()).group_by(NotificationRow.status)
            oldest = select(func.min(NotificationRow.occurred_at)).where(
                NotificationRow.status == Status.WAITING
            )
            counts = {Status(status): n for status, n in await session.exec(counted)}
            return Standing(
                counts={status: counts.get(status, 0) for status in Status},
                oldest=(await session.exec(oldest)).one(),
                failures=await _failures(session, limit=limit),
            )


async def _failures(session: AsyncSession, *, limit: int) -> tuple[Failure, ...]:
    failed = (
        select(NotificationRow, RolloutRow)
        .where(
            NotificationRow.status == Status.FAILED,
            RolloutRow.id == NotificationRow.rollout_id,
        )
        .order_by(col(NotificationRow.id).desc())
        .limit(limit)
    )
    return tuple(
        Failure(
            id=row.id,
            at=row.occurred_at,
            kind=row.kind,
            prompt=f"{rollout.name}.{rollout.prompt_type}",
            reasons=row.failures or {},
        )
        for row, rollout in await session.exec(failed)
    )


async def _notice(session: AsyncSession, line: DecisionRow, rollout: RolloutRow) -> Notice:
    plan = RolloutPlan.model_validate(rollout.plan)
    return Notice(
        id=line.id,
        kind=line.kind,
        at=line.at,
        name=rollout.name,
        prompt_type=rollout.prompt_type,
        baseline=await _number(session, rollout.baseline_id),
        candidate=await _number(session, rollout.candidate_id),
        plan=plan.name,
        stage=line.stage,
        stages=len(plan.stages),
        percent=line.percent,
        by=line.by,
        reason=line.reason,
        rollout_id=rollout.id,
        workflow_id=rollout.workflow_id,
    )


async def _number(session: AsyncSession, version_id: str) -> str:
    """Return `x.y.z`; the id of a version that was deleted since."""
    found = await session.get(VersionRow, version_id)
    return found.version if found else version_id
