"""MetricsCollector: counts each event exactly once, and reads what was counted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import attribution, cells, columns, events, names, observations, summaries
from domain.attribution import Attributed
from domain.cells import Cell, CellKey
from domain.database import Database, default_database
from domain.errors import InvalidValue
from domain.limits import BATCH_LIMIT, SUCCESS
from domain.prompts import Json, MetricEvent, PromptMetrics, instant
from domain.summaries import Score
from domain.tables import EventRow
from domain.wire import Event

EVENTS = EventRow.metadata.tables["event"]


class MetricsCollector:
    """Records events and reads metrics. Recording may be repeated: a retry counts nothing twice."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def record_event(  # noqa: PLR0913  # the seed's signature, and what serving knows more
        self,
        version_id: str,
        success: bool = True,
        response_time: float | None = None,
        tokens: int | None = None,
        user_rating: float | None = None,
        metadata: Json | None = None,
        *,
        event_id: str | None = None,
        user_id: str | None = None,
        experiment_id: str | None = None,
        occurred_at: datetime | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> MetricEvent:
        """Count one event of a version, registered or not.

        `response_time` is in seconds, `user_rating` from 1.0 to 5.0. Idempotent by `event_id`: an
        event that is already counted is returned as it was. `experiment_id`, an id or a name, is by
        default the live experiment of the version's prompt; where there is none that includes the
        version, the event counts for the version alone.

        Raises:
            InvalidValue: An argument is out of its range; nothing was counted.
        """
        event = MetricEvent(
            version_id, occurred_at or datetime.now(UTC), success, response_time, tokens,
            user_rating, metadata or {}, event_id, user_id, experiment_id, dict(numbers or {}),
        )  # fmt: skip
        now = datetime.now(UTC)
        events.check(event, now=now)
        sent = events.travelling(event)
        async with self._database.transaction() as session:
            for counted, span in await _record(session, [sent], now=now):
                named = attribution.experiment_of(counted, span)
                return events.arrived(counted, experiment_id=named)
            return events.from_row(await session.get_one(EventRow, sent.event_id))

    async def record_events(self, batch: Sequence[MetricEvent]) -> int:
        """Count at most 10 000 events in one transaction and return how many were new.

        Raises:
            InvalidValue: The event of the index that is named is out of its range, or there are too
                many of them; nothing was counted.
        """
        now = datetime.now(UTC)
        _check_all(batch, now=now)
        return await self.record([events.travelling(event) for event in batch])

    async def record(self, batch: Sequence[Event]) -> int:
        """Count events that were judged already, and return how many were new; the fast path.

        In one transaction: all or none. Idempotent by event id, whatever is regrouped or repeated.
        Of the custom numbers of a version the first 200 names have cells; see `names`.
        """
        async with self._database.transaction() as session:
            return len(await _record(session, batch, now=datetime.now(UTC)))

    async def read_cell(
        self, version_id: str, *, metric: str = SUCCESS, experiment_id: str = "", epoch: int = 0
    ) -> Cell:
        """Return one cell, an empty one when there is none; one row is read."""
        key = CellKey(version_id, experiment_id, epoch, metric)
        where = {name: [value] for name, value in key._asdict().items()}
        async with self._database.reading() as session:
            return (await cells.load(session, **where)).get(key, Cell())

    async def read_cells(
        self, version_ids: Sequence[str], *, experiment_id: str = "", epoch: int = 0
    ) -> dict[CellKey, Cell]:
        """Return all cells of the versions, those of custom numbers too, in one query."""
        async with self._database.reading() as session:
            return await cells.load(
                session, version_id=version_ids, experiment_id=[experiment_id], epoch=[epoch]
            )

    async def read_observed(
        self, version_ids: Sequence[str], *, experiment_id: str, epoch: int
    ) -> dict[CellKey, Cell]:
        """Return what was observed of each metric of the versions in one epoch, in one query.

        The first outcome of each user in the epoch, and every event without a user: `n` is the
        number of observations. What nobody reported is missing.
        """
        async with self._database.reading() as session:
            return await cells.load(
                session, observations.OBSERVED,
                version_id=version_ids, experiment_id=[experiment_id], epoch=[epoch],
            )  # fmt: skip

    async def get_metrics(self, version_id: str) -> PromptMetrics:
        """Return what is known of a version; all zero when nothing is."""
        return (await self.compare_variants([version_id]))[version_id]

    async def get_events(
        self,
        version_id: str,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int | None = None,
    ) -> list[MetricEvent]:
        """Return the raw events from `start_time` to `end_time`, both included, newest first.

        Raises:
            InvalidValue: The limit is negative.
        """
        if limit is not None and limit < 0:
            raise InvalidValue(f"limit must be >= 0, got {limit}")
        at = col(EventRow.occurred_at)
        query = select(EventRow).where(EventRow.version_id == version_id)
        if start_time is not None:
            query = query.where(at >= instant(start_time))
        if end_time is not None:
            query = query.where(at <= instant(end_time))
        newest = query.order_by(at.desc(), col(EventRow.id).desc()).limit(limit)
        async with self._database.reading() as session:
            return [events.from_row(row) for row in await session.exec(newest)]

    async def compare_variants(self, version_ids: Sequence[str]) -> dict[str, PromptMetrics]:
        """Return the metrics of each version, by its id."""
        async with self._database.reading() as session:
            return await summaries.of_versions(session, version_ids)

    async def get_experiment_metrics(
        self, experiment_id: str, variant_versions: Mapping[str, str] | Sequence[str]
    ) -> dict[str, PromptMetrics]:
        """Return what the variants did inside one experiment, over all of its epochs.

        An experiment unknown here gives everything its versions did, as the seed's library does.

        Args:
            experiment_id: Its id, or the name of the one that is running, else paused.
            variant_versions: Version ids; or version ids by the keys the answer is to have.
        """
        named = variant_versions
        ids = named if isinstance(named, Mapping) else {version: version for version in named}
        async with self._database.reading() as session:
            known = await attribution.find_experiments(session, experiment_id)
            found = await summaries.of_versions(session, list(ids.values()), experiments=known)
        return {key: found[version_id] for key, version_id in ids.items()}

    async def get_summary(self, version_ids: Sequence[str]) -> Json:
        """Return the totals over the versions, and the figures of each."""
        return summaries.summary(await self.compare_variants(version_ids))

    async def get_top_versions(
        self, version_ids: Sequence[str], metric: str = "success_rate", limit: int = 5
    ) -> list[tuple[str, Score]]:
        """Return the best versions and their figures, the fastest first for response times.

        Versions that never reported the metric are left out: no data is neither good nor bad.

        Raises:
            InvalidValue: There is no such metric.
        """
        return summaries.ranking(await self.compare_variants(version_ids), metric)[:limit]

    async def get_version_performance_over_time(
        self, version_id: str, bucket_size: str = "hour"
    ) -> list[Json]:
        """Return the figures of each minute, hour or day (UTC) that had events, oldest first.

        Raises:
            InvalidValue: Another bucket size.
        """
        async with self._database.reading() as session:
            return await summaries.over_time(session, version_id, bucket_size=bucket_size)

    async def reset_metrics(self, version_id: str) -> bool:
        """Forget every event and observation of a version; return whether there was any event."""
        async with self._database.transaction() as session:
            there = await cells.hold_versions(session, [version_id])
            await cells.drop(session, version_id)
            await observations.drop(session, version_id)
            await session.exec(delete(EventRow).where(col(EventRow.version_id) == version_id))
        return there > 0


def _check_all(batch: Sequence[MetricEvent], *, now: datetime) -> None:
    if len(batch) > BATCH_LIMIT:
        raise InvalidValue(f"a batch holds at most {BATCH_LIMIT} events, got {len(batch)}")
    for index, event in enumerate(batch):
        try:
            events.check(event, now=now)
        except InvalidValue as error:
            raise InvalidValue(f"event {index}: {error}") from error


async def _record(
    session: AsyncSession, batch: Sequence[Event], *, now: datetime
) -> list[Attributed]:
    """Count what is new of a batch and return it, each event with what it counts in."""
    first = {event.event_id: event for event in reversed(batch)}  # of those that share an id
    if not first:
        return []
    ordered = [first[event_id] for event_id in sorted(first)]
    attributed = await attribution.attribute_all(session, ordered, now=now)
    counted = await _insert(session, attributed)
    if counted:
        surplus = await names.surplus(session, counted)
        await cells.add(session, cells.additions(counted, surplus=surplus))
        await observations.observe(session, counted, surplus=surplus)
    return counted


async def _insert(session: AsyncSession, attributed: Sequence[Attributed]) -> list[Attributed]:
    """Keep the events raw, unless they are already, and return those that were not.

    They come in the order of their ids, so that two writers of the same events do not deadlock.
    """
    given = events.to_columns(
        [event for event, _ in attributed],
        experiment_ids=[attribution.experiment_of(event, span) for event, span in attributed],
        epochs=[span.epoch if span else None for _, span in attributed],
    )
    new = {event_id for (event_id,) in await columns.insert_new(session, EVENTS, given, key=["id"])}
    if len(new) == len(attributed):
        return list(attributed)
    return [(event, span) for event, span in attributed if event.event_id in new]
