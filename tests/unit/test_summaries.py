"""Reading: right denominators, from cells, in the words of the seed."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event
from sqlalchemy.engine import Engine

from domain.cells import CellKey
from domain.database import Database
from domain.errors import InvalidValue
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent, PromptMetrics
from domain.tables import EventRow

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)
DAY, NEXT_DAY = (f"{NOON + timedelta(days=n):%Y-%m-%d}" for n in (0, 1))


@pytest.fixture
def metrics(database: Database) -> MetricsCollector:
    return MetricsCollector(database)


def at(minutes: float, **fields: Any) -> MetricEvent:
    return MetricEvent("v1", NOON + timedelta(minutes=minutes), **fields)


async def test_averages_divide_by_those_events_that_reported_the_value(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_event("v1", True, 0.5, 100, 4.0)
    await metrics.record_event("v1", False, 1.5)
    await metrics.record_event("v1")
    await metrics.record_event("v1", tokens=300, user_rating=5)

    found = await metrics.get_metrics("v1")

    assert (found.total_uses, found.success_count, found.error_count) == (4, 3, 1)
    assert (found.success_rate, found.avg_response_time) == (0.75, 1.0)
    assert (found.avg_tokens, found.total_tokens, found.avg_rating) == (200.0, 400, 4.5)
    assert found.user_ratings == [4.0, 5.0]


async def test_a_version_never_seen_has_empty_metrics(metrics: MetricsCollector) -> None:
    assert await metrics.get_metrics("v1") == PromptMetrics(
        "v1", timed=0, counted=0, rated=0, total_rating=0.0
    )
    assert await metrics.get_events("v1") == []
    assert (await metrics.read_cell("v1")).n == 0
    assert await metrics.get_version_performance_over_time("v1") == []


async def test_events_come_newest_first_within_inclusive_bounds(metrics: MetricsCollector) -> None:
    await metrics.record_events([at(n, event_id=f"e{n}") for n in (2, 0, 3, 1)])

    async def ids(**bounds: Any) -> list[str | None]:
        return [event.event_id for event in await metrics.get_events("v1", **bounds)]

    assert await ids() == ["e3", "e2", "e1", "e0"]
    assert await ids(limit=2) == ["e3", "e2"]
    assert await ids(limit=0) == []
    with pytest.raises(InvalidValue, match="limit must be >= 0, got -1"):
        await ids(limit=-1)
    start, end = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    assert await ids(start_time=start, end_time=end) == ["e2", "e1"]
    assert await ids(start_time=start.replace(tzinfo=None)) == ["e3", "e2", "e1"]


async def test_an_event_comes_back_as_it_was_sent(metrics: MetricsCollector) -> None:
    sent = at(
        0,
        success=False,
        response_time=0.25,
        tokens=12,
        user_rating=3.5,
        metadata={"path": ["a", {"b": None}]},
        event_id="e1",
        user_id="ü-1",
        experiment_id="elsewhere",
        numbers={"cost": -0.5},
    )

    await metrics.record_events([sent])

    assert await metrics.get_events("v1") == [sent]


async def test_a_limit_is_the_databases_work_on_an_index(sqlite: Database) -> None:
    metrics = MetricsCollector(sqlite)
    statements: list[str] = []
    await metrics.record_event("v1")

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    await metrics.get_events("v1", limit=1)
    event.remove(Engine, "before_cursor_execute", listen)

    query = next(statement for statement in statements if "FROM event" in statement)
    async with sqlite.transaction() as session:
        connection = await session.connection()
        plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("v1", 1, 0))
        assert "LIMIT" in query
        assert "USING INDEX event_of_version" in plan.all()[0][-1]


async def test_figures_are_read_from_cells_not_from_events(database: Database) -> None:
    metrics = MetricsCollector(database)
    await metrics.record_events([at(n, user_rating=n % 5 + 1, response_time=2) for n in range(150)])
    before = await metrics.get_metrics("v1")

    async with database.transaction() as session:
        await session.exec(delete(EventRow))

    after = await metrics.get_metrics("v1")
    assert len(before.user_ratings) == 100
    assert (after.total_uses, after.avg_rating, after.avg_response_time) == (150, 3.0, 2.0)
    assert after.last_used == NOON + timedelta(minutes=149)


async def test_ratings_are_the_latest_hundred_oldest_first(metrics: MetricsCollector) -> None:
    await metrics.record_events([at(n, user_rating=1 + n / 100) for n in range(150)])

    found = await metrics.get_metrics("v1")

    assert found.user_ratings == [1 + n / 100 for n in range(50, 150)]


async def test_a_cell_knows_moments_and_quantiles_of_any_number(metrics: MetricsCollector) -> None:
    await metrics.record_events([at(n, numbers={"cost": float(n)}) for n in range(101)])

    cell = await metrics.read_cell("v1", metric="cost")

    assert (cell.n, cell.moments.min, cell.moments.max) == (101, 0.0, 100.0)
    assert cell.mean == pytest.approx(50)
    assert cell.moments.variance == pytest.approx(858.5)
    assert cell.quantile(0.95) == pytest.approx(95, rel=0.01)
    assert cell.quantile(1) == pytest.approx(100, rel=0.01)
    assert cell.last_at == NOON + timedelta(minutes=100)


async def test_success_has_no_histogram_and_ratings_have_one_bin_a_level(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_events([at(0, user_rating=4), at(1, user_rating=4), at(2, user_rating=1)])

    found = await metrics.read_cells(["v1", "v2"])

    assert found.keys() == {CellKey("v1", "", 0, name) for name in ("success", "user_rating")}
    assert found[CellKey("v1", "", 0, "success")].histogram.counts == {}
    assert found[CellKey("v1", "", 0, "success")].quantile(0.5) is None
    assert found[CellKey("v1", "", 0, "user_rating")].histogram.counts == {1: 1, 4: 2}


async def test_a_summary_has_totals_and_each_versions_figures(metrics: MetricsCollector) -> None:
    await metrics.record_event("v1", True, 0.5, 10, 4)
    await metrics.record_event("v2", False)

    assert await metrics.get_summary(["v1", "v2"]) == {
        "total_versions": 2,
        "total_uses": 2,
        "total_successes": 1,
        "total_errors": 1,
        "overall_success_rate": 0.5,
        "versions": {
            "v1": {
                "uses": 1,
                "success_rate": 1.0,
                "avg_response_time": 0.5,
                "avg_tokens": 10.0,
                "avg_rating": 4.0,
            },
            "v2": {
                "uses": 1,
                "success_rate": 0.0,
                "avg_response_time": 0.0,
                "avg_tokens": 0.0,
                "avg_rating": 0.0,
            },
        },
    }


async def test_the_best_versions_come_first_and_the_fastest_for_response_times(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_event("slow", True, 3.0)
    await metrics.record_event("fast", False, 1.0)
    versions = ["slow", "fast"]

    by_rate = await metrics.get_top_versions(versions)
    by_time = await metrics.get_top_versions(versions, metric="avg_response_time", limit=1)

    assert by_rate == [("slow", 1.0), ("fast", 0.0)]
    assert by_time == [("fast", 1.0)]


async def test_versions_without_data_are_neither_best_nor_worst(metrics: MetricsCollector) -> None:
    await metrics.record_event("timed", response_time=1.0)
    await metrics.record_event("untimed")
    versions = ["timed", "untimed", "unused"]

    assert await metrics.get_top_versions(versions, "avg_response_time") == [("timed", 1.0)]
    assert await metrics.get_top_versions(versions, "avg_rating") == []
    assert len(await metrics.get_top_versions(versions)) == 2


async def test_a_score_is_a_float_that_carries_its_metrics(metrics: MetricsCollector) -> None:
    await metrics.record_event("v1", True, 0.5)
    await metrics.record_event("v1", False)

    [(_, score)] = await metrics.get_top_versions(["v1"])

    assert f"{score:.2%} {score.success_rate:.2%}" == "50.00% 50.00%"
    assert copy.deepcopy(score).avg_response_time == 0.5
    with pytest.raises(AttributeError, match="nonsense"):
        _ = score.nonsense


async def test_an_unknown_metric_or_bucket_names_the_known_ones(metrics: MetricsCollector) -> None:
    with pytest.raises(ValueError, match=r"Invalid metric: speed\. Valid metrics: success_rate, "):
        await metrics.get_top_versions(["v1"], "speed")
    with pytest.raises(ValueError, match="must be one of minute, hour, day, got 'week'"):
        await metrics.get_version_performance_over_time("v1", "week")


@pytest.mark.parametrize(
    ("size", "starts"),
    [
        ("minute", [f"{DAY} 12:00", f"{DAY} 12:59", f"{DAY} 13:00", f"{NEXT_DAY} 00:00"]),
        ("hour", [f"{DAY} 12:00", f"{DAY} 13:00", f"{NEXT_DAY} 00:00"]),
        ("day", [DAY, NEXT_DAY]),
    ],
)
async def test_performance_over_time_has_a_line_per_bucket_oldest_first(
    metrics: MetricsCollector, size: str, starts: list[str]
) -> None:
    await metrics.record_events([at(720), at(60), at(59.99), at(0)])

    found = await metrics.get_version_performance_over_time("v1", size)

    assert [line["time_bucket"] for line in found] == starts


async def test_a_line_over_time_has_right_denominators(metrics: MetricsCollector) -> None:
    await metrics.record_events([at(0, response_time=0.5), at(1, success=False), at(2), at(3)])

    [line] = await metrics.get_version_performance_over_time("v1")

    assert line == {
        "time_bucket": f"{DAY} 12:00",
        "total_uses": 4,
        "success_count": 3,
        "success_rate": 0.75,
        "avg_response_time": 0.5,
    }
