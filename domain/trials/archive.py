"""TrialArchive: trials, live and over, for people who look through them. It only reads."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.errors import NotFound
from domain.paging import Page, page, window
from domain.tables import ExperimentRow, TrialLineRow, TrialRow
from domain.trials import inspection
from domain.trials.findings import Split, Step, Trial, TrialLine, TrialStatus

DECISIONS = 500  # of one trial that are read
LOOKS = 200  # so many of them show how it went
OTHERS = 20  # trials of one prompt


class State(StrEnum):
    """What a list of trials may be narrowed to."""

    LIVE = "live"
    OVER = "over"


class TrialArchive:
    """Finds trials, and what was seen and decided in them."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def trials(
        self, *, state: State | None = None, text: str = "", number: int = 1
    ) -> Page[Trial]:
        """Return trials whose flag contains the text in whatever case: live first, then latest."""
        is_live = col(TrialRow.status) == TrialStatus.LIVE
        query = select(TrialRow).order_by(is_live.desc(), col(TrialRow.id).desc())
        if state is not None:
            query = query.where(is_live if state is State.LIVE else ~is_live)
        if text:
            flag = col(TrialRow.name) + "." + col(TrialRow.prompt_type)
            query = query.where(flag.icontains(text, autoescape=True))
        async with self._database.reading() as session:
            rows = (await session.exec(window(query, number))).all()
            return page([_trial(row) for row in rows], number)

    async def of_prompt(self, name: str, prompt_type: str) -> Sequence[Trial]:
        """Return the latest trials of a prompt, the newest first."""
        of_prompt = (TrialRow.name == name, TrialRow.prompt_type == prompt_type)
        query = select(TrialRow).where(*of_prompt).order_by(col(TrialRow.id).desc()).limit(OTHERS)
        async with self._database.reading() as session:
            return [_trial(row) for row in await session.exec(query)]

    async def get(self, trial_id: str) -> Trial:
        """Return the trial.

        Raises:
            NotFound: There is no such trial.
        """
        async with self._database.reading() as session:
            return _trial(await _row(session, trial_id))

    async def looks(self, trial_id: str) -> Sequence[TrialLine]:
        """Return lines that tell of looks, oldest first: the latest, and some 200 before it."""
        looks = col(TrialLineRow.step) == Step.CHECKED
        latest = await self._lines(trial_id, looks, limit=1)
        if not latest or latest[0].report is None:
            return latest
        step = 1 + latest[0].report.number // LOOKS
        keys = [f"check:{number}" for number in range(latest[0].report.number, -1, -step)]
        return await self._lines(trial_id, col(TrialLineRow.key).in_(keys), limit=len(keys))

    async def decisions(self, trial_id: str) -> Sequence[TrialLine]:
        """Return the latest 500 lines that tell of anything else, oldest first."""
        return await self._lines(trial_id, col(TrialLineRow.step) != Step.CHECKED, limit=DECISIONS)

    async def _lines(
        self, trial_id: str, which: ColumnElement[bool], *, limit: int
    ) -> Sequence[TrialLine]:
        query = select(TrialLineRow).where(TrialLineRow.trial_id == trial_id, which)
        latest = query.order_by(col(TrialLineRow.id).desc()).limit(limit)
        async with self._database.reading() as session:
            rows = (await session.exec(latest)).all()
            return [TrialLine.model_validate(row.model_dump()) for row in reversed(rows)]

    async def split(self, trial_id: str) -> Split:
        """Return how many users each arm should have been given, and how many it was.

        Blank if the experiment was deleted.

        Raises:
            NotFound: There is no such trial.
        """
        async with self._database.reading() as session:
            row = await _row(session, trial_id)
            experiment = await session.get(ExperimentRow, row.id)
            return await inspection.split(session, experiment) if experiment else Split()


async def _row(session: AsyncSession, trial_id: str) -> TrialRow:
    row = await session.get(TrialRow, trial_id)
    if row is None:
        raise NotFound(f"no experiment {trial_id!r} is known")
    return row


def _trial(row: TrialRow) -> Trial:
    return Trial.model_validate(row.model_dump())
