"""Which custom numbers of a version have cells: the first 200 names, so that cells stay few.

What a caller makes up without end (a user id in the name of a number) must fill neither the
database nor every read. An event that says more is counted all the same, and kept as it was sent;
of its surplus numbers only how many there were is counted, in the cell `cells.SURPLUS`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells
from domain.attribution import Attributed
from domain.cells import CELLS, SURPLUS, Part
from domain.limits import MEASURED, METRICS_LIMIT, SUCCESS

Names = Mapping[str, set[str]]  # of custom numbers, by version


async def surplus(session: AsyncSession, counted: Sequence[Attributed]) -> set[tuple[str, str]]:
    """Return the version ids and names of numbers that are to have no cell.

    The names that are new to a version are taken in their order until it has 200. New names are
    judged one writer at a time; no other writer waits.

    Args:
        session: The one that will write the cells of all these events, and holds none so far.
        counted: Events that were not counted before.
    """
    said: defaultdict[str, set[str]] = defaultdict(set)
    for event, _ in counted:
        if event.numbers:
            said[event.version_id] |= event.numbers.keys()
    if not said or not _new(said, await _known(session, said)):
        return set()
    versions = {event.version_id for event, _ in counted}
    await _hold(session, versions, naming=said.keys())
    known = await _known(session, said)
    return {
        (version_id, name)
        for version_id, names in _new(said, known).items()
        for name in sorted(names)[max(0, METRICS_LIMIT - len(known[version_id])) :]
    }


def _new(said: Names, known: Names) -> dict[str, set[str]]:
    found = {version_id: names - known[version_id] for version_id, names in said.items()}
    return {version_id: names for version_id, names in found.items() if names}


async def _known(session: AsyncSession, version_ids: Iterable[str]) -> defaultdict[str, set[str]]:
    key = CELLS.columns
    query = select(key.version_id, key.metric).where(
        key.version_id.in_(sorted(version_ids)),
        key.experiment_id == "",
        key.epoch == 0,
        key.metric.not_in((SUCCESS, *MEASURED, SURPLUS)),
    )
    known: defaultdict[str, set[str]] = defaultdict(set)
    for version_id, name in await (await session.connection()).execute(query):
        known[version_id].add(name)
    return known


async def _hold(
    session: AsyncSession, version_ids: Iterable[str], *, naming: Iterable[str]
) -> None:
    """Hold our shard of all versions, and of those with new names the first shard too.

    All of them, not only those with new names: so that our next cells are in order after these.
    """
    shard = await cells.own_shard(session)
    parts = {Part(cells.total(version_id), shard) for version_id in version_ids}
    parts |= {Part(cells.total(version_id), 0) for version_id in naming}
    await cells.hold(session, parts)
