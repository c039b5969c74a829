"""Which epoch of which experiment an event is an observation of."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.prompts import ExperimentStatus
from domain.tables import AllocationRow, ExperimentRow, VersionRow
from domain.wire import Event

LATENESS = timedelta(minutes=10)  # how long after its end an epoch still takes events

LIVE = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)
OPEN = datetime(9999, 1, 1, tzinfo=UTC)  # the end of what has not ended


SPANS = (  # made once: it is asked for every batch of events
    select(
        col(VersionRow.id).label("version_id"),
        col(VersionRow.version),
        col(ExperimentRow.id).label("experiment_id"),
        col(ExperimentRow.name),
        col(ExperimentRow.variants),
        col(ExperimentRow.end_date),
        col(AllocationRow.epoch),
        col(AllocationRow.started_at),
        col(AllocationRow.ended_at),
    )
    .select_from(VersionRow)
    .join(
        ExperimentRow,
        (col(ExperimentRow.name) == col(VersionRow.name))
        & (col(ExperimentRow.prompt_type) == col(VersionRow.prompt_type)),
    )
    .join(AllocationRow)
    .where(col(VersionRow.id).in_(bindparam("version_ids", expanding=True)))
    .where(
        col(ExperimentRow.status).in_(LIVE) | (col(ExperimentRow.end_date) >= bindparam("earliest"))
    )
    .order_by(
        col(ExperimentRow.start_date).desc(),
        col(ExperimentRow.id).desc(),
        col(AllocationRow.epoch).desc(),
    )
)


class Span(NamedTuple):
    """The time during which one epoch of an experiment was in force."""

    experiment_id: str
    name: str
    epoch: int
    start: datetime
    end: datetime


Attributed = tuple[Event, Span | None]


def attribute(event: Event, spans: Iterable[Span], *, now: datetime) -> Span | None:
    """Return what an event that arrives `now` is counted in besides its version; None for nothing.

    That is the epoch in force when it happened, of the experiment it names, else of the newest one.
    What happened just after an experiment's end belongs to its last epoch. An epoch that ended
    longer than `LATENESS` ago takes no more events: its evidence has been looked at.

    Args:
        event: It names its experiment by id or name, or not at all.
        spans: Of all experiments its version takes part in, latest first.
        now: The instant of arrival.
    """
    at, named = event.occurred_at, event.experiment_id
    mine = [span for span in spans if named in (None, span.experiment_id, span.name)]
    found = next((span for span in mine if span.start <= at < span.end), None) or next(
        (span for span in mine if span.end <= at < span.end + LATENESS), None
    )
    return found if found and now <= found.end + LATENESS else None


async def attribute_all(
    session: AsyncSession, events: Sequence[Event], *, now: datetime
) -> list[Attributed]:
    """Return each event with what it is counted in."""
    spans = await load_spans(session, sorted({event.version_id for event in events}), now=now)
    if not spans:
        return [(event, None) for event in events]
    return [(event, attribute(event, spans[event.version_id], now=now)) for event in events]


def experiment_of(event: Event, span: Span | None) -> str | None:
    """Return the id of the experiment an event counts in, else of the one it names."""
    return span.experiment_id if span else event.experiment_id


async def find_experiments(session: AsyncSession, experiment_id: str) -> list[str]:
    """Return the ids meant by an id, or by the name of what is running, else paused."""
    named = (col(ExperimentRow.name) == experiment_id) & col(ExperimentRow.status).in_(LIVE)
    query = select(col(ExperimentRow.id), col(ExperimentRow.status)).where(
        (col(ExperimentRow.id) == experiment_id) | named
    )
    ranks = {
        row.id: (row.id != experiment_id, row.status != ExperimentStatus.RUNNING)
        for row in await (await session.connection()).execute(query)
    }
    best = min(ranks.values(), default=None)
    return [found for found, rank in ranks.items() if rank == best]


async def load_spans(
    session: AsyncSession, version_ids: Sequence[str], *, now: datetime
) -> defaultdict[str, list[Span]]:
    """Return, per version, its prompt's experiments that include it, latest epoch first.

    Experiments that ended longer than `LATENESS` ago are left out.
    """
    asked = {"version_ids": list(version_ids), "earliest": now - LATENESS}
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for row in await (await session.connection()).execute(SPANS, asked):
        if any(variant["version"] == row.version for variant in row.variants):
            spans[row.version_id].append(_span(row))
    return spans


def _span(row: Row[Any]) -> Span:
    return Span(
        experiment_id=row.experiment_id,
        name=row.name,
        epoch=row.epoch,
        start=row.started_at,
        end=row.ended_at or row.end_date or OPEN,
    )
