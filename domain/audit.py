"""Who did what, when and why, over all prompts: what an auditor asks for.

Read from the journals and tables there are; nothing is kept a second time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.record import Kind
from domain.tables import (
    DecisionRow,
    RolloutRow,
    SegmentRow,
    TagMoveRow,
    TokenRow,
    TrialLineRow,
    TrialRow,
    VersionRow,
)
from domain.trials.findings import Step
from domain.value import Frozen

START = datetime.fromtimestamp(0, UTC)


class Deed(Frozen):
    """Something that was done.

    Attributes:
        what: `rollout paused`, `tag moved`, `token revoked` …
        subject: The prompt, or the token, it was done to.
        by: Empty where the tables know nobody.
    """

    at: datetime
    by: str
    what: str
    subject: str
    reason: str = ""


class AuditTrail:
    """Reads deeds. One consistent state of the database, one query for each table."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def deeds(
        self, *, since: datetime | None = None, by: str | None = None, limit: int = 1000
    ) -> Sequence[Deed]:
        """Return the latest deeds, oldest first; checks are left out, for nobody did them.

        Args:
            since: By default everything.
            by: Only those of this person or token.
            limit: At most so many, > 0.
        """
        start = since or START
        async with self._database.reading() as session:
            found = [
                *await _of_rollouts(session, start, limit=limit),
                *await _of_trials(session, start, limit=limit),
                *await _of_tags(session, start, limit=limit),
                *await _of_versions(session, start, limit=limit),
                *await _of_segments(session, start, limit=limit),
                *await _of_tokens(session, start),
            ]
        wanted = [deed for deed in found if deed.at >= start and by in (None, deed.by)]
        return sorted(wanted, key=lambda deed: deed.at)[-limit:]


async def _of_rollouts(session: AsyncSession, since: datetime, *, limit: int) -> list[Deed]:
    query = (
        select(DecisionRow, RolloutRow)
        .join(RolloutRow)
        .where(DecisionRow.kind != Kind.CHECKED.value, DecisionRow.at >= since)
        .order_by(col(DecisionRow.at).desc())
        .limit(limit)
    )
    return [
        Deed(at=line.at, by=line.by, what=f"rollout {line.kind}", reason=line.reason,
             subject=f"{of.name}.{of.prompt_type}")
        for line, of in await session.exec(query)
    ]  # fmt: skip


async def _of_trials(session: AsyncSession, since: datetime, *, limit: int) -> list[Deed]:
    query = (
        select(TrialLineRow, TrialRow)
        .join(TrialRow)
        .where(TrialLineRow.step != Step.CHECKED.value, TrialLineRow.at >= since)
        .order_by(col(TrialLineRow.at).desc())
        .limit(limit)
    )
    return [
        Deed(at=line.at, by=line.by, what=f"experiment {line.step}", reason=line.reason,
             subject=f"{of.name}.{of.prompt_type}")
        for line, of in await session.exec(query)
    ]  # fmt: skip


async def _of_tags(session: AsyncSession, since: datetime, *, limit: int) -> list[Deed]:
    newest = col(TagMoveRow.at).desc()
    query = select(TagMoveRow).where(TagMoveRow.at >= since).order_by(newest).limit(limit)
    return [
        Deed(at=move.at, by=move.by, reason=move.reason, subject=f"{move.name}.{move.prompt_type}",
             what=f"tag {move.tag} {'moved' if move.version_id else 'removed'}")
        for move in await session.exec(query)
    ]  # fmt: skip


async def _of_versions(session: AsyncSession, since: datetime, *, limit: int) -> list[Deed]:
    newest = col(VersionRow.created_at).desc()
    query = select(VersionRow).where(VersionRow.created_at >= since).order_by(newest).limit(limit)
    return [
        Deed(at=made.created_at, by=made.created_by or "", what=f"version {made.version} created",
             subject=f"{made.name}.{made.prompt_type}")
        for made in await session.exec(query)
    ]  # fmt: skip


async def _of_segments(session: AsyncSession, since: datetime, *, limit: int) -> list[Deed]:
    newest = col(SegmentRow.defined_at).desc()
    query = select(SegmentRow).where(SegmentRow.defined_at >= since).order_by(newest).limit(limit)
    return [
        Deed(at=made.defined_at, by=made.by, what=f"segment {made.segment} defined",
             subject=f"{made.name}.{made.prompt_type}", reason=made.rule)
        for made in await session.exec(query)
    ]  # fmt: skip


async def _of_tokens(session: AsyncSession, since: datetime) -> list[Deed]:
    """Return making and ending; tokens are few."""
    found = []
    for row in await session.exec(select(TokenRow)):
        subject, roles = f"{row.name} ({row.id})", ", ".join(row.roles)
        made = Deed(at=row.created_at, by=row.created_by, what="token created", subject=subject)
        found.append(made.model_copy(update={"reason": f"for {roles}"}))
        if row.revoked_at is not None:
            ended = {"at": row.revoked_at, "by": row.revoked_by, "what": "token revoked"}
            found.append(made.model_copy(update=ended))
    return [deed for deed in found if deed.at >= since]
