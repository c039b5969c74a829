"""Reconciler: finds rollouts that nobody looks after, and does what their plan says.

A rollout whose workflow was terminated, deleted or lost would keep its split for ever. Its lease
runs out instead, and whoever reconciles asks Temporal whether the workflow is still there.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.bundles import members
from domain.database import Database, default_database
from domain.epochs import LIVE
from domain.leases import Late, Taken
from domain.plan import RolloutPlan
from domain.record import Kind, RolloutStatus
from domain.rollouts import RolloutManager
from domain.tables import RolloutRow

RECONCILER = "reconciler"  # who rolls back what nobody looks after
MOST = 1000  # that are looked at in one go


class Reconciler:
    """Looks and takes over. Every call may be repeated."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._rollouts = RolloutManager(self._database)

    async def late(
        self, *, namespace: str | None = None, now: datetime | None = None
    ) -> Sequence[Late]:
        """Return rollouts whose lease has run out, the longest first; at most a thousand.

        Args:
            namespace: Of Temporal; rollouts of another one are none of its business.
            now: The present instant if None.
        """
        expired = col(RolloutRow.lease_until) < (now or datetime.now(UTC))
        query = (
            select(RolloutRow)
            .where(
                col(RolloutRow.status).in_(LIVE),
                RolloutRow.workflow_id != "",
                or_(expired, col(RolloutRow.lease_until).is_(None)),
                or_(col(RolloutRow.bundle_id).is_(None), RolloutRow.bundle_id == RolloutRow.id),
            )
            .order_by(col(RolloutRow.lease_until))
            .limit(MOST)
        )
        if namespace is not None:
            unnamed = col(RolloutRow.namespace).is_(None)
            query = query.where(or_(RolloutRow.namespace == namespace, unnamed))
        async with self._database.reading() as session:
            return [_late(row) for row in await session.exec(query)]

    async def take_over(self, late: Late, *, why: str) -> Taken:
        """Hold or roll back, as the plan says; a rollback that has begun is completed in any case.

        Args:
            late: As it was found; nothing is done if its lease was renewed since.
            why: What has become of its workflow.

        Raises:
            NotFound: There is no such rollout.
            RollbackIncomplete: What was read back differs; try again.
        """
        async with self._database.transaction() as session:
            row = (await members.locked(session, late.rollout_id)).asked
            if row.status not in LIVE or row.lease_until != late.lease_until:
                return Taken.LOOKED_AFTER
            plan = RolloutPlan.model_validate(row.plan)
            holds = plan.when_orphaned == "hold" and row.status == RolloutStatus.LIVE
            reason = f"nobody looks after it: its workflow {row.workflow_id} {why}"
            await _journal(session, row, reason=reason, holds=holds)
        if holds:
            return Taken.HELD
        await self._rollouts.roll_back(late.rollout_id, reason=reason, by=RECONCILER)
        return Taken.ROLLED_BACK


async def _journal(session: AsyncSession, row: RolloutRow, *, reason: str, holds: bool) -> None:
    """Journal it once, however often it is looked at."""
    if await journal.find(session, row, "reconciled"):
        return
    said = f"it is held at {row.percent:g} %, as its plan says" if holds else "it is rolled back"
    why = f"{reason}; {said}"
    journal.write(session, row, key="reconciled", kind=Kind.RECONCILED, by=RECONCILER, reason=why)


def _late(row: RolloutRow) -> Late:
    return Late(
        rollout_id=row.id,
        prompt=f"{row.name}.{row.prompt_type}",
        workflow_id=row.workflow_id,
        key=row.key,
        lease_until=row.lease_until,
    )
