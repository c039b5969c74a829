"""The journal of a rollout: append-only lines, each with a key that makes retries harmless."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain.judge import Verdict
from domain.record import Decision, Kind
from domain.tables import DecisionRow, RolloutRow

logger = logging.getLogger(__name__)


def write(
    session: AsyncSession, row: RolloutRow, *, key: str, kind: Kind, reason: str, by: str = ""
) -> DecisionRow:
    """Append one line, and keep the rollout it speaks of as it is now."""
    line = DecisionRow(
        id=str(uuid7()),
        rollout_id=row.id,
        key=key,
        kind=kind.value,
        at=datetime.now(UTC),
        stage=row.stage,
        percent=row.percent,
        epoch=row.epoch,
        readings=[],
        by=by,
        reason=reason,
    )
    session.add_all([row, line])
    logger.info("rollout.%s", kind.value, extra={"rollout": row.id, "by": by, "reason": reason})
    return line


def write_verdict(
    session: AsyncSession, row: RolloutRow, *, key: str, verdict: Verdict
) -> DecisionRow:
    """Append one check: what was read, and what follows from it."""
    line = write(session, row, key=key, kind=Kind.CHECKED, reason=verdict.reason)
    line.action = verdict.action.value
    line.readings = [reading.model_dump(mode="json") for reading in verdict.readings]
    return line


async def find(session: AsyncSession, row: RolloutRow, key: str) -> DecisionRow | None:
    """Return the line of that key: the step was taken already."""
    query = select(DecisionRow).where(DecisionRow.rollout_id == row.id, DecisionRow.key == key)
    return (await session.exec(query)).one_or_none()


async def read(session: AsyncSession, rollout_id: str, *, limit: int) -> Sequence[Decision]:
    """Return the latest lines, oldest first."""
    query = (
        select(DecisionRow)
        .where(DecisionRow.rollout_id == rollout_id)
        .order_by(col(DecisionRow.id).desc())
        .limit(limit)
    )
    rows = (await session.exec(query)).all()
    return [Decision.model_validate(row.model_dump()) for row in reversed(rows)]
