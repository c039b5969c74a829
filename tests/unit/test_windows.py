"""Feature 9, what is open when: hours and freezes where clocks are put forward and back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from domain.errors import InvalidPlan, NotNow, Stale
from domain.plan import RolloutPlan, RolloutRequest, preset
from domain.windows.advice import earliest_promotion, out_of_time
from domain.windows.opening import closed_at
from domain.windows.plan import DAYS, Windows
from domain.windows.timing import When, refuse_unless_timely
from domain.windows.zones import instants, wall

BERLIN = "Europe/Berlin"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# A change by half an hour, a day that never was, a change at midnight, and none at all.
ZONES = [BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Havana", "UTC"]
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)


def windows(hours: Sequence[Mapping[str, object]] = (), **more: object) -> Windows:
    return Windows.model_validate({"time_zone": BERLIN, "hours": list(hours), **more})


def every_day(start: str, until: str, **more: object) -> Windows:
    return windows([{"days": list(DAYS), "from": start, "until": until}], **more)


def minutes_open(open_when: Windows, start: datetime, length: timedelta) -> int:
    ticks = range(length // MINUTE)
    return sum(closed_at(open_when, start + tick * MINUTE) is None for tick in ticks)


@pytest.mark.parametrize(
    ("start", "until", "day", "minutes"),
    [
        pytest.param("00:00", "24:00", SPRING, 23 * 60, id="a day of 23 hours"),
        pytest.param("00:00", "24:00", AUTUMN, 25 * 60, id="a day of 25 hours"),
        pytest.param("02:10", "02:50", SPRING, 0, id="times that do not exist"),
        pytest.param("02:10", "02:50", AUTUMN, 80, id="times that exist twice"),
        pytest.param("02:30", "04:00", SPRING, 60, id="begins at a time that does not exist"),
        pytest.param("01:00", "02:30", SPRING, 60, id="ends at a time that does not exist"),
        pytest.param("02:30", "04:00", AUTUMN, 120, id="begins at a time that exists twice"),
        pytest.param("22:00", "06:00", SPRING, 7 * 60, id="across midnight, an hour less"),
        pytest.param("22:00", "06:00", AUTUMN, 9 * 60, id="across midnight, an hour more"),
    ],
)
def test_hours_are_open_while_the_clock_on_the_wall_shows_them(
    start: str, until: str, day: datetime, minutes: int
) -> None:
    local = day.replace(tzinfo=None)
    midnight, next_midnight = (instants(local + days * DAY, ZoneInfo(BERLIN))[0] for days in (0, 1))

    found = minutes_open(every_day(start, until), midnight, next_midnight - midnight)

    assert found == minutes


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday_night = windows([{"days": ["fri"], "from": "22:00", "until": "02:00"}])
    friday = datetime(2026, 11, 27, 22, 30, tzinfo=ZoneInfo(BERLIN))

    found = [closed_at(friday_night, friday + hours * HOUR) is None for hours in (-24, 0, 3, 4)]

    assert found == [False, True, True, False]


zone_names = st.sampled_from(ZONES)
times = st.integers(0, 24 * 60 - 1).map(lambda m: f"{m // 60:02}:{m % 60:02}")
some_days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True)
earliest, latest = (datetime.fromisoformat(f"{year}-01-01") for year in (2011, 2035))
moments = st.datetimes(earliest, latest)
# Near what is hard: a day before to a day after the clocks of Berlin, Havana or Apia change.
hard = st.sampled_from([SPRING, AUTUMN, datetime(2011, 12, 30, 10, tzinfo=UTC)])
near = st.builds(lambda day, away: day + away * MINUTE, hard, st.integers(-1440, 1440))
asked = near | moments.map(lambda moment: moment.replace(tzinfo=UTC))


@given(zone_names, some_days, times, times, asked)
def test_what_is_closed_opens_when_it_says_and_not_a_minute_before(
    zone: str, days: list[str], start: str, until: str, at: datetime
) -> None:
    """Held against a walk through the minutes, by the clock on the wall alone."""
    if start == until:
        return
    line = {"days": days, "from": start, "until": until}
    open_when = Windows.model_validate({"time_zone": zone, "hours": [line]})
    place, hours = ZoneInfo(zone), open_when.hours[0]

    closed = closed_at(open_when, at)

    assert (closed is None) == hours.holds(wall(at, place))
    if closed is not None:
        assert closed.until is not None
        assert closed.until > at
        assert closed_at(open_when, closed.until) is None
        quarters = range(1, min((closed.until - at) // (15 * MINUTE), 800))
        before = [closed.until - MINUTE / 60, *(at + n * 15 * MINUTE for n in quarters)]
        assert not any(hours.holds(wall(moment, place)) for moment in before)


@given(zone_names, moments, st.integers(1, 60 * 24 * 40), asked)
def test_a_freeze_lasts_from_the_first_instant_it_can_mean_to_the_last(
    zone: str, local: datetime, minutes: int, at: datetime
) -> None:
    start = local.replace(second=0, microsecond=0)
    until = start + minutes * MINUTE
    freeze = {"from": start, "until": until, "reason": "holidays"}
    frozen = Windows.model_validate({"time_zone": zone, "freezes": [freeze]})
    first, last = instants(start, ZoneInfo(zone))[0], instants(until, ZoneInfo(zone))[-1]

    closed = closed_at(frozen, at)

    assert (closed is not None) == (first <= at < last)
    if closed is not None:
        assert closed.until == last
        assert "(holidays)" in closed.why
    assert (closed_at(frozen, last - MINUTE / 60) is not None) == (first < last)
    assert closed_at(frozen, last) is None


@given(zone_names, asked)
def test_every_instant_is_shown_by_the_local_time_that_means_it(zone: str, at: datetime) -> None:
    place, at = ZoneInfo(zone), at.replace(microsecond=0)

    assert at in instants(wall(at, place), place)


def test_a_freeze_that_ends_at_night_opens_with_the_next_business_hours() -> None:
    freeze = {"from": "2026-12-20", "until": "2027-01-02", "reason": "holidays"}
    both = windows([{"from": "09:00", "until": "17:00"}], freezes=[freeze])

    closed = closed_at(both, datetime(2026, 12, 24, tzinfo=UTC))

    assert closed is not None
    assert closed.until == datetime(2027, 1, 4, 9, tzinfo=ZoneInfo(BERLIN))
    assert str(closed) == (
        "frozen until 2027-01-01 23:00:00 UTC (holidays), then outside of its hours"
        " (mon-fri 09:00-17:00 Europe/Berlin) until 2027-01-04 08:00:00 UTC"
    )


def test_windows_that_touch_do_not_overlap_and_leave_no_gap() -> None:
    lines = [
        {"days": list(DAYS), "from": "00:00", "until": "12:00"},
        {"days": list(DAYS), "from": "12:00", "until": "24:00"},
    ]

    assert minutes_open(windows(lines), SPRING - DAY, 3 * DAY) == 3 * 24 * 60


NINE = {"from": "09:00", "until": "17:00"}
XMAS = {"from": "2026-12-20", "until": "2027-01-02", "reason": "holidays"}


@pytest.mark.parametrize(
    ("given_windows", "why"),
    [
        ({"hours": [NINE]}, "time_zone is missing: hours mon-fri 09:00-17:00 needs one"),
        ({"freezes": [XMAS]}, "time_zone is missing: freeze 2026-12-20 until 2027-01-02"),
        ({"time_zone": "Europe/Berln", "hours": [NINE]}, "time_zone 'Europe/Berln' is unknown"),
        ({"time_zone": "../etc/passwd"}, "time_zone '../etc/passwd' is unknown: give a name"),
        ({"time_zone": "Europe"}, "time_zone 'Europe' is unknown: give a name of the IANA"),
        (
            {"time_zone": "UTC", "hours": [{"from": "09:00", "until": "09:00"}]},
            "from 09:00 until 09:00 is empty",
        ),
        (
            {"time_zone": "UTC", "hours": [NINE, {"days": ["fri"]} | NINE]},
            "hours overlap: mon-fri 09:00-17:00 and fri 09:00-17:00",
        ),
        (
            {
                "time_zone": "UTC",
                "hours": [
                    {"days": ["sun"], "from": "22:00", "until": "08:00"},
                    {"days": ["mon"], "from": "07:00", "until": "09:00"},
                ],
            },
            "hours overlap: sun 22:00-08:00 and mon 07:00-09:00",
        ),
        (
            {"time_zone": "UTC", "freezes": [XMAS, XMAS | {"from": "2026-12-31"}]},
            "freezes overlap: 2026-12-20 until 2027-01-02 (holidays) and 2026-12-31",
        ),
        (
            {"time_zone": "UTC", "freezes": [XMAS | {"until": "2026-12-20"}]},
            "2026-12-20 until 2026-12-20 (holidays) is empty: until is the first moment that is",
        ),
        (
            {"time_zone": "UTC", "freezes": [XMAS | {"until": "2027-01-02T00:00Z"}]},
            "give both from and until with an offset, or neither",
        ),
        (
            {"time_zone": "UTC", "hours": [{"from": "09:00", "until": 1020}]},
            'hours.0.until: must be a local time in quotes, "00:00" to "24:00", got 1020',
        ),
        (
            {"time_zone": "UTC", "hours": [{"days": ["monday"]} | NINE]},
            "hours.0.days.0: must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', got",
        ),
        ({"time_zone": "UTC", "freezes": [{"from": "soon"}]}, "freezes.0.from: must be a date"),
        ({"zone": "UTC"}, "unknown field 'zone': allowed are time_zone, hours, freezes"),
        (
            {"time_zone": "UTC", "freezes": [XMAS] * 201},
            "freezes: Tuple should have at most 200 items",
        ),
    ],
)
def test_bad_windows_are_refused_with_field_value_and_what_is_allowed(
    given_windows: dict[str, object], why: str
) -> None:
    plan = preset("demo").model_dump(mode="json") | {"windows": given_windows}
    asks: dict[str, JsonValue] = {"name": "greeting", "prompt_type": "system", "plan": plan}
    asks["candidate"] = "1.1.0"

    with pytest.raises(InvalidPlan) as refusal:
        RolloutRequest.parse(asks)

    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_plan_with_windows_is_written_and_read_back_unchanged() -> None:
    text = """
stages: [{percent: 100}]
windows:
  time_zone: Europe/Berlin
  hours: [{days: [mon, tue, wed, thu, FRI], from: "9:00", until: "17:00"}]
  freezes: [{from: 2026-12-20, until: 2027-01-02T06:00, reason: holidays}]
deadline: 2027-02-01T12:00+01:00
"""

    plan = RolloutPlan.parse(text)

    assert RolloutPlan.parse(plan.to_yaml()) == plan
    assert RolloutPlan.model_validate(plan.model_dump(mode="json")) == plan
    assert (plan.windows.hours[0].from_, plan.windows.freezes[0].until.hour) == ("09:00", 6)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"start_at": "2026-12-01T09:00"}, "start_at: must be an instant with its offset"),
        ({"start_at": "tomorrow"}, "start_at: must be an instant with its offset"),
        (
            {"start_at": "2026-12-01T09:00Z", "deadline": "2026-12-01T08:00Z"},
            "start_at 2026-12-01T09:00:00+00:00 is not before the deadline 2026-12-01T08:00",
        ),
        ({"deadline": "2026-12-01T09:00"}, "plan.deadline: must be an instant with its offset"),
        ({"deadline": "soon"}, "plan.deadline: must be a duration such as 7d, or an instant"),
        ({"deadline": "0s"}, "plan.deadline: must be a duration such as 7d, or an instant"),
    ],
)
def test_naive_or_impossible_times_are_refused(change: dict[str, str], why: str) -> None:
    plan = preset("demo").model_dump(mode="json")
    plan |= {key: value for key, value in change.items() if key == "deadline"}
    asks: dict[str, JsonValue] = {"name": "greeting", "prompt_type": "system", "plan": plan}
    asks["candidate"] = "1.1.0"

    with pytest.raises(InvalidPlan) as refusal:
        RolloutRequest.parse(asks | {k: v for k, v in change.items() if k == "start_at"})

    assert why in str(refusal.value)


def test_a_step_is_refused_while_it_is_closed_and_when_it_is_too_old() -> None:
    now = datetime(2026, 12, 24, tzinfo=UTC)
    frozen = windows(freezes=[XMAS])

    with pytest.raises(NotNow, match="frozen until 2027-01-01 23:00:00 UTC") as closed:
        refuse_unless_timely(frozen, When(at=now, asked=now))
    with pytest.raises(Stale, match="it could not be done for 2m: what it was decided on"):
        refuse_unless_timely(Windows(), When(at=now, asked=now - 2 * MINUTE))
    refuse_unless_timely(Windows(), When(at=now, asked=now - MINUTE))

    assert closed.value.until == datetime(2027, 1, 1, 23, tzinfo=UTC)


def test_lint_knows_the_earliest_end_and_what_can_never_be_in_time() -> None:
    monday = datetime(2026, 11, 30, 8, tzinfo=UTC)
    plan = RolloutPlan.model_validate(
        {
            "stages": [{"percent": 10, "bake": "4h"}, {"percent": 100, "bake": "5h"}],
            "windows": {"time_zone": "UTC", "hours": [NINE]},
            "deadline": "1d",
        }
    )

    found = earliest_promotion(plan, monday)

    assert found == datetime(2026, 12, 1, 9, tzinfo=UTC)  # 9:00 + 4 h, + 5 h is after hours
    assert out_of_time(plan, monday) == [
        "begun at 2026-11-30 08:00:00 UTC it is promoted at 2026-12-01 09:00:00 UTC at the"
        " earliest, after its deadline, 2026-12-01 08:00:00 UTC: it could only be rolled back"
    ]
    assert not out_of_time(plan.model_copy(update={"deadline": 2 * DAY}), monday)


def test_the_hours_of_a_year_open_and_close_as_often_as_they_should() -> None:
    office = windows([NINE])
    at, opened = datetime(2026, 1, 1, 0, tzinfo=UTC), []
    while closed := closed_at(office, at):
        assert closed.until is not None
        opened.append(closed.until)
        at = closed.until + 8 * HOUR
        if at.year > 2026:
            break

    gaps = {later - earlier for earlier, later in pairwise(opened)}
    assert len(opened) == 262  # the working days of 2026, and the first of 2027
    assert gaps == {DAY, 3 * DAY, 3 * DAY - HOUR, 3 * DAY + HOUR}
