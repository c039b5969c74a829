"""Which version users were first given in each epoch of an experiment: a record, never the rule.

Whether the arms have the users they should have is judged by these alone, never by events: who is
served must not be counted by how it went. Where nobody records exposures there is nothing to judge.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells
from domain.attribution import LATENESS, OPEN
from domain.errors import InvalidValue, NotFound
from domain.events import TEXT_LIMIT
from domain.fields import check_text
from domain.tables import AllocationRow, ExperimentRow, ExposureCountRow, ExposureRow

EXPOSURES = ExposureRow.metadata.tables["exposure"]
COUNTS = ExposureCountRow.metadata.tables["exposure_count"]
BATCH_LIMIT = 10_000  # exposures of one transaction


class Exposure(NamedTuple):
    """A user was given a version, by number, in an epoch."""

    user_id: str
    version: str
    epoch: int


async def record(
    session: AsyncSession, experiment: ExperimentRow, given: Iterable[Exposure]
) -> int:
    """Record and count each user once per epoch, and return how many are new.

    Again changes nothing; of two versions in one epoch the first stays.
    """
    first = {(exposure.epoch, exposure.user_id): exposure for exposure in reversed([*given])}
    if not first:
        return 0
    known = {"experiment_id": experiment.id, "at": datetime.now(UTC)}
    # In one order for all writers, so that none deadlock.
    rows = [known | first[key]._asdict() for key in sorted(first)]
    statement = cells.insert(session, EXPOSURES).on_conflict_do_nothing()
    key = (EXPOSURES.columns.epoch, EXPOSURES.columns.version)
    found = await (await session.connection()).execute(statement.returning(*key), rows)
    new = Counter((epoch, version) for epoch, version in found)
    await _count(session, experiment, new)
    return new.total()


async def counts(session: AsyncSession, experiment_id: str, *, epoch: int) -> dict[str, int]:
    """Return how many users were first given each version in an epoch; one row per arm is read.

    Empty if nobody was recorded.
    """
    query = select(ExposureCountRow.version, ExposureCountRow.users).where(
        ExposureCountRow.experiment_id == experiment_id, ExposureCountRow.epoch == epoch
    )
    return dict((await session.exec(query)).all())


async def timely(
    session: AsyncSession, experiment: ExperimentRow, given: Sequence[tuple[str, str, int]]
) -> list[Exposure]:
    """Return those whose epoch has not ended longer than `LATENESS` ago.

    Raises:
        InvalidValue: The exposure of the index that is named is malformed, or of no version or no
            epoch of the experiment; or there are more than 10 000.
    """
    if len(given) > BATCH_LIMIT:
        raise InvalidValue(f"a batch holds at most {BATCH_LIMIT} exposures, got {len(given)}")
    query = select(AllocationRow.epoch, AllocationRow.ended_at).where(
        AllocationRow.experiment_id == experiment.id
    )
    ends = dict((await session.exec(query)).all())
    versions, epochs = list(experiment.traffic_split), list(ends)
    earliest = datetime.now(UTC) - LATENESS
    found = [_checked(e, index, versions=versions, epochs=epochs) for index, e in enumerate(given)]
    return [e for e in found if (ends[e.epoch] or experiment.end_date or OPEN) >= earliest]


async def latest(
    session: AsyncSession, experiment: ExperimentRow, *, user_id: str | None = None
) -> dict[str, str]:
    """Return the version of each user's latest epoch; of one user when named.

    Raises:
        NotFound: They were deleted.
    """
    _refuse_swept(experiment)
    query = select(ExposureRow.user_id, ExposureRow.version).where(_latest_of(experiment.id))
    if user_id is not None:
        query = query.where(ExposureRow.user_id == user_id)
    return dict((await session.exec(query)).all())


async def distribution(session: AsyncSession, experiment: ExperimentRow) -> dict[str, int]:
    """Return how many users' latest epoch has each version.

    Raises:
        NotFound: They were deleted.
    """
    _refuse_swept(experiment)
    users = select(ExposureRow.version, func.count()).where(_latest_of(experiment.id))
    return dict((await session.exec(users.group_by(col(ExposureRow.version)))).all())


async def _count(
    session: AsyncSession, experiment: ExperimentRow, new: Counter[tuple[int, str]]
) -> None:
    """Add to the counts of the epochs.

    All arms of an epoch are touched, those without a new user too: so who holds one holds them all,
    and transactions that record several users, one after the other, do not deadlock.
    """
    epochs = sorted({epoch for epoch, _ in new})
    rows = [
        {"experiment_id": experiment.id, "epoch": epoch, "version": v, "users": new[epoch, v]}
        for epoch in epochs
        for v in sorted(experiment.traffic_split)
    ]
    if not rows:
        return
    added = cells.insert(session, COUNTS)
    statement = added.on_conflict_do_update(
        index_elements=["experiment_id", "epoch", "version"],
        set_={"users": COUNTS.columns.users + added.excluded.users},
    )
    await (await session.connection()).execute(statement, rows)


def _refuse_swept(experiment: ExperimentRow) -> None:
    """Refuse to say "nobody" where nobody is known any more."""
    if experiment.swept_at is not None:
        raise NotFound(
            f"the exposures of experiment {experiment.id} were deleted on"
            f" {experiment.swept_at:%Y-%m-%d}, as retention says; how many there were is kept"
        )


def _checked(
    given: tuple[str, str, int], index: int, *, versions: list[str], epochs: list[int]
) -> Exposure:
    try:
        exposure = Exposure(*given)
        check_text(exposure.user_id, field="user_id")
    except (TypeError, InvalidValue) as error:
        raise InvalidValue(f"exposure {index}: {error}") from error
    for field, value, allowed in (
        ("length of user_id", len(exposure.user_id), range(1, TEXT_LIMIT + 1)),
        ("version", exposure.version, versions),
        ("epoch", exposure.epoch, epochs),
    ):
        if isinstance(value, bool) or value not in allowed:
            raise InvalidValue(f"exposure {index}: {field} must be in {allowed}, got {value!r}")
    return exposure


def _latest_of(experiment_id: str) -> ColumnElement[bool]:
    other = aliased(ExposureRow)
    last = (
        select(func.max(other.epoch))
        .where(other.experiment_id == experiment_id, other.user_id == ExposureRow.user_id)
        .correlate(ExposureRow)
        .scalar_subquery()
    )
    return (col(ExposureRow.experiment_id) == experiment_id) & (col(ExposureRow.epoch) == last)
