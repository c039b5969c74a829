"""Which epoch of which experiment an event is an observation of."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.prompts import ExperimentStatus, MetricEvent
from domain.tables import AllocationRow, ExperimentRow, VersionRow

LATENESS = timedelta(minutes=10)  # how long after its end an epoch still takes events

LIVE = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)
OPEN = datetime(9999, 1, 1, tzinfo=UTC)  # the end of what has not ended


class Span(NamedTuple):
    """The time during which one epoch of an experiment was in force."""

    experiment_id: str
    name: str
    epoch: int
    start: datetime
    end: datetime


Attributed = tuple[MetricEvent, Span | None]


def attribute(event: MetricEvent, spans: Iterable[Span], *, now: datetime) -> Span | None:
    """Return what an event that arrives `now` is counted in besides its version; None for nothing.

    That is the epoch in force when it happened, of the experiment it names, else of the newest one.
    What happened just after an experiment's end belongs to its last epoch. An epoch that ended
    longer than `LATENESS` ago takes no more events: its evidence has been looked at.

    Args:
        event: It names its experiment by id or name, or not at all.
        spans: Of all experiments its version takes part in, latest first.
        now: The instant of arrival.
    """
    at, named = event.timestamp, event.experiment_id
    mine = [span for span in spans if named in (None, span.experiment_id, span.name)]
    found = next((span for span in mine if span.start <= at < span.end), None) or next(
        (span for span in mine if span.end <= at < span.end + LATENESS), None
    )
    return found if found and now <= found.end + LATENESS else None


async def attribute_all(
    session: AsyncSession, events: Sequence[MetricEvent], *, now: datetime
) -> list[Attributed]:
    """Return each event with what it is counted in, and with the id of that experiment."""
    spans = await load_spans(session, sorted({event.version_id for event in events}), now=now)
    found = [(event, attribute(event, spans[event.version_id], now=now)) for event in events]
    return [(_named(event, span), span) for event, span in found]


async def find_experiments(session: AsyncSession, experiment_id: str) -> list[str]:
    """Return the ids meant by an id, or by the name of what is running, else paused."""
    named = (col(ExperimentRow.name) == experiment_id) & col(ExperimentRow.status).in_(LIVE)
    query = select(ExperimentRow).where((col(ExperimentRow.id) == experiment_id) | named)
    ranks = {
        row.id: (row.id != experiment_id, row.status != ExperimentStatus.RUNNING)
        for row in await session.exec(query)
    }
    best = min(ranks.values(), default=None)
    return [found for found, rank in ranks.items() if rank == best]


async def load_spans(
    session: AsyncSession, version_ids: Sequence[str], *, now: datetime
) -> defaultdict[str, list[Span]]:
    """Return, per version, its prompt's experiments that include it, latest epoch first.

    Experiments that ended longer than `LATENESS` ago are left out.
    """
    live = col(ExperimentRow.status).in_(LIVE)
    query = (
        select(VersionRow.id, VersionRow.version, ExperimentRow, AllocationRow)
        .join(ExperimentRow, _of_the_same_prompt())
        .join(AllocationRow)
        .where(col(VersionRow.id).in_(version_ids))
        .where(live | (col(ExperimentRow.end_date) >= now - LATENESS))
        .order_by(
            col(ExperimentRow.start_date).desc(),
            col(ExperimentRow.id).desc(),
            col(AllocationRow.epoch).desc(),
        )
    )
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for version_id, version, experiment, allocation in await session.exec(query):
        if any(variant["version"] == version for variant in experiment.variants):
            spans[version_id].append(_span(experiment, allocation))
    return spans


def _named(event: MetricEvent, span: Span | None) -> MetricEvent:
    if span is None or span.experiment_id == event.experiment_id:
        return event
    return replace(event, experiment_id=span.experiment_id)


def _of_the_same_prompt() -> ColumnElement[bool]:
    return and_(
        col(ExperimentRow.name) == col(VersionRow.name),
        col(ExperimentRow.prompt_type) == col(VersionRow.prompt_type),
    )


def _span(experiment: ExperimentRow, allocation: AllocationRow) -> Span:
    return Span(
        experiment_id=experiment.id,
        name=experiment.name,
        epoch=allocation.epoch,
        start=allocation.started_at,
        end=allocation.ended_at or experiment.end_date or OPEN,
    )
