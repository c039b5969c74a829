"""What a monitor alerts about, look by look: raised once, cleared, raised again, or left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import JsonValue

from domain import ABTestManager, MetricEvent, MetricsCollector, PromptVariant
from domain.database import Database
from domain.errors import InvalidPlan, NotFound
from domain.monitors.alerts import KEPT, Alert, Book, Look, Subject, blind, judge
from domain.monitors.manager import MonitorManager
from domain.monitors.marks import SPACING, Mark, Marks, Sighting, Tally
from domain.monitors.plan import MonitorPlan
from domain.stats.histogram import Histogram
from tests.house import House

START = datetime(2026, 5, 1, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
HOUR = timedelta(hours=1)
V1 = Subject(version_id="v1", label="greeting.system 1.1.0")


class Vigil:
    """The looks of one monitor of one version, as its workflow takes them."""

    def __init__(self, **plan: JsonValue) -> None:
        self.plan = MonitorPlan.parse({"versions": ["v1"], **plan})
        self.marks, self.book = Marks(), Book()
        self.at = START
        self.n = self.good = 0
        self.active_at: datetime | None = None

    def look(self, *, good: int = 0, bad: int = 0, after: timedelta = HALF_HOUR) -> Look:
        """Let time pass and events come, and look."""
        self.at += after
        self.n, self.good = self.n + good + bad, self.good + good
        if good + bad:
            self.active_at = self.at
        tallies = {"success": Tally(n=self.n, total=self.good)} if self.n else {}
        return self.see(Sighting(tallies=tallies, active_at=self.active_at))

    def see(self, sighting: Sighting) -> Look:
        look = judge(
            self.plan,
            [V1],
            Mark(at=self.at, of={"v1": sighting}),
            base=self.marks.base(self.at, self.plan.window),
            before=self.marks.latest,
            open_=self.book.open.keys(),
        )
        self.marks = self.marks.with_look(look.mark, None, self.plan.window)
        self.book = self.book.with_news(look.raised, look.cleared, self.at)
        return look

    def story(self, *looks: tuple[int, int]) -> str:
        """Return what each look of so many good and bad events said: raised, cleared or nothing."""
        letters = []
        for good, bad in looks:
            look = self.look(good=good, bad=bad)
            letters.append("R" if look.raised else "C" if look.cleared else "-")
        return "".join(letters)


def test_a_condition_is_raised_once_until_it_clears_and_then_again() -> None:
    vigil = Vigil(window="30m")

    story = vigil.story((0, 0), (90, 10), (10, 90), (10, 90), (90, 10), (90, 10), (10, 90))

    assert story == "--R-C-R"
    first, second = vigil.book.alerts
    assert first.cleared_at == START + 5 * HALF_HOUR
    assert second.cleared_at is None
    assert first.message == (
        "greeting.system 1.1.0: success_rate 10.0 % (100 events in 30m), below 50.0 %"
    )


def test_no_data_is_undecided_it_neither_raises_nor_clears() -> None:
    vigil = Vigil(window="30m")

    assert vigil.story((0, 0), (0, 0), (0, 19), (0, 20), (0, 0), (5, 0)) == "---R--"

    (alert,) = vigil.book.alerts
    assert alert.cleared_at is None
    silent = Vigil(window="ever").look()
    assert [(r.breached, r.value) for r in silent.readings] == [(None, None)]
    assert silent.readings[0].said == "success_rate unknown (0 events in all, 20 needed)"


def test_an_old_good_record_does_not_hide_a_fresh_outage_unless_all_is_judged() -> None:
    recent, ever = Vigil(window="1h"), Vigil(window="ever")

    looks = ((100_000, 0), (0, 100))

    assert recent.story(*looks) == "-R"
    assert ever.story(*looks) == "--"


def test_the_window_is_what_was_counted_in_it_and_little_more() -> None:
    vigil = Vigil(window="4h", interval="1m")
    minutes = 1000

    for minute in range(minutes):
        vigil.look(good=minute % 2, bad=1 - minute % 2, after=timedelta(minutes=1))

    assert len(vigil.marks.kept) <= SPACING + 2
    base = vigil.marks.base(vigil.at, vigil.plan.window)
    assert base
    assert 4 * HOUR <= vigil.at - base.at <= 4.5 * HOUR + timedelta(minutes=1)


def test_metrics_that_are_reset_are_judged_from_then_on() -> None:
    vigil = Vigil(window="1h")
    vigil.look(good=1000)

    vigil.n = vigil.good = 0

    assert vigil.look(good=10, bad=20).readings[0].value == pytest.approx(1 / 3)


def test_an_idle_version_alerts_only_when_asked_and_clears_with_its_next_event() -> None:
    idle: JsonValue = {"metric": "idle", "above": "2h"}

    by_default = Vigil().story((50, 0), *[(0, 0)] * 10)
    asked = Vigil(conditions=[idle]).story((50, 0), *[(0, 0)] * 6, (1, 0))

    assert by_default == "-" * 11
    assert asked == "-----R-C"


def test_idleness_is_told_by_the_monitors_clock_whatever_callers_say() -> None:
    vigil = Vigil(conditions=[{"metric": "idle", "above": "1h"}])
    future = START + timedelta(days=400)

    looks = []
    for n in (5, 6, 6, 6, 6):
        vigil.at += HALF_HOUR
        looks.append(vigil.see(Sighting(tallies={"success": Tally(n=n)}, active_at=future)))

    assert [look.readings[0].value for look in looks] == [0, 0, 1800, 3600, 5400]
    assert [bool(look.raised) for look in looks] == [False, False, False, False, True]


def test_a_tail_that_grows_slow_is_seen_in_the_window_alone() -> None:
    plan: dict[str, JsonValue] = {"conditions": [{"metric": "p95_response_time", "above": 2}]}
    vigil = Vigil(window="30m", **plan)
    values: list[float] = []
    found = []

    for more in ([], [0.1] * 1000, [0.1] * 90 + [5.0] * 10, [0.1] * 100):
        values += more
        vigil.at += HALF_HOUR
        counts = Histogram.of(values).to_json()
        tally = Tally(n=len(values), total=sum(values), counts=counts)
        found.append(vigil.see(Sighting(tallies={"response_time": tally})).readings[0])

    assert [reading.breached for reading in found] == [None, False, True, False]
    assert found[2].value == pytest.approx(5, rel=0.01)


@pytest.mark.parametrize(
    ("condition", "total", "breached"),
    [
        ({"metric": "avg_response_time", "above": 2}, 250.0, True),
        ({"metric": "avg_response_time", "above": 2}, 200.0, False),
        ({"metric": "avg_tokens", "above": 100}, 10_100.0, True),
        ({"metric": "avg_rating", "below": 3}, 299.0, True),
        ({"metric": "number.cost", "below": -0.5}, -51.0, True),
        ({"metric": "success_rate", "below": 1}, 99.0, True),
        ({"metric": "success_rate", "above": 0}, 1.0, True),
    ],
)
def test_every_figure_can_be_watched(
    condition: dict[str, JsonValue], total: float, *, breached: bool
) -> None:
    vigil = Vigil(conditions=[condition], window="ever")
    source = vigil.plan.conditions[0].source

    look = vigil.see(Sighting(tallies={source: Tally(n=100, total=total)}))

    assert look.readings[0].breached is breached


def test_what_could_not_be_read_is_over_as_soon_as_it_can() -> None:
    vigil = Vigil()
    unread = blind(START, "the disk is gone")
    vigil.book = vigil.book.with_news([unread], [], START)

    look = vigil.look(good=50)

    assert unread.message == "cannot be measured: the disk is gone"
    assert look.cleared == (unread.key,)
    assert vigil.book.open == {}


def test_a_book_keeps_a_thousand_alerts_and_every_open_one() -> None:
    def alert(number: int) -> Alert:
        return Alert(at=START, version_id="v", condition=f"{number}", value=None, message="")

    book = Book().with_news([alert(-1)], [], START)
    for number in range(KEPT + 10):
        book = book.with_news([alert(number)], [], START)
        book = book.with_news([], [alert(number).key], START + HOUR)

    assert (len(book.alerts), book.dropped) == (KEPT, 11)
    assert list(book.open) == [alert(-1).key]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"versions": []}, "give either versions or experiment, got neither"),
        ({"experiment": "x"}, "give either versions or experiment, got both"),
        ({"versions": ["a", "a"]}, "versions: 'a' is given twice"),
        ({"versions": [f"{n}" for n in range(21)]}, "versions: "),
        ({"interval": "0s"}, "interval: must be at least 500ms, got 0s"),
        ({"interval": "soon"}, "interval: must be a duration such as 90s"),
        ({"duration": "-1h"}, "duration: must be a duration such as"),
        ({"duration": "400d"}, "duration: must be between 0s and 365d"),
        ({"window": "0s"}, "window: must be at least 500ms"),
        ({"alert_threshold": 0}, "alert_threshold: must be greater than 0, got 0"),
        ({"alert_threshold": 50}, "alert_threshold: must be less than or equal to 1, got 50"),
        ({"alert_treshold": 0.5}, "unknown field 'alert_treshold': allowed are versions"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line(change: dict[str, JsonValue], why: str) -> None:
    with pytest.raises(InvalidPlan) as refused:
        MonitorPlan.parse({"versions": ["v1"], **change})

    assert str(refused.value).startswith("monitor: ")
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"metric": "succes_rate", "below": 0.5}, "metric: must be one of success_rate, avg_resp"),
        ({"metric": "success_rate"}, "success_rate takes either below or above, got neither"),
        ({"metric": "success_rate", "below": 0.5, "above": 0.9}, "below or above, got both"),
        ({"metric": "success_rate", "below": 50}, "below 50 can never tell good from bad:"),
        ({"metric": "success_rate", "below": 0}, "success_rate is from 0 to 1"),
        ({"metric": "success_rate", "above": 1}, "above 1 can never tell good from bad"),
        ({"metric": "avg_rating", "below": 1}, "avg_rating is from 1 to 5"),
        ({"metric": "avg_tokens", "below": -1}, "avg_tokens is from 0 to inf"),
        ({"metric": "success_rate", "below": "half"}, "below: must be a valid number"),
        ({"metric": "avg_tokens", "above": float("nan")}, "above: must be a finite number"),
        ({"metric": "avg_tokens", "above": float("inf")}, "above: must be a finite number"),
        ({"metric": "idle", "below": 5}, "idle takes above, such as 2h, got below 5"),
        ({"metric": "idle", "above": "long"}, "above: must be a duration such as 90s"),
        ({"metric": "idle", "above": 0}, "idle is from 0.5 to inf"),
        ({"metric": "avg_tokens", "above": 9, "min_events": 0}, "min_events: must be greater"),
    ],
)
def test_a_wrong_condition_is_refused_in_one_line(
    condition: dict[str, JsonValue], why: str
) -> None:
    with pytest.raises(InvalidPlan) as refused:
        MonitorPlan.parse({"versions": ["v1"], "conditions": [condition]})

    assert why in str(refused.value)
    assert "conditions.0" in str(refused.value)


def test_the_seeds_threshold_is_the_default_and_a_shorthand() -> None:
    default = MonitorPlan.parse({"versions": ["v1"]})
    slow: JsonValue = {"metric": "avg_response_time", "above": "2"}
    both = MonitorPlan.parse({"versions": ["v"], "alert_threshold": 0.9, "conditions": [slow]})

    assert (default.duration, default.interval) == (timedelta(hours=24), HALF_HOUR)
    assert [str(one) for one in default.judged] == ["success_rate below 0.5"]
    assert [str(one) for one in both.judged] == [
        "success_rate below 0.9",
        "avg_response_time above 2",
    ]
    assert MonitorPlan.parse(both.model_dump(mode="json")) == both


async def test_the_first_look_knows_what_came_in_its_window(database: Database) -> None:
    now, monitors = datetime.now(UTC), MonitorManager(database)
    events = [MetricEvent("v1", now - 3 * HOUR) for _ in range(500)]
    events += [MetricEvent("v1", now - HALF_HOUR, success=n < 10) for n in range(40)]
    await MetricsCollector(database).record_events(events)
    plan = MonitorPlan.parse({"versions": ["v1"]})

    look = await monitors.look(plan, await monitors.open(plan), now)

    assert look.readings[0].value == pytest.approx(0.25)
    assert [alert.message for alert in look.raised] == [
        "v1: success_rate 25.0 % (40 events in 1h), below 50.0 %"
    ]
    marks = Marks().with_look(look.mark, look.base, plan.window)
    assert marks.base(now + HALF_HOUR, plan.window) == look.base


async def test_an_experiment_is_watched_by_name_and_only_inside_itself(
    database: Database,
) -> None:
    house, now = House(database), datetime.now(UTC)
    await house.furnish()
    await house.events("1.1.0", good=0, bad=100)
    variants = [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 1)]
    await ABTestManager(database).create_experiment("greeting", "system", variants)
    await house.events("1.1.0", good=30, bad=0)
    plan = MonitorPlan.parse({"experiment": "greeting", "window": "ever"})
    monitors = MonitorManager(database)

    subjects = await monitors.open(plan)
    look = await monitors.look(plan, subjects, now)

    assert [s.label for s in subjects] == ["greeting.system 1.0.0", "greeting.system 1.1.0"]
    assert [(r.breached, r.value) for r in look.readings] == [(None, None), (False, 1.0)]


async def test_an_experiment_nobody_knows_is_refused(database: Database) -> None:
    plan = MonitorPlan.parse({"experiment": "x"})

    with pytest.raises(NotFound, match="experiment 'x' does not exist"):
        await MonitorManager(database).open(plan)
