"""Catalog: what there is of prompts, a page at a time, for people who look through them.

It only reads, and never more than a page, however many versions a prompt has.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, tuple_
from sqlalchemy.orm import defer
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells
from domain.cells import Cell, CellKey
from domain.composition import PRODUCTION_TAG
from domain.database import Database, Prompt, default_database
from domain.epochs import LIVE
from domain.errors import NotFound
from domain.limits import SUCCESS
from domain.lineage import highest_first
from domain.paging import SIZE, Page, page, window
from domain.tables import RolloutRow, RoutingRow, TagMoveRow, TagRow, TrialRow, VersionRow
from domain.trials.findings import TrialStatus
from domain.value import Frozen

SECONDS = "response_time"
MOST_TAGS = 200  # of one prompt that are shown
HEAVY = ("template", "defaults", "validation", "details")  # what a list of versions does without


class PromptLine(Frozen):
    """One prompt in a list.

    Attributes:
        production: The number of the version in production; "" when none is.
        changed_at: When what it serves last changed; None: nothing was ever served.
        rollout: `1.0.0 → 1.1.0` of the rollout that holds it; "" when none does.
        experiment: The id of its live experiment; "" when there is none.
    """

    name: str
    prompt_type: str
    versions: int
    production: str = ""
    changed_at: datetime | None = None
    rollout: str = ""
    experiment: str = ""

    @property
    def flag(self) -> str:
        """The flag key, `<name>.<prompt_type>`."""
        return f"{self.name}.{self.prompt_type}"


class Figures(Frozen):
    """What a version did, wherever it was used.

    Attributes:
        uses: Events. success_rate: Of them, 0 to 1; None without any.
        p50: Of response times, in seconds, to within 1 %; None when nobody reported any.
    """

    uses: int = 0
    success_rate: float | None = None
    p50: float | None = None
    p95: float | None = None
    last_used: datetime | None = None


class VersionLine(Frozen):
    """One version in a list: all but its content."""

    version_id: str
    version: str
    status: str
    tags: tuple[str, ...] = ()
    created_at: datetime
    created_by: str = ""
    figures: Figures = Figures()


class TagLine(Frozen):
    """Which version carries a tag."""

    tag: str
    version: str


class MoveLine(Frozen):
    """A move of a tag; a version that was deleted since has no number any more."""

    tag: str
    version: str = ""
    previous: str = ""
    taken_off: bool = False
    at: datetime
    by: str = ""
    reason: str = ""


class Catalog:
    """Lists prompts, their versions and their tags."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def prompts(self, *, text: str = "", number: int = 1) -> Page[PromptLine]:
        """Return prompts whose flag contains the text in whatever case, by name and type."""
        order = (col(VersionRow.name), col(VersionRow.prompt_type))
        query = select(*order, func.count()).group_by(*order).order_by(*order)
        if text:
            flag = order[0] + "." + order[1]
            query = query.where(flag.icontains(text, autoescape=True))
        async with self._database.reading() as session:
            found = (await session.exec(window(query, number))).all()
            lines = await _described(session, {(n, t): count for n, t, count in found})
            return page(lines, number)

    async def prompt(self, name: str, prompt_type: str) -> PromptLine:
        """Return the line of one prompt; its versions are not counted."""
        async with self._database.reading() as session:
            (line,) = await _described(session, {(name, prompt_type): 0})
            return line

    async def versions(self, name: str, prompt_type: str, *, number: int = 1) -> Page[VersionLine]:
        """Return the prompt's versions, the highest number first.

        Raises:
            NotFound: It has none.
        """
        light = [defer(getattr(VersionRow, part), raiseload=True) for part in HEAVY]
        query = highest_first(name, prompt_type).options(*light)
        async with self._database.reading() as session:
            rows = (await session.exec(window(query, number))).all()
            if not rows and number == 1:
                raise NotFound(f"no prompt {name}.{prompt_type} is known: it has no version")
            shown = rows[:SIZE]
            tags = await _tags(session, (name, prompt_type), ids=[row.id for row in shown])
            seen = await figures(session, [row.id for row in shown])
            lines = [_line(row, tags=tags[row.id], seen=seen[row.id]) for row in shown]
            return Page(tuple(lines), number, more=len(rows) > SIZE)

    async def figures(self, version_id: str) -> Figures:
        """Return what a version did."""
        async with self._database.reading() as session:
            return (await figures(session, [version_id]))[version_id]

    async def tags(self, name: str, prompt_type: str) -> Sequence[TagLine]:
        """Return the first 200 tags of the prompt, and who carries them; `production` first."""
        query = (
            select(TagRow.tag, VersionRow.version)
            .join(VersionRow)
            .where(TagRow.name == name, TagRow.prompt_type == prompt_type)
            .order_by((col(TagRow.tag) != PRODUCTION_TAG), TagRow.tag)
            .limit(MOST_TAGS)
        )
        async with self._database.reading() as session:
            found = await session.exec(query)
            return [TagLine(tag=tag, version=version) for tag, version in found]

    async def moves(self, name: str, prompt_type: str, *, number: int = 1) -> Page[MoveLine]:
        """Return the moves of the prompt's tags, the latest first."""
        of_prompt = (TagMoveRow.name == name, TagMoveRow.prompt_type == prompt_type)
        query = select(TagMoveRow).where(*of_prompt).order_by(col(TagMoveRow.id).desc())
        async with self._database.reading() as session:
            rows = (await session.exec(window(query, number))).all()
            ids = {each for row in rows for each in (row.version_id, row.previous_id) if each}
            of_ids = select(VersionRow.id, VersionRow.version).where(col(VersionRow.id).in_(ids))
            numbers = dict((await session.exec(of_ids)).all())
            return page([_move(row, numbers) for row in rows], number)


async def figures(session: AsyncSession, version_ids: Sequence[str]) -> dict[str, Figures]:
    """Return what each version did, by two cells of each."""
    found = await cells.load(
        session,
        version_id=version_ids,
        experiment_id=[""],
        epoch=[0],
        metric=[SUCCESS, SECONDS],
    )
    return {version_id: _figures(version_id, found) for version_id in version_ids}


def _figures(version_id: str, found: Mapping[CellKey, Cell]) -> Figures:
    uses, seconds = (
        found.get(CellKey(version_id, "", 0, metric), Cell()) for metric in (SUCCESS, SECONDS)
    )
    return Figures(
        uses=uses.n,
        success_rate=uses.mean if uses.n else None,
        p50=seconds.quantile(0.5),
        p95=seconds.quantile(0.95),
        last_used=uses.last_at,
    )


async def _described(session: AsyncSession, counts: Mapping[Prompt, int]) -> list[PromptLine]:
    prompts = list(counts)
    production = await _in_production(session, prompts)
    changed = await _changed(session, prompts)
    rollouts = await _rollouts(session, prompts)
    experiments = await _experiments(session, prompts)
    return [
        PromptLine(
            name=prompt[0],
            prompt_type=prompt[1],
            versions=count,
            production=production.get(prompt, ""),
            changed_at=changed.get(prompt),
            rollout=rollouts.get(prompt, ""),
            experiment=experiments.get(prompt, ""),
        )
        for prompt, count in counts.items()
    ]


async def _in_production(session: AsyncSession, prompts: list[Prompt]) -> dict[Prompt, str]:
    of_prompts = tuple_(col(TagRow.name), col(TagRow.prompt_type)).in_(prompts)
    query = select(TagRow.name, TagRow.prompt_type, VersionRow.version).join(VersionRow)
    found = await session.exec(query.where(TagRow.tag == PRODUCTION_TAG, of_prompts))
    return {(name, prompt_type): version for name, prompt_type, version in found}


async def _changed(session: AsyncSession, prompts: list[Prompt]) -> dict[Prompt, datetime]:
    of_prompts = tuple_(col(RoutingRow.name), col(RoutingRow.prompt_type)).in_(prompts)
    query = select(RoutingRow.name, RoutingRow.prompt_type, RoutingRow.changed_at)
    found = await session.exec(query.where(RoutingRow.epoch > 0, of_prompts))
    return {(name, prompt_type): at for name, prompt_type, at in found}


async def _rollouts(session: AsyncSession, prompts: list[Prompt]) -> dict[Prompt, str]:
    of_prompts = tuple_(col(RolloutRow.name), col(RolloutRow.prompt_type)).in_(prompts)
    query = select(RolloutRow).where(col(RolloutRow.status).in_(LIVE), of_prompts)
    rows = (await session.exec(query)).all()
    ids = {each for row in rows for each in (row.baseline_id, row.candidate_id)}
    of_ids = select(VersionRow.id, VersionRow.version).where(col(VersionRow.id).in_(ids))
    numbers = dict((await session.exec(of_ids)).all())
    return {
        (row.name, row.prompt_type): " → ".join(
            numbers.get(each, "?") for each in (row.baseline_id, row.candidate_id)
        )
        for row in rows
    }


async def _experiments(session: AsyncSession, prompts: list[Prompt]) -> dict[Prompt, str]:
    of_prompts = tuple_(col(TrialRow.name), col(TrialRow.prompt_type)).in_(prompts)
    query = select(TrialRow.name, TrialRow.prompt_type, TrialRow.id)
    found = await session.exec(query.where(TrialRow.status == TrialStatus.LIVE, of_prompts))
    return {(name, prompt_type): id_ for name, prompt_type, id_ in found}


async def _tags(
    session: AsyncSession, prompt: Prompt, *, ids: Sequence[str]
) -> Mapping[str, list[str]]:
    of_prompt = (TagRow.name == prompt[0], TagRow.prompt_type == prompt[1])
    query = select(TagRow.version_id, TagRow.tag).where(*of_prompt, col(TagRow.version_id).in_(ids))
    found: defaultdict[str, list[str]] = defaultdict(list)
    for version_id, tag in await session.exec(query.order_by(TagRow.tag)):
        found[version_id].append(tag)
    return found


def _line(row: VersionRow, *, tags: Sequence[str], seen: Figures) -> VersionLine:
    return VersionLine(
        version_id=row.id,
        version=row.version,
        status=row.status,
        tags=tuple(tags),
        created_at=row.created_at,
        created_by=row.created_by or "",
        figures=seen,
    )


def _move(row: TagMoveRow, numbers: Mapping[str, str]) -> MoveLine:
    return MoveLine(
        tag=row.tag,
        version=numbers.get(row.version_id or "", ""),
        previous=numbers.get(row.previous_id or "", ""),
        taken_off=row.version_id is None,
        at=row.at,
        by=row.by,
        reason=row.reason,
    )
