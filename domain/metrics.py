"""MetricsCollector: counts each event exactly once, and reads what was counted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter

from sqlalchemy import delete
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain import attribution, cells, events, observations, summaries
from domain.attribution import Attributed
from domain.cells import Cell, CellKey
from domain.database import Database, default_database
from domain.errors import InvalidValue
from domain.events import SUCCESS
from domain.prompts import Json, MetricEvent, PromptMetrics, instant
from domain.summaries import Score
from domain.tables import EventRow

EVENTS = EventRow.metadata.tables["event"]
BATCH_LIMIT = 10_000  # events of one transaction


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
        event_id = str(uuid7()) if event_id is None else event_id
        event = MetricEvent(
            version_id, occurred_at or datetime.now(UTC), success, response_time, tokens,
            user_rating, metadata or {}, event_id, user_id, experiment_id, dict(numbers or {}),
        )  # fmt: skip
        now = datetime.now(UTC)
        events.check(event, now=now)
        async with self._database.transaction() as session:
            counted = await _record(session, [event], now=now)
            return counted[0] if counted else await _find(session, event_id)

    async def record_events(self, batch: Sequence[MetricEvent]) -> int:
        """Count at most 10 000 events in one transaction and return how many were new.

        Raises:
            InvalidValue: The event of the index that is named is out of its range, or there are too
                many of them; nothing was counted.
        """
        now = datetime.now(UTC)
        _check_all(batch, now=now)
        keyed = [e if e.event_id else replace(e, event_id=str(uuid7())) for e in batch]
        async with self._database.transaction() as session:
            return len(await _record(session, keyed, now=now))

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
        everything = CellKey(version_id, "", 0, SUCCESS)
        async with self._database.transaction() as session:
            claimed = await cells.claim(session, [everything])
            await cells.drop(session, version_id)
            await observations.drop(session, version_id)
            await session.exec(delete(EventRow).where(col(EventRow.version_id) == version_id))
        return claimed[everything].n > 0


def _check_all(batch: Sequence[MetricEvent], *, now: datetime) -> None:
    if len(batch) > BATCH_LIMIT:
        raise InvalidValue(f"a batch holds at most {BATCH_LIMIT} events, got {len(batch)}")
    for index, event in enumerate(batch):
        try:
            events.check(event, now=now)
        except InvalidValue as error:
            raise InvalidValue(f"event {index}: {error}") from error


async def _record(
    session: AsyncSession, batch: Sequence[MetricEvent], *, now: datetime
) -> list[MetricEvent]:
    """Count what is new of a batch and return it, each event with the experiment it counts in."""
    first = {event.event_id: event for event in reversed(batch)}  # of those that share an id
    attributed = await attribution.attribute_all(session, list(first.values()), now=now)
    new = await _insert(session, attributed)
    counted = [(event, span) for event, span in attributed if event.event_id in new]
    await cells.add(session, cells.aggregate(cells.measured(counted)))
    await observations.observe(session, counted)
    return [event for event, _ in counted]


async def _find(session: AsyncSession, event_id: str) -> MetricEvent:
    return events.from_row(await session.get_one(EventRow, event_id))


async def _insert(session: AsyncSession, attributed: Sequence[Attributed]) -> set[str]:
    """Keep the events raw, unless they are already, and return the ids that were not.

    In the order of their ids, so that two writers of the same events do not deadlock.
    """
    rows = [events.to_row(e, epoch=span.epoch if span else None) for e, span in attributed]
    if not rows:
        return set()
    statement = cells.insert(session, EVENTS).on_conflict_do_nothing().returning(EVENTS.columns.id)
    connection = await session.connection()
    found = await connection.execute(statement, sorted(rows, key=itemgetter("id")))
    return set(found.scalars())
