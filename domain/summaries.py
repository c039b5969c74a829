"""What the cells say, in the words of the seed: metrics, rankings, performance over time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from sqlalchemy import BigInteger, cast, extract, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells
from domain.cells import Cell
from domain.errors import InvalidValue
from domain.events import MEASURED, SUCCESS
from domain.prompts import Json, PromptMetrics
from domain.tables import EventRow

EVENTS = EventRow.metadata.tables["event"].columns
RATINGS_SHOWN = 100
RANKINGS = {  # metric -> how many events reported it, and whether more of it is better
    "success_rate": ("total_uses", True),
    "avg_rating": ("rated", True),
    "avg_response_time": ("timed", False),
    "avg_tokens": ("counted", True),
}
BUCKETS = {  # size -> seconds, and how its beginning is written
    "minute": (60, "%Y-%m-%d %H:%M"),
    "hour": (3_600, "%Y-%m-%d %H:00"),
    "day": (86_400, "%Y-%m-%d"),
}
FIGURES = ("success_rate", "avg_response_time", "avg_tokens", "avg_rating")


class Score(float):
    """A figure that also carries the metrics it was taken from: `score.success_rate`."""

    metrics: PromptMetrics

    def __new__(cls, value: float, metrics: PromptMetrics) -> Self:
        """Return the figure `value` of `metrics`."""
        score = super().__new__(cls, value)
        score.metrics = metrics
        return score

    def __getattr__(self, name: str) -> Any:
        return getattr(self.metrics, name)

    def __getnewargs__(self) -> tuple[float, PromptMetrics]:  # type: ignore[override]
        return float(self), self.metrics


async def of_versions(
    session: AsyncSession, version_ids: Sequence[str], *, experiments: Sequence[str] = ()
) -> dict[str, PromptMetrics]:
    """Return each version's metrics: all of them, or those inside the experiments."""
    found = await cells.load(
        session,
        version_id=version_ids,
        experiment_id=experiments or [""],
        metric=[SUCCESS, *MEASURED],
    )
    known: defaultdict[str, defaultdict[str, Cell]] = defaultdict(lambda: defaultdict(Cell))
    for key, cell in found.items():
        of_version = known[key.version_id]
        of_version[key.metric] = of_version[key.metric].merge(cell)
    metrics = {}
    for version_id in version_ids:
        ratings = await _latest_ratings(session, version_id, experiments=experiments)
        metrics[version_id] = _metrics(version_id, known[version_id], ratings=ratings)
    return metrics


def summary(metrics: Mapping[str, PromptMetrics]) -> Json:
    """Return the totals over some versions, and the figures of each."""
    uses = sum(each.total_uses for each in metrics.values())
    successes = sum(each.success_count for each in metrics.values())
    return {
        "total_versions": len(metrics),
        "total_uses": uses,
        "total_successes": successes,
        "total_errors": uses - successes,
        "overall_success_rate": successes / uses if uses else 0.0,
        "versions": {
            version_id: {"uses": each.total_uses} | {name: getattr(each, name) for name in FIGURES}
            for version_id, each in metrics.items()
        },
    }


def ranking(metrics: Mapping[str, PromptMetrics], metric: str) -> list[tuple[str, Score]]:
    """Return the versions that reported the metric, best first.

    Raises:
        InvalidValue: There is no such metric.
    """
    if metric not in RANKINGS:
        raise InvalidValue(f"Invalid metric: {metric}. Valid metrics: {', '.join(RANKINGS)}")
    reported, more_is_better = RANKINGS[metric]
    scores = [
        (version_id, Score(getattr(each, metric), each))
        for version_id, each in metrics.items()
        if getattr(each, reported)
    ]
    return sorted(scores, key=lambda found: found[1], reverse=more_is_better)


async def over_time(session: AsyncSession, version_id: str, *, bucket_size: str) -> list[Json]:
    """Return the figures of each bucket of time that had events, oldest first.

    Raises:
        InvalidValue: There is no such bucket size.
    """
    if bucket_size not in BUCKETS:
        allowed = ", ".join(BUCKETS)
        raise InvalidValue(f"bucket_size must be one of {allowed}, got {bucket_size!r}")
    seconds, written = BUCKETS[bucket_size]
    epoch = extract("epoch", EVENTS.occurred_at)
    query = (
        select(
            cast(epoch - epoch % seconds, BigInteger).label("start"),
            func.count().label("uses"),
            func.count().filter(EVENTS.success).label("successes"),
            func.coalesce(func.avg(EVENTS.response_time), 0.0).label("response_time"),
        )
        .where(EVENTS.version_id == version_id)
        .group_by("start")
        .order_by("start")
    )
    rows = await (await session.connection()).execute(query)
    return [
        {
            "time_bucket": datetime.fromtimestamp(row.start, UTC).strftime(written),
            "total_uses": row.uses,
            "success_count": row.successes,
            "success_rate": row.successes / row.uses,
            "avg_response_time": row.response_time,
        }
        for row in rows
    ]


async def _latest_ratings(
    session: AsyncSession, version_id: str, *, experiments: Sequence[str]
) -> list[float]:
    """Return the latest ratings, oldest first."""
    query = select(EVENTS.user_rating).where(
        EVENTS.version_id == version_id, EVENTS.user_rating.is_not(None)
    )
    if experiments:
        query = query.where(EVENTS.experiment_id.in_(experiments), EVENTS.epoch.is_not(None))
    latest = query.order_by(EVENTS.occurred_at.desc()).limit(RATINGS_SHOWN)
    found = (await (await session.connection()).execute(latest)).scalars().all()
    return list(reversed(found))


def _metrics(version_id: str, known: Mapping[str, Cell], *, ratings: list[float]) -> PromptMetrics:
    uses, seconds, tokens, rating = (known.get(name, Cell()) for name in (SUCCESS, *MEASURED))
    successes = round(uses.total)
    return PromptMetrics(
        version_id=version_id,
        total_uses=uses.n,
        success_count=successes,
        error_count=uses.n - successes,
        total_response_time=seconds.total,
        total_tokens=round(tokens.total),
        user_ratings=ratings,
        last_used=uses.last_at,
        timed=seconds.n,
        counted=tokens.n,
        rated=rating.n,
        total_rating=rating.total,
    )
