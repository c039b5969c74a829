"""The rollouts that stand and fall together: a bundle's, or one that is alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import aliased
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain.bundles.companions import flag_of
from domain.bundles.verdicts import together
from domain.errors import NotFound
from domain.judge import Verdict
from domain.record import Member, Rollout
from domain.tables import RolloutRow, VersionRow


@dataclass(frozen=True, slots=True)
class Members:
    """The rows of all that stand and fall with the rollout that was asked for.

    Attributes:
        rows: In the order of their prompts, in which everybody locks them: two bundles that share
            prompts wait for one another, and never in a circle.
    """

    asked: RolloutRow
    rows: Sequence[RolloutRow]

    def holding(self, epoch: int) -> Iterator[tuple[RolloutRow, int]]:
        """Yield each with its fencing token: `epoch` of the one asked for, else its own."""
        for row in self.rows:
            yield row, epoch if row is self.asked else row.epoch

    def judged(self, verdicts: Mapping[str, Verdict]) -> Verdict:
        """Return the one verdict of all; `verdicts` are by the id of a rollout."""
        return together({flag_of(row): verdicts[row.id] for row in leader_first(self.rows)})

    def name(self, row: RolloutRow, said: str) -> str:
        """Return what was said of a member, with its prompt where there are several."""
        return f"{flag_of(row)}: {said}" if len(self.rows) > 1 else said


async def locked(session: AsyncSession, rollout_id: str) -> Members:
    """Return the members, locked, so that two writers of any of them follow one another.

    Raises:
        NotFound: There is no such rollout.
    """
    return await _read(session, rollout_id, _of(rollout_id).with_for_update())


async def found(session: AsyncSession, rollout_id: str) -> Members:
    """Return the members, to look at.

    Raises:
        NotFound: There is no such rollout.
    """
    return await _read(session, rollout_id, _of(rollout_id))


async def size(session: AsyncSession, row: RolloutRow) -> int:
    """Return how many there are."""
    if row.bundle_id is None:
        return 1
    query = select(func.count()).where(RolloutRow.bundle_id == row.bundle_id)
    return (await session.exec(query)).one()


async def arms(session: AsyncSession, row: RolloutRow) -> tuple[VersionRow, VersionRow]:
    """Return baseline and candidate."""
    baseline = await session.get_one(VersionRow, row.baseline_id)
    return baseline, await session.get_one(VersionRow, row.candidate_id)


async def recorded(session: AsyncSession, row: RolloutRow) -> Rollout:
    """Return the rollout as it is told to others."""
    baseline, candidate = await arms(session, row)
    told = {"baseline": baseline.version, "candidate": candidate.version}
    if row.bundle_id is None:
        return Rollout.model_validate(row.model_dump() | told)
    rows = (await session.exec(_of(row.id))).all()
    members = [await _member(session, each) for each in leader_first(rows)]
    return Rollout.model_validate(row.model_dump() | told | {"bundle": members})


def leader_first(rows: Sequence[RolloutRow]) -> Sequence[RolloutRow]:
    """Return the rows as they are told of."""
    return sorted(rows, key=lambda row: row.id != row.bundle_id)


async def _read(
    session: AsyncSession, rollout_id: str, query: SelectOfScalar[RolloutRow]
) -> Members:
    rows = (await session.exec(query)).all()
    asked = next((row for row in rows if row.id == rollout_id), None)
    if asked is None:
        raise NotFound(f"no rollout {rollout_id!r}")
    return Members(asked, rows)


def _of(rollout_id: str) -> SelectOfScalar[RolloutRow]:
    """Return the query for the rollout and whoever is in a bundle with it.

    Ids are in the order of the prompts: `opening` gave them so.
    """
    asked = aliased(RolloutRow)
    bundle = select(asked.bundle_id).where(asked.id == rollout_id).scalar_subquery()
    mine = or_(RolloutRow.id == rollout_id, RolloutRow.bundle_id == bundle)
    query = select(RolloutRow).where(mine).order_by(col(RolloutRow.id))
    # A row this session has already read may have been changed by another one since.
    return query.execution_options(populate_existing=True)


async def _member(session: AsyncSession, row: RolloutRow) -> Member:
    baseline, candidate = await arms(session, row)
    return Member(
        rollout_id=row.id,
        prompt=flag_of(row),
        baseline=baseline.version,
        candidate=candidate.version,
    )
