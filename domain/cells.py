"""The cells: what is known of a metric, ready to read, however many events it took."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, Self

import msgspec
from sqlalchemy import Row, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import columns, limits
from domain.attribution import Attributed
from domain.limits import SUCCESS
from domain.stats.histogram import Histogram, Levels
from domain.stats.moments import Moments
from domain.tables import CellRow
from domain.wire import Event

CELLS = CellRow.metadata.tables["cell"]
SHARDS = 8  # writers at a time that do not wait for each other, on PostgreSQL
SURPLUS = ":surplus"  # counts the custom numbers that no cell took; no caller can name it


class CellKey(NamedTuple):
    """Names a cell. Experiment "" and epoch 0: everything the version was ever used for."""

    version_id: str
    experiment_id: str
    epoch: int
    metric: str


class Measurement(NamedTuple):
    """One number for one cell, and when it was measured."""

    key: CellKey
    value: float
    at: datetime


class Part(NamedTuple):
    """Names the part of a cell that one writer at a time adds to."""

    key: CellKey
    shard: int


_COUNTS = msgspec.json.Decoder(dict[int, int])
_EMPTY = (0, 0.0, 0.0, None, None, "{}", None)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is known of one metric; `last_at` is when its latest event happened.

    Success is counted 1 and failure 0, so the mean of that metric is a rate; it needs no histogram.
    """

    moments: Moments = field(default_factory=Moments)
    histogram: Histogram = field(default_factory=Histogram)
    last_at: datetime | None = None

    @classmethod
    def of(cls, metric: str, values: Sequence[float], *, last_at: datetime) -> Self:
        """Return the cell of some measurements of `metric`."""
        counted = () if metric in (SUCCESS, SURPLUS) else values
        return cls(Moments.of(values), scale(metric).of(counted), last_at)

    @property
    def n(self) -> int:
        """How many events reported the metric."""
        return self.moments.n

    @property
    def mean(self) -> float:
        """The mean of what they reported; 0.0 when none did: ask `n` first."""
        return self.moments.mean

    @property
    def total(self) -> float:
        """The sum of what they reported."""
        return self.moments.total

    def quantile(self, q: float) -> float | None:
        """Return the quantile, 0 <= q <= 1, to within 1 %; None when there is nothing."""
        found = self.histogram.quantile(q)
        low, high = self.moments.min, self.moments.max
        if found is None or low is None or high is None:
            return None
        return min(max(found, low), high)

    def merge(self, other: Self) -> Self:
        """Return what both know together."""
        instants = [at for at in (self.last_at, other.last_at) if at is not None]
        return type(self)(
            self.moments.merge(other.moments),
            self.histogram.merge(other.histogram),
            max(instants, default=None),
        )


def scale(metric: str) -> type[Histogram]:
    """Return how the values of a metric are laid out in buckets."""
    return Levels if metric == "user_rating" else Histogram


def additions(
    counted: Iterable[Attributed], *, surplus: AbstractSet[tuple[str, str]] = frozenset()
) -> dict[CellKey, Cell]:
    """Return what the events add to the cells of their versions, and of the spans they fall in.

    Args:
        counted: The events, with their spans.
        surplus: Version ids and the names of numbers that no cell of theirs takes.
    """
    groups: defaultdict[tuple[str, str, int], list[Event]] = defaultdict(list)
    for event, span in counted:
        id_, epoch = (span.experiment_id, span.epoch) if span else ("", 0)
        groups[event.version_id, id_, epoch].append(event)
    added: dict[CellKey, Cell] = {}
    for (version_id, experiment_id, epoch), events in groups.items():
        names = {name for of_version, name in surplus if of_version == version_id}
        for metric, cell in _of_group(events, surplus=names).items():
            total = CellKey(version_id, "", 0, metric)
            added[total] = added[total].merge(cell) if total in added else cell
            if experiment_id:
                added[CellKey(version_id, experiment_id, epoch, metric)] = cell
    return added


def aggregate(measurements: Iterable[Measurement]) -> dict[CellKey, Cell]:
    """Return what the measurements add to their cells."""
    values: defaultdict[CellKey, list[float]] = defaultdict(list)
    last_at: dict[CellKey, datetime] = {}
    for key, value, at in measurements:
        values[key].append(value)
        last_at[key] = max(at, last_at.get(key, at))
    return {key: Cell.of(key.metric, values[key], last_at=last_at[key]) for key in values}


async def load(
    session: AsyncSession, table: Table = CELLS, /, **where: Sequence[str] | Sequence[int]
) -> dict[CellKey, Cell]:
    """Return the cells whose columns hold one of these values each."""
    conditions = [table.columns[name].in_(values) for name, values in where.items()]
    query = select(table).where(*conditions).order_by(table.columns.shard)
    found: dict[CellKey, Cell] = {}
    for row in await (await session.connection()).execute(query):
        key, cell = _from_row(row)
        found[key] = found[key].merge(cell) if key in found else cell
    return found


async def add(
    session: AsyncSession, additions: Mapping[CellKey, Cell], *, table: Table = CELLS
) -> None:
    """Merge additions into the cells; writers of one shard come one after another."""
    if not additions:
        return
    shard = await own_shard(session)
    known = await hold(session, [Part(key, shard) for key in additions], table=table)
    rows = [
        _to_row(part, cell.merge(additions[part.key]))
        for part, cell in sorted(known.items(), key=lambda held: _lock_order(held[0]))
    ]
    await columns.put(session, table, rows)


async def hold(
    session: AsyncSession, parts: Iterable[Part], *, table: Table = CELLS
) -> dict[Part, Cell]:
    """Return the parts and keep them from other writers until the transaction ends.

    In one order for all writers, so that none deadlock.
    """
    ordered = sorted(parts, key=_lock_order)
    known = dict.fromkeys(ordered, Cell())
    keys = [(*part.key, part.shard) for part in ordered]
    for row in await columns.hold(session, table, keys, empty=_EMPTY):
        *key, shard, n, mean, m2, low, high, counts, last_at = row
        part = Part(CellKey(*key), shard)
        histogram = scale(part.key.metric)(_COUNTS.decode(counts))
        known[part] = Cell(Moments(n, mean, m2, low, high), histogram, last_at)
    return known


async def hold_versions(session: AsyncSession, version_ids: Iterable[str]) -> int:
    """Keep all writers from versions, and return how many events these have together."""
    shards = range(SHARDS) if columns.is_postgresql(session) else (0,)
    totals = [total(version_id) for version_id in version_ids]
    held = await hold(session, [Part(key, shard) for key in totals for shard in shards])
    return sum(cell.n for cell in held.values())


async def drop(session: AsyncSession, version_id: str, *, table: Table = CELLS) -> None:
    """Delete every cell of a version."""
    statement = delete(table).where(table.columns.version_id == version_id)
    await (await session.connection()).execute(statement)


def insert(session: AsyncSession, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that knows ON CONFLICT, which SQLAlchemy offers per dialect only."""
    return postgresql.insert(table) if columns.is_postgresql(session) else sqlite.insert(table)


def total(version_id: str) -> CellKey:
    """Return the key of a version's count of all events."""
    return CellKey(version_id, "", 0, SUCCESS)


async def own_shard(session: AsyncSession) -> int:
    """Return the shard that this transaction writes: one connection, one writer, one shard."""
    if not columns.is_postgresql(session):
        return 0
    raw: Any = await (await session.connection()).get_raw_connection()
    return int(raw.driver_connection.get_server_pid()) % SHARDS


def _of_group(events: Sequence[Event], *, surplus: AbstractSet[str]) -> dict[str, Cell]:
    """Return what events of one version and one epoch say of each metric."""
    last_at = max([event.occurred_at for event in events])
    found = {SUCCESS: Cell.of(SUCCESS, [event.success for event in events], last_at=last_at)}
    for metric in limits.MEASURED:
        value_of = attrgetter(metric)
        values = [value for event in events if (value := value_of(event)) is not None]
        if values:
            at = last_at
            if len(values) < len(events):
                at = max(event.occurred_at for event in events if value_of(event) is not None)
            found[metric] = Cell.of(metric, values, last_at=at)
    told = [event for event in events if event.numbers]
    return found | _of_numbers(told, surplus=surplus) if told else found


def _of_numbers(events: Sequence[Event], *, surplus: AbstractSet[str]) -> dict[str, Cell]:
    values: defaultdict[str, list[float]] = defaultdict(list)
    last_at: dict[str, datetime] = {}
    for event in events:
        for name, value in event.numbers.items():
            if name in surplus:
                name, value = SURPLUS, 1.0
            values[name].append(value)
            last_at[name] = max(event.occurred_at, last_at.get(name, event.occurred_at))
    return {name: Cell.of(name, values[name], last_at=last_at[name]) for name in values}


def _lock_order(part: Part) -> tuple[str, str, int, bool, str, int]:
    """Put a version's count of all events first: who holds it holds all cells of the shard."""
    key = part.key
    return (
        key.version_id, key.experiment_id, key.epoch, key.metric != SUCCESS, key.metric, part.shard,
    )  # fmt: skip


def _to_row(part: Part, cell: Cell) -> columns.Row:
    moments = cell.moments
    counts = msgspec.json.encode(cell.histogram.counts).decode()
    figures = (moments.n, moments.mean, moments.m2, moments.min, moments.max)
    return (*part.key, part.shard, *figures, counts, cell.last_at)


def _from_row(row: Row[Any]) -> tuple[CellKey, Cell]:
    key = CellKey(row.version_id, row.experiment_id, row.epoch, row.metric)
    moments = Moments(row.n, row.mean, row.m2, row.min, row.max)
    return key, Cell(moments, scale(row.metric).from_json(row.histogram), row.last_at)
