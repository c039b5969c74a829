"""Roster: a line for each rollout, many at a time, found by a text or a state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import aliased
from sqlmodel import col, or_

from domain.database import Database
from domain.epochs import LIVE
from domain.fields import check_text
from domain.record import RolloutStatus
from domain.tables import RolloutRow, VersionRow

ESCAPE = "\\"
CANDIDATE, BASELINE = aliased(VersionRow), aliased(VersionRow)
SEARCHED = (
    col(RolloutRow.name) + "." + col(RolloutRow.prompt_type),
    col(RolloutRow.by),
    col(RolloutRow.reason),
    col(BASELINE.version),
    col(CANDIDATE.version),
)
COLUMNS = (
    "id", "workflow_id", "name", "prompt_type", "status", "stage", "percent", "opened_at",
    "concluded_at", "by", "bundle_id",
)  # fmt: skip
TOLD: tuple[Any, ...] = (
    *(col(getattr(RolloutRow, name)) for name in COLUMNS),
    col(BASELINE.version).label("baseline"),
    col(CANDIDATE.version).label("candidate"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One rollout in a few words.

    Attributes:
        percent: What its stage says.
        bundle_id: The rollout that leads the bundle, this one perhaps; None when it is alone.
    """

    id: str
    workflow_id: str
    prompt: str
    baseline: str
    candidate: str
    status: RolloutStatus
    stage: int
    percent: float
    opened_at: datetime
    concluded_at: datetime | None
    by: str
    bundle_id: str | None

    @property
    def live(self) -> bool:
        """Whether it holds its prompt."""
        return self.status in LIVE


class Roster:
    """Reads lines in one query, plans and evidence left out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self,
        *,
        text: str = "",
        statuses: Sequence[RolloutStatus] = (),
        prompt: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """Return rollouts, the live ones first, then the newest.

        Args:
            text: In the prompt, a version's number, the reason or the name of who began it; of any
                case where it is ASCII.
            statuses: Any of these; by default all.
            prompt: Name and type; by default all.
            limit: At most so many.

        Raises:
            InvalidValue: The text is none that a database could hold.
        """
        wanted = _wanted(text, statuses, prompt)
        live_first = case((col(RolloutRow.status).in_(LIVE), 0), else_=1)
        query = (
            select(*TOLD)
            .select_from(RolloutRow)
            .join(BASELINE, col(BASELINE.id) == col(RolloutRow.baseline_id))
            .join(CANDIDATE, col(CANDIDATE.id) == col(RolloutRow.candidate_id))
            .where(*wanted)
            .order_by(live_first, col(RolloutRow.id).desc())
            .limit(limit)
        )
        async with self._database.reading() as session:
            found = await (await session.connection()).execute(query)
        return [_entry(**told) for told in found.mappings()]


def _wanted(
    text: str, statuses: Sequence[RolloutStatus], prompt: tuple[str, str] | None
) -> Sequence[ColumnElement[bool]]:
    check_text(text, field="text")
    wanted: list[ColumnElement[bool]] = []
    if text:
        pattern = f"%{_literal(text)}%"
        wanted.append(or_(*(one.ilike(pattern, escape=ESCAPE) for one in SEARCHED)))
    if statuses:
        wanted.append(col(RolloutRow.status).in_([status.value for status in statuses]))
    if prompt is not None:
        wanted += [col(RolloutRow.name) == prompt[0], col(RolloutRow.prompt_type) == prompt[1]]
    return wanted


def _literal(text: str) -> str:
    """Return what a pattern of SQL takes literally."""
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return text


def _entry(name: str, prompt_type: str, status: str, **told: Any) -> Entry:
    return Entry(prompt=f"{name}.{prompt_type}", status=RolloutStatus(status), **told)
