"""SegmentManager: the segments of a prompt, and the lanes that serve them.

A lane is an ordinary prompt. When a segmented rollout opens, the versions of the prompt are copied
into it, and what is in production stays in production, so that nobody notices. From then on the
lane goes its own way until its segment is removed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.errors import Conflict, NotFound
from domain.fields import check_label, check_prompt
from domain.rollouts import RolloutManager
from domain.routing import LIVE, lock_prompt
from domain.segments.opening import open_rings, refuse_if_splitting
from domain.segments.plan import Opening, Segment, SegmentedRequest, lane_name
from domain.tables import SegmentRow
from domain.versions import VersionManager

Prompt = tuple[str, str]  # name and type


class SegmentManager:
    """Defines, orders and removes segments; opens their lanes. Each method is one transaction."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._versions = VersionManager(self._database)
        self._rollouts = RolloutManager(self._database)

    async def define(
        self,
        name: str,
        prompt_type: str,
        segment: str,
        rule: str,
        *,
        order: int | None = None,
        by: str = "",
    ) -> Segment:
        """Define a segment, or give a defined one another rule or place. Idempotent.

        `order` counts from 1; by default a new segment comes last and a known one stays in place.

        Raises:
            InvalidValue: The name or the rule is none, or the order is below 1.
            NotFound: The prompt has no version.
            Conflict: The prompt is a lane itself, or users of a live experiment would move.
        """
        wanted = Segment.parse(
            {"name": segment, "rule": rule} | ({"order": order} if order is not None else {})
        )
        check_prompt(name, prompt_type)
        check_label(lane_name(name, segment), field="the name of the lane")
        async with self._database.transaction() as session:
            rows = await _locked(session, name, prompt_type)
            old = next((row for row in rows if row.segment == segment), None)
            if old and old.rule == wanted.rule and order in (None, old.place):
                return _segment(old)
            await self._refuse_strange(session, name, prompt_type, segment)
            await _refuse_if_users_would_move(session, rows)
            row = old or _row((name, prompt_type), wanted, place=len(rows) + 1)
            row.rule, row.by, row.defined_at = wanted.rule, by, datetime.now(UTC)
            others = [each for each in rows if each is not old]
            others.insert((order or row.place) - 1, row)
            _number(session, others)
            return _segment(row)

    async def list(self, name: str, prompt_type: str) -> Sequence[Segment]:
        """Return the prompt's segments, in order."""
        async with self._database.reading() as session:
            return [_segment(row) for row in await _rows(session, name, prompt_type)]

    async def everywhere(self) -> Mapping[Prompt, Sequence[Segment]]:
        """Return the segments of every prompt that has any, in order."""
        query = select(SegmentRow).order_by(col(SegmentRow.place), col(SegmentRow.segment))
        found: defaultdict[Prompt, list[Segment]] = defaultdict(list)
        async with self._database.reading() as session:
            for row in await session.exec(query):
                found[row.name, row.prompt_type].append(_segment(row))
        return found

    async def remove(self, name: str, prompt_type: str, segment: str) -> bool:
        """Remove the segment: its users are served by the prompt again. False if there is none.

        The lane, its versions and its history stay; defined again, it serves what it served.

        Raises:
            Conflict: Users of a live experiment would move.
        """
        async with self._database.transaction() as session:
            rows = await _locked(session, name, prompt_type)
            row = next((row for row in rows if row.segment == segment), None)
            if row is None:
                return False
            await _refuse_if_users_would_move(session, rows)
            await session.delete(row)
            _number(session, [each for each in rows if each is not row])
            return True

    async def reorder(
        self, name: str, prompt_type: str, segments: Sequence[str]
    ) -> Sequence[Segment]:
        """Put all segments of the prompt into this order. Idempotent.

        Raises:
            Conflict: Not exactly the defined segments are named, each once, or users of a live
                experiment would move.
        """
        async with self._database.transaction() as session:
            rows = {row.segment: row for row in await _locked(session, name, prompt_type)}
            if sorted(rows) != sorted(segments):
                raise Conflict(
                    f"the order must name each segment of {name}.{prompt_type} once:"
                    f" {', '.join(rows) or 'it has none'}; got {', '.join(segments) or 'nothing'}"
                )
            if list(rows) != list(segments):
                await _refuse_if_users_would_move(session, rows.values())
                _number(session, [rows[each] for each in segments])
            return [_segment(rows[each]) for each in segments]

    async def open(self, request: SegmentedRequest) -> Opening:
        """Check a segmented rollout and make its lanes ready; users notice nothing. Idempotent.

        Raises:
            NotFound: The prompt has no production version, no such candidate or segment.
            Conflict: The candidate is no active version, is in production in every ring already, or
                is unlike a lane's version of that number; something is live on a ring.
        """
        name, prompt_type = request.name, request.prompt_type
        async with self._database.transaction() as session:
            defined = [row.segment for row in await _locked(session, name, prompt_type)]
            return await open_rings(session, request, versions=self._versions, defined=defined)

    async def roll_back_orphan(
        self, name: str, prompt_type: str, *, workflow_id: str, reason: str, by: str = ""
    ) -> bool:
        """Roll back the prompt's live rollout if that workflow left it; return whether it had."""
        async with self._database.transaction():
            for latest in await self._rollouts.list(name, prompt_type, limit=1):
                if latest.workflow_id == workflow_id and latest.status in LIVE:
                    await self._rollouts.roll_back(latest.id, reason=reason, by=by)
                    return True
        return False

    async def _refuse_strange(
        self, session: AsyncSession, name: str, prompt_type: str, segment: str
    ) -> None:
        """Refuse segments of a prompt without versions, and lanes within lanes."""
        if await self._versions.get_version(name, prompt_type) is None:
            raise NotFound(f"{name}.{prompt_type} has no version: create one before its segments")
        above, _, last = name.rpartition("_")
        if await session.get(SegmentRow, (above, prompt_type, last)):
            raise Conflict(
                f"{name}.{prompt_type} is the lane of segment {last!r} of {above}.{prompt_type},"
                " cannot have segments"
            )
        lane = lane_name(name, segment)
        if await _rows(session, lane, prompt_type):
            raise Conflict(f"{lane}.{prompt_type} has segments itself, cannot be a lane")


async def _locked(session: AsyncSession, name: str, prompt_type: str) -> Sequence[SegmentRow]:
    """Return the prompt's segments in order, as they are once no other writer is at work."""
    await lock_prompt(session, name, prompt_type)
    return await _rows(session, name, prompt_type)


async def _rows(session: AsyncSession, name: str, prompt_type: str) -> Sequence[SegmentRow]:
    query = (
        select(SegmentRow)
        .where(SegmentRow.name == name, SegmentRow.prompt_type == prompt_type)
        .order_by(col(SegmentRow.place), col(SegmentRow.segment))
        .execution_options(populate_existing=True)
    )
    return (await session.exec(query)).all()


async def _refuse_if_users_would_move(session: AsyncSession, rows: Iterable[SegmentRow]) -> None:
    """A user who changes lanes leaves one comparison and enters another: both are spoilt."""
    for row in rows:
        lane = lane_name(row.name, row.segment)
        await refuse_if_splitting(session, lane, row.prompt_type, doing="change the segments")


def _row(prompt: Prompt, wanted: Segment, *, place: int) -> SegmentRow:
    return SegmentRow(
        name=prompt[0],
        prompt_type=prompt[1],
        segment=wanted.name,
        rule=wanted.rule,
        place=place,
        defined_at=datetime.now(UTC),
    )


def _segment(row: SegmentRow) -> Segment:
    # Checked when it was defined; routers read all of them every second.
    return Segment.model_construct(name=row.segment, rule=row.rule, order=row.place)


def _number(session: AsyncSession, rows: Iterable[SegmentRow]) -> None:
    for place, row in enumerate(rows, 1):
        row.place = place
        session.add(row)
