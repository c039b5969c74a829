"""The journal of a trial: append-only lines, each with a key that makes retries harmless."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain.evidence.looks import Evidence
from domain.tables import TrialEvidenceRow, TrialLineRow, TrialRow
from domain.trials.findings import Report, Step, TrialLine

logger = logging.getLogger(__name__)


def write(  # a line has no fewer parts
    session: AsyncSession,
    row: TrialRow,
    *,
    key: str,
    step: Step,
    reason: str,
    by: str = "",
    report: Report | None = None,
) -> None:
    """Append one line, and keep the trial it speaks of as it is now."""
    line = TrialLineRow(
        id=str(uuid7()),
        trial_id=row.id,
        key=key,
        step=step.value,
        at=datetime.now(UTC),
        epoch=row.epoch,
        by=by,
        reason=reason,
        report=report.model_dump(mode="json") if report else None,
    )
    session.add_all([row, line])
    logger.info("experiment.%s", step.value, extra={"trial": row.id, "by": by, "reason": reason})


async def find(session: AsyncSession, row: TrialRow, key: str) -> TrialLineRow | None:
    """Return the line of that key: the step was taken already."""
    query = select(TrialLineRow).where(TrialLineRow.trial_id == row.id, TrialLineRow.key == key)
    return (await session.exec(query)).one_or_none()


async def latest(session: AsyncSession, row: TrialRow, arm: str) -> Evidence:
    """Return the evidence about an arm after the latest look."""
    of_arm = (TrialEvidenceRow.trial_id == row.id, TrialEvidenceRow.arm == arm)
    newest = col(TrialEvidenceRow.number).desc()
    query = select(TrialEvidenceRow).where(*of_arm).order_by(newest).limit(1)
    found = (await session.exec(query)).first()
    return Evidence.model_validate(found.evidence) if found else Evidence()


async def read(session: AsyncSession, trial_id: str, *, limit: int) -> Sequence[TrialLine]:
    """Return the latest lines, oldest first."""
    query = (
        select(TrialLineRow)
        .where(TrialLineRow.trial_id == trial_id)
        .order_by(col(TrialLineRow.id).desc())
        .limit(limit)
    )
    rows = (await session.exec(query)).all()
    return [TrialLine.model_validate(row.model_dump()) for row in reversed(rows)]
