"""What counts as evidence: the first outcome of each user in each epoch, kept exactly once.

Events of one user are not independent: one unlucky user who retries fifty times must not look like
fifty failures. With one observation a user they are, however strongly users' events resemble each
other. Each metric has a first of its own. An event without a user counts singly.

Means, too, are of first values, not of each user's mean: so an observation never changes once it is
made, and what a look has seen stays as it was.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any

from sqlalchemy import delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells, columns, events
from domain.attribution import Attributed
from domain.cells import CellKey, Measurement
from domain.tables import ObservationRow, ObservedCellRow

OBSERVATIONS = ObservationRow.metadata.tables["observation"]
OBSERVED = ObservedCellRow.metadata.tables["observed_cell"]


KEY = tuple(column.name for column in OBSERVATIONS.primary_key)

Whose = tuple[str, int, str, str]  # experiment, epoch, user, metric; there are many: plain tuples


async def observe(
    session: AsyncSession,
    counted: Iterable[Attributed],
    *,
    surplus: AbstractSet[tuple[str, str]] = frozenset(),
) -> None:
    """Add to the observed cells what newly counted events are the first to say.

    Exactly once a user, epoch and metric, whatever is retried and whoever writes at the same time.
    Of several events of a user in one call the one that happened first counts, by its id when they
    happened at once; of several calls, the one that was first to be counted.

    Args:
        session: The one that has counted the events: it holds the cells of their versions, so that
            no reset comes in between.
        counted: Events that were not counted before.
        surplus: Version ids and the names of numbers that are not observed.
    """
    single, first = _first_outcomes(counted, surplus)
    new = await _insert(session, first)
    await cells.add(session, cells.aggregate([*single, *new]), table=OBSERVED)


async def drop(session: AsyncSession, version_id: str) -> None:
    """Forget every observation of a version: its users may be observed again."""
    # The experiments first: the key begins with them, so that no other observation is visited.
    of_version = OBSERVED.columns.version_id == version_id
    experiments = select(OBSERVED.columns.experiment_id).where(of_version)
    statement = delete(OBSERVATIONS).where(
        OBSERVATIONS.columns.version_id == version_id,
        OBSERVATIONS.columns.experiment_id.in_(experiments),
    )
    await (await session.connection()).execute(statement)
    await cells.drop(session, version_id, table=OBSERVED)


def _first_outcomes(
    counted: Iterable[Attributed], surplus: AbstractSet[tuple[str, str]]
) -> tuple[list[Measurement], dict[Whose, Measurement]]:
    """Return what nobody in particular said, and what each user was the first to say."""
    single: list[Measurement] = []
    first: dict[Whose, Measurement] = {}
    cell_key = cache(CellKey)
    in_epochs = [(event, span) for event, span in counted if span]
    for event, span in sorted(in_epochs, key=lambda e: (e[0].occurred_at, e[0].event_id)):
        experiment_id, epoch, user_id = span.experiment_id, span.epoch, event.user_id
        for metric, value in events.measurements(event).items():
            if user_id is not None and (experiment_id, epoch, user_id, metric) in first:
                continue
            if surplus and (event.version_id, metric) in surplus:
                continue
            key = cell_key(event.version_id, experiment_id, epoch, metric)
            said = Measurement(key, value, event.occurred_at)
            if user_id is None:
                single.append(said)
            else:
                first[experiment_id, epoch, user_id, metric] = said
    return single, first


async def _insert(session: AsyncSession, first: dict[Whose, Measurement]) -> list[Measurement]:
    """Keep who is observed and return what was not observed before.

    In the order of the keys, so that two writers of the same users do not deadlock.
    """
    if not first:
        return []
    keys = sorted(first)
    given = [*zip(*keys, strict=True), [first[key].key.version_id for key in keys]]
    new: list[Any] = await columns.insert_new(session, OBSERVATIONS, given, key=KEY)
    return [first[key] for key in new]
