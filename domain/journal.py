"""The journal of a rollout: append-only lines, each with a key that makes retries harmless."""

import logging
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain.amendment import Amended
from domain.evidence.looks import Evidence, Judged, Look
from domain.judge import Verdict
from domain.notifications.notice import concerns
from domain.record import Kind
from domain.tables import DecisionRow, EvidenceRow, NotificationRow, RolloutRow

logger = logging.getLogger(__name__)

CHANGES = (Kind.AMENDED.value, Kind.EXTENDED.value)  # lines whose details hold two plans


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
    if concerns(kind):
        notification = NotificationRow(
            id=line.id, rollout_id=row.id, kind=line.kind, occurred_at=line.at
        )
        session.add(notification)
    told = {"rollout": row.id, "prompt": f"{row.name}.{row.prompt_type}", "by": by}
    logger.info("rollout.%s", kind.value, extra=told | {"reason": reason})
    return line


async def write_verdict(
    session: AsyncSession, row: RolloutRow, *, number: int, judged: Judged
) -> None:
    """Append one check: what was seen, what was read from it, and what follows."""
    verdict = judged.verdict
    line = write(session, row, key=f"check:{number}", kind=Kind.CHECKED, reason=verdict.reason)
    line.action = verdict.action.value
    line.readings = [reading.model_dump(mode="json") for reading in verdict.readings]
    await session.flush()  # the evidence refers to it
    kept = EvidenceRow(
        decision_id=line.id,
        rollout_id=row.id,
        number=number,
        method=judged.method,
        policy=judged.policy,
        look=judged.look.model_dump(mode="json"),
        evidence=judged.evidence.model_dump(mode="json"),
    )
    session.add(kept)


class Latest(NamedTuple):
    """The latest check: its number, the fingerprint it was judged by, the evidence after it."""

    number: int = 0
    policy: str = ""
    evidence: Evidence = Evidence()


async def latest(session: AsyncSession, row: RolloutRow) -> Latest:
    """Return the latest check; before the first, nothing is known."""
    newest = col(EvidenceRow.number).desc()
    query = select(EvidenceRow).where(EvidenceRow.rollout_id == row.id).order_by(newest).limit(1)
    found = (await session.exec(query)).first()
    if found is None:
        return Latest()
    return Latest(found.number, found.policy, Evidence.model_validate(found.evidence))


async def amendments(session: AsyncSession, rollout_id: str) -> Sequence[Amended]:
    """Return how the plan was changed, oldest first."""
    query = select(DecisionRow).where(
        DecisionRow.rollout_id == rollout_id, col(DecisionRow.kind).in_(CHANGES)
    )
    rows = await session.exec(query.order_by(col(DecisionRow.id)))
    return [Amended.model_validate(row.details) for row in rows]


async def judged(
    session: AsyncSession, rollout_id: str, *, numbers: Collection[int] | None = None
) -> Sequence[Judged]:
    """Return every check, or those of the numbers, with all that it rested on, oldest first."""
    query = select(EvidenceRow, DecisionRow).join(DecisionRow)
    of_rollout = query.where(EvidenceRow.rollout_id == rollout_id)
    if numbers is not None:
        of_rollout = of_rollout.where(col(EvidenceRow.number).in_(numbers))
    rows = (await session.exec(of_rollout.order_by(col(EvidenceRow.number)))).all()
    return [_check(kept, line) for kept, line in rows]


async def newest(session: AsyncSession, rollout_id: str) -> Judged | None:
    """Return the latest check as `judged` does; None before the first."""
    query = select(EvidenceRow, DecisionRow).join(DecisionRow)
    of_rollout = query.where(EvidenceRow.rollout_id == rollout_id)
    latest_first = of_rollout.order_by(col(EvidenceRow.number).desc()).limit(1)
    found = (await session.exec(latest_first)).first()
    return _check(*found) if found else None


def _check(kept: EvidenceRow, line: DecisionRow) -> Judged:
    return Judged(
        number=kept.number,
        stage=line.stage,
        percent=line.percent,
        method=kept.method,
        policy=kept.policy,
        look=Look.model_validate(kept.look),
        evidence=Evidence.model_validate(kept.evidence),
        verdict=verdict_of(line),
    )


async def even_numbers(session: AsyncSession, rollout_id: str, *, most: int) -> Sequence[int]:
    """Return evenly many of the checks' numbers, and of each epoch the first and the last."""
    query = select(EvidenceRow.number, DecisionRow.epoch).join(DecisionRow)
    of_rollout = query.where(EvidenceRow.rollout_id == rollout_id)
    found = (await session.exec(of_rollout.order_by(col(EvidenceRow.number)))).all()
    stride = max(1, -(-len(found) // most))
    ends = {epoch: number for number, epoch in found}
    begins = {epoch: number for number, epoch in reversed(found)}
    even = {number for place, (number, _) in enumerate(found) if place % stride == 0}
    return sorted(even | {*ends.values(), *begins.values()})


async def last_number(session: AsyncSession, rollout_id: str) -> int:
    """Return the number of the latest check that kept what it rested on; 0 before the first."""
    query = select(func.max(EvidenceRow.number)).where(EvidenceRow.rollout_id == rollout_id)
    return (await session.exec(query)).one() or 0


def verdict_of(line: DecisionRow) -> Verdict:
    """Return what a check said."""
    return Verdict.model_validate(
        {"action": line.action, "reason": line.reason, "readings": line.readings}
    )


async def find(session: AsyncSession, row: RolloutRow, key: str) -> DecisionRow | None:
    """Return the line of that key: the step was taken already."""
    query = select(DecisionRow).where(DecisionRow.rollout_id == row.id, DecisionRow.key == key)
    return (await session.exec(query)).one_or_none()


async def read(
    session: AsyncSession, rollout_ids: Sequence[str], *, limit: int
) -> Sequence[DecisionRow]:
    """Return the latest lines of the rollouts, oldest first."""
    query = (
        select(DecisionRow)
        .where(col(DecisionRow.rollout_id).in_(rollout_ids))
        .order_by(col(DecisionRow.id).desc())
        .limit(limit)
    )
    return (await session.exec(query)).all()[::-1]
