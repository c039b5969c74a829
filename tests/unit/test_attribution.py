"""Which epoch of which experiment an event is counted in, besides its version's total."""

import sys
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from domain.attribution import LATENESS, Span, attribute
from domain.database import Database
from domain.limits import MAX_AGE, SKEW
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent
from domain.tables import AllocationRow, ExperimentRow, VersionRow
from domain.wire import Event

NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
FAR = NOW + timedelta(days=9)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def span(experiment_id: str, epoch: int, *, start: float, end: float | None = None) -> Span:
    return Span(experiment_id, "greeting", epoch, ago(start), FAR if end is None else ago(end))


OLDER = [span("older", 2, start=60), span("older", 1, start=300, end=60)]
NEWER = [span("newer", 1, start=30)]
RAMPED = [span("ramped", 2, start=5), span("ramped", 1, start=60, end=5)]
ENDED = [span("ended", 2, start=60, end=5), span("ended", 1, start=90, end=60)]
LONG_ENDED = [span("ended", 1, start=60, end=11)]


@pytest.mark.parametrize(
    ("minutes_ago", "named", "spans", "counted"),
    [
        pytest.param(1, None, [], None, id="no experiment"),
        pytest.param(1, None, NEWER + OLDER, ("newer", 1), id="several: the newest"),
        pytest.param(40, None, NEWER + OLDER, ("older", 2), id="before the newest began"),
        pytest.param(400, None, NEWER + OLDER, None, id="before any began"),
        pytest.param(1, "older", NEWER + OLDER, ("older", 2), id="the one it names by id"),
        pytest.param(1, "greeting", OLDER, ("older", 2), id="the one it names by name"),
        pytest.param(1, "unknown", NEWER + OLDER, None, id="one that is not there"),
        pytest.param(5, None, RAMPED, ("ramped", 2), id="at the instant of a ramp: after it"),
        pytest.param(6, None, RAMPED, ("ramped", 1), id="late, its epoch just over"),
        pytest.param(-9, None, RAMPED, ("ramped", 2), id="by a clock that is fast: in force"),
        pytest.param(61, None, OLDER, None, id="later than lateness"),
        pytest.param(1, None, ENDED, ("ended", 2), id="just after the end: the last epoch"),
        pytest.param(-6, None, ENDED, None, id="longer after the end"),
        pytest.param(12, None, LONG_ENDED, None, id="ended before, arriving too late"),
        pytest.param(3, None, [*NEWER, *ENDED], ("newer", 1), id="what is live before what ended"),
    ],
)
def test_an_event_belongs_to(
    minutes_ago: float, named: str | None, spans: list[Span], counted: tuple[str, int] | None
) -> None:
    event = Event(version_id="v1", occurred_at=ago(minutes_ago), experiment_id=named)

    found = attribute(event, spans, now=NOW)

    assert (found and (found.experiment_id, found.epoch)) == counted


@pytest.mark.guarantee(3)
@given(
    st.lists(st.integers(0, 60 * 24 * 40), min_size=1, max_size=5, unique=True),
    st.integers(-(SKEW // MINUTE), MAX_AGE // MINUTE),
)
def test_feature_3_a_wrong_clock_reaches_no_epoch_whose_evidence_is_closed(
    ramps: list[int], behind: int
) -> None:
    """Whatever a caller's clock says: the epoch in force now, or one that ended just before."""
    begun = sorted(ramps, reverse=True)  # minutes ago
    spans = [
        span("exp", number, start=start, end=end)
        for number, (start, end) in enumerate(zip(begun, [*begun[1:], None], strict=True), 1)
    ]

    found = attribute(Event(version_id="v1", occurred_at=ago(behind)), spans[::-1], now=NOW)

    if found is not None:
        assert found.start <= NOW < found.end + LATENESS
        assert found.end == FAR or NOW - ago(behind) > timedelta(0)


def version(version_id: str, number: str) -> VersionRow:
    return VersionRow(
        id=version_id,
        name="greeting",
        prompt_type="system",
        version=number,
        major=1,
        minor=0,
        patch=0,
        template="Hi",
        defaults={},
        details={},
        created_at=NOW,
        status="active",
        content_hash="",
    )


def experiment(
    experiment_id: str, *, status: str = "running", start: float, end: float | None = None
) -> ExperimentRow:
    return ExperimentRow(
        id=experiment_id,
        name="greeting",
        prompt_type="system",
        status=status,
        variants=[{"version": "1.0.0"}, {"version": "1.0.1"}],
        traffic_split={"1.0.0": 0.5, "1.0.1": 0.5},
        start_date=ago(start),
        end_date=None if end is None else ago(end),
        metrics={},
        details={},
        salt=1,
        epoch=1,
    )


def allocation(
    experiment_id: str, epoch: int, *, start: float, end: float | None = None
) -> AllocationRow:
    return AllocationRow(
        experiment_id=experiment_id,
        epoch=epoch,
        starts=[0],
        arms=[0],
        started_at=ago(start),
        ended_at=None if end is None else ago(end),
    )


@pytest_asyncio.fixture
async def metrics(database: Database, monkeypatch: pytest.MonkeyPatch) -> MetricsCollector:
    """Three versions, two of them in an experiment that was ramped five minutes ago."""
    # The manager goes by the clock, and the file may have been read long before its tests run.
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))
    async with database.transaction() as session:
        session.add_all([version(f"v{n}", f"1.0.{n}") for n in range(3)])
        session.add(experiment("exp", start=60))
        await session.flush()
        session.add(allocation("exp", 1, start=60, end=5))
        session.add(allocation("exp", 2, start=5))
    return MetricsCollector(database)


async def counts(metrics: MetricsCollector, version_id: str) -> list[int]:
    """Return how many events there are in total, in epoch 1 and in epoch 2."""
    places = [("", 0), ("exp", 1), ("exp", 2)]
    return [
        (await metrics.read_cell(version_id, experiment_id=experiment_id, epoch=epoch)).n
        for experiment_id, epoch in places
    ]


async def test_events_count_for_their_version_and_the_epoch_in_force(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_events([MetricEvent("v1", ago(m)) for m in (400, 30, 6, 4, 1)])

    assert await counts(metrics, "v1") == [5, 2, 2]


async def test_a_version_outside_the_experiment_counts_for_itself_alone(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_event("v2")
    await metrics.record_event("v2", experiment_id="exp")
    await metrics.record_event("unregistered", experiment_id="exp")

    assert await counts(metrics, "v2") == [2, 0, 0]
    assert await counts(metrics, "unregistered") == [1, 0, 0]


async def test_every_metric_of_an_event_reaches_its_epoch(metrics: MetricsCollector) -> None:
    await metrics.record_event("v0", True, 0.5, 9, 4, numbers={"cost": 0.01})

    found = await metrics.read_cells(["v0"], experiment_id="exp", epoch=2)

    reached = {key.metric: cell.mean for key, cell in found.items()}
    assert reached == {
        "success": 1, "response_time": 0.5, "tokens": 9, "user_rating": 4, "cost": 0.01
    }  # fmt: skip


async def test_the_raw_event_keeps_the_experiment_it_counts_in_or_was_said_to(
    metrics: MetricsCollector,
) -> None:
    found = await metrics.record_event("v0", event_id="found")
    said = await metrics.record_event("v0", event_id="said", experiment_id="elsewhere")

    assert (found.experiment_id, said.experiment_id) == ("exp", "elsewhere")
    assert await metrics.get_events("v0") == [said, found]
    assert await metrics.record_event("v0", event_id="found") == found


@pytest.mark.parametrize(
    ("status", "end", "counted"),
    [
        ("paused", None, True),
        ("completed", 1, True),
        ("stopped", LATENESS.seconds / 60 + 1, False),
    ],
)
async def test_a_paused_experiment_counts_and_an_ended_one_for_a_while(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: str,
    end: float | None,
    counted: bool,
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "NOW", datetime.now(UTC))  # not that of collection
    async with database.transaction() as session:
        session.add(version("v0", "1.0.0"))
        session.add(experiment("exp", status=status, start=60, end=end))
        await session.flush()
        session.add(allocation("exp", 1, start=60))
    metrics = MetricsCollector(database)

    await metrics.record_event("v0")

    assert await counts(metrics, "v0") == [1, int(counted), 0]


async def test_an_experiments_metrics_are_what_happened_inside_it(
    metrics: MetricsCollector,
) -> None:
    before, inside = ago(400), [ago(6), ago(1)]
    await metrics.record_events([MetricEvent("v0", at, user_rating=3) for at in [before, *inside]])
    await metrics.record_event("v1", False)

    by_version = await metrics.get_experiment_metrics("exp", {"1.0.0": "v0", "1.0.1": "v1"})
    by_id = await metrics.get_experiment_metrics("greeting", ["v0", "v1"])

    assert (by_version["1.0.0"].total_uses, by_version["1.0.1"].error_count) == (2, 1)
    assert by_version["1.0.0"].user_ratings == [3.0, 3.0]
    assert by_id == {"v0": by_version["1.0.0"], "v1": by_version["1.0.1"]}


async def test_an_unknown_experiment_shows_its_versions_whole_metrics(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_event("v0")

    found = await metrics.get_experiment_metrics("unknown", ["v0"])

    assert found == await metrics.compare_variants(["v0"])
