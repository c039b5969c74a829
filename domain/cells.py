"""The cells: what is known of a metric, ready to read, however many events it took."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import Row, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import events
from domain.attribution import Attributed
from domain.prompts import Json
from domain.stats.histogram import Histogram, Levels
from domain.stats.moments import Moments
from domain.tables import CellRow

CELLS = CellRow.metadata.tables["cell"]


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


VALUES = [column.name for column in CELLS.columns if column.name not in CellKey._fields]


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
        counted = values if metric != events.SUCCESS else ()
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


def measured(counted: Iterable[Attributed]) -> Iterator[Measurement]:
    """Yield what the events say of their versions, and of the spans they fall in."""
    for event, span in counted:
        places = [("", 0)] + ([(span.experiment_id, span.epoch)] if span else [])
        for metric, value in events.measurements(event).items():
            for experiment_id, epoch in places:
                key = CellKey(event.version_id, experiment_id, epoch, metric)
                yield Measurement(key, value, event.timestamp)


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
    rows = await (await session.connection()).execute(select(table).where(*conditions))
    return dict(_from_row(row) for row in rows)


async def add(
    session: AsyncSession, additions: Mapping[CellKey, Cell], *, table: Table = CELLS
) -> None:
    """Merge additions into the cells, one writer after another."""
    if not additions:
        return
    known = await claim(session, additions, table=table)
    rows = [_to_row(key, known[key].merge(cell)) for key, cell in additions.items()]
    merged = insert(session, table)
    kept = {name: merged.excluded[name] for name in VALUES}
    statement = merged.on_conflict_do_update(index_elements=CellKey._fields, set_=kept)
    await (await session.connection()).execute(statement, rows)


async def claim(
    session: AsyncSession, keys: Iterable[CellKey], *, table: Table = CELLS
) -> dict[CellKey, Cell]:
    """Return the cells and hold them until the transaction ends; missing ones are made.

    One statement makes, locks and reads, in one order for all writers: so none deadlock.
    """
    rows = [_to_row(key, Cell()) for key in sorted(keys, key=_lock_order)]
    touch = insert(session, table).on_conflict_do_update(
        index_elements=CellKey._fields, set_={"n": table.columns.n}
    )
    connection = await session.connection()
    found = await connection.execute(touch.returning(*table.columns), rows)
    return dict(_from_row(row) for row in found)


async def drop(session: AsyncSession, version_id: str, *, table: Table = CELLS) -> None:
    """Delete every cell of a version."""
    statement = delete(table).where(table.columns.version_id == version_id)
    await (await session.connection()).execute(statement)


def insert(session: AsyncSession, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that knows ON CONFLICT, which SQLAlchemy offers per dialect only."""
    dialect = session.get_bind().dialect.name
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def _lock_order(key: CellKey) -> tuple[str, str, int, bool, str]:
    """Put a version's count of all events first: who holds it holds all cells of the version."""
    return key.version_id, key.experiment_id, key.epoch, key.metric != events.SUCCESS, key.metric


def _to_row(key: CellKey, cell: Cell) -> Json:
    moments = asdict(cell.moments)
    counts = cell.histogram.to_json()
    return key._asdict() | moments | {"histogram": counts, "last_at": cell.last_at}


def _from_row(row: Row[Any]) -> tuple[CellKey, Cell]:
    key = CellKey(row.version_id, row.experiment_id, row.epoch, row.metric)
    moments = Moments(row.n, row.mean, row.m2, row.min, row.max)
    return key, Cell(moments, scale(row.metric).from_json(row.histogram), row.last_at)
