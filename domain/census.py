"""How many rollouts there are in each state, and how they stand: for who watches them all."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import func
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.record import RolloutStatus
from domain.tables import DecisionRow, EvidenceRow, RolloutRow
from domain.value import Frozen

MOST = 200  # live rollouts that are told one by one
ENDED = (RolloutStatus.PROMOTED.value, RolloutStatus.ROLLED_BACK.value)


class Weight(Frozen):
    """What the latest check of a live rollout found against one guardrail.

    Attributes:
        flag: The prompt, `<name>.<prompt_type>`.
        log_e: The natural logarithm of the evidence of harm; 3.0 is 1 in 20.
    """

    flag: str
    guardrail: str
    log_e: float


class Census(Frozen):
    """All rollouts at one moment.

    Attributes:
        rollouts: How many have each status; all statuses are there.
        leases_expired: How many that have not ended nobody has looked after for too long.
        weights: Of live rollouts, the latest first, `MOST` of them at most.
        notifications: How many wait to be sent; None where none are kept.
    """

    rollouts: Mapping[str, int]
    leases_expired: int
    weights: tuple[Weight, ...]
    notifications: int | None = None


class CensusManager:
    """Counts."""

    def __init__(self, database: Database | None = None) -> None:
        self._database = database or default_database()

    async def take(self) -> Census:
        """Count now; from one consistent state."""
        async with self._database.reading() as session:
            return Census(
                rollouts=await _by_status(session),
                leases_expired=await _expired(session),
                weights=await _weights(session),
                notifications=await _waiting(session),
            )


async def _by_status(session: AsyncSession) -> dict[str, int]:
    query = select(RolloutRow.status, func.count()).group_by(col(RolloutRow.status))
    return {status.value: 0 for status in RolloutStatus} | dict((await session.exec(query)).all())


async def _expired(session: AsyncSession) -> int:
    query = select(func.count()).where(
        col(RolloutRow.status).not_in(ENDED), col(RolloutRow.lease_until) < datetime.now(UTC)
    )
    return (await session.exec(query)).one()


async def _weights(session: AsyncSession) -> tuple[Weight, ...]:
    live = (
        select(RolloutRow.id)
        .where(RolloutRow.status == RolloutStatus.LIVE)
        .order_by(col(RolloutRow.id).desc())
        .limit(MOST)
    )
    latest = (
        select(EvidenceRow.rollout_id, func.max(EvidenceRow.number).label("number"))
        .where(col(EvidenceRow.rollout_id).in_(live))
        .group_by(col(EvidenceRow.rollout_id))
        .subquery()
    )
    query = (
        select(RolloutRow, DecisionRow)
        .join(EvidenceRow, col(EvidenceRow.rollout_id) == col(RolloutRow.id))
        .join(DecisionRow, col(DecisionRow.id) == col(EvidenceRow.decision_id))
        .join(
            latest,
            (latest.c.rollout_id == col(EvidenceRow.rollout_id))
            & (latest.c.number == col(EvidenceRow.number)),
        )
        .order_by(col(RolloutRow.id).desc())
    )
    return tuple(
        Weight(
            flag=f"{row.name}.{row.prompt_type}",
            guardrail=reading["guardrail"],
            log_e=reading.get("log_e") or 0.0,
        )
        for row, line in (await session.exec(query)).all()
        for reading in line.readings
    )


async def _waiting(session: AsyncSession) -> int | None:
    table = SQLModel.metadata.tables.get("notification")
    if table is None:
        return None
    connection = await session.connection()
    query = select(func.count()).select_from(table).where(table.c.status == "waiting")
    return int((await connection.execute(query)).scalar_one())
