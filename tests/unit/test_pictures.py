"""Pictures of rollouts and experiments: what is drawn, in words too, and what it weighs."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.database import Database
from domain.evidence.looks import Judged
from domain.guardrail import Guardrail, GuardrailKind
from domain.judge import Action
from domain.plan import preset
from domain.record import Decision, Kind, Rollout
from domain.stats.histogram import Histogram, Levels
from pictures import album, course, scales
from pictures.album import Plate
from pictures.evidence import harm
from pictures.ramp import levels, ramp
from pictures.rates import rates
from pictures.spread import spread
from pictures.thinning import spread_out, thinned
from tests.couple import Couple
from tests.finished import STORIES, Archive
from tests.house import House
from tests.unit.test_trials import Laboratory

SVG = "{http://www.w3.org/2000/svg}"
AT = datetime(2026, 3, 1, 8, tzinfo=UTC)
HEAVIEST = 40_000  # bytes of one picture
PAGE = {"none"} | {
    f"var(--{name})"
    for name in ["ink", "faint", "line", "ground", "candidate", "baseline", "good", "bad", "wait"]
}


@pytest.fixture
async def house(sqlite: Database) -> House:
    house = House(sqlite)
    await house.furnish()
    return house


async def plates(house: House, rollout: Rollout) -> dict[str, Plate]:
    cells = await house.metrics.read_observed(
        [rollout.candidate_id, rollout.baseline_id],
        experiment_id=rollout.experiment_id,
        epoch=rollout.epoch,
    )
    found = album.of_rollout(
        rollout,
        await house.rollouts.decisions(rollout.id),
        await house.rollouts.checks(rollout.id),
        observed=cells,
    )
    return {plate.name: plate for plate in found}


def read(svg: str) -> Element:
    return ElementTree.fromstring(svg)  # noqa: S314  # our own


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in read(svg).iter(f"{SVG}text")]


def said(svg: str) -> str:
    return read(svg).findtext(f"{SVG}desc") or ""


@pytest.mark.parametrize("name", STORIES)
async def test_every_rollout_can_be_looked_at_and_is_told_in_words(
    archive: Archive, name: str
) -> None:
    house, rollout = await archive.find(name)

    found = await plates(house, rollout)

    ids: Counter[str] = Counter()
    for plate in found.values():
        root = read(plate.svg)
        ids.update(element.attrib["id"] for element in root.iter() if "id" in element.attrib)
        assert root.attrib["role"] == "img"
        assert root.findtext(f"{SVG}title")
        assert len(said(plate.svg)) > 30
        assert len(plate.svg.encode()) < HEAVIEST
        assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', plate.svg)) - PAGE == set()
        assert not re.search(r"<(style|script|image|use|a)\b|style=|href|url\(", plate.svg)
    assert {"ramp", "guardrail-1", "harm"} <= found.keys()
    assert set(ids.values()) == {1}


async def test_the_ramp_rises_stage_by_stage_and_falls_when_it_is_rolled_back(
    archive: Archive,
) -> None:
    house, rollout = await archive.find("harmed late")
    decisions = await house.rollouts.decisions(rollout.id)

    steps = [level.percent for level in levels(rollout, decisions)]
    drawn = ramp(rollout, decisions)

    assert steps == [0, 10, 50, 0]
    assert {"10 %", "50 %", "rolled back", "0 % 1.1.0", "100 % 1.0.0"} <= {*texts(drawn)}
    assert "rolled back at" in said(drawn)


async def test_a_holdback_is_no_part_of_the_ramp_until_it_is_completed(archive: Archive) -> None:
    house, rollout = await archive.find("healthy")

    steps = levels(rollout, await house.rollouts.decisions(rollout.id))

    assert [level.percent for level in steps] == [0, 10, 50, 99, 100]


async def test_marks_that_stand_close_together_are_named_in_rows(house: House) -> None:
    rollout = (await house.ramped(1)).model_copy(update={"opened_at": AT})
    kinds = (Kind.PAUSED, Kind.RESUMED, Kind.AMENDED, Kind.WAITING, Kind.APPROVED, Kind.EXTENDED)
    close = [decision(kind, minutes=60 + number) for number, kind in enumerate(kinds)]

    drawn = ramp(rollout, [decision(Kind.RAMPED), *close, decision(Kind.COMPLETED, minutes=600)])

    root = read(drawn)
    told = [title.text or "" for title in root.iter(f"{SVG}title")]
    names = ("paused", "resumed", "amended", "asks for approval")
    heights = {e.text: e.attrib["y"] for e in root.iter(f"{SVG}text") if e.text in names}
    assert len(set(heights.values())) == 4
    assert "extended" not in texts(drawn)  # no room: it is told when it is pointed at
    assert any("extended" in title for title in told)


async def test_hostile_words_are_shown_and_do_nothing(house: House) -> None:
    rollout = (await house.ramped(1)).model_copy(update={"opened_at": AT})
    hostile = '</title><script>alert("x")</script>\x1b[31m\u202egnp.exe\x00'
    lines = [decision(Kind.PAUSED, minutes=5).model_copy(update={"reason": hostile, "by": hostile})]

    drawn = ramp(rollout, lines)

    tags = {element.tag.removeprefix(SVG) for element in read(drawn).iter()}
    assert "script" not in tags
    assert not re.search("[\x00-\x1f\x7f\u202e]", drawn)
    assert "&lt;script&gt;" in drawn


async def test_three_hundred_checks_make_no_heavier_pictures(archive: Archive) -> None:
    house, rollout = await archive.find("response time")
    checks = await house.rollouts.checks(rollout.id)
    many = [later(checks[number % len(checks)], number) for number in range(300)]
    lines = [
        decision(Kind.CHECKED, minutes=n).model_copy(update={"action": Action.HOLD})
        for n in range(300)
    ]

    found = album.of_rollout(rollout.model_copy(update={"concluded_at": None}), lines, many)

    assert len(found) >= 4
    assert all(len(plate.svg.encode()) < HEAVIEST for plate in found)


async def test_evidence_that_is_enough_crosses_the_line_it_is_drawn_towards(
    archive: Archive,
) -> None:
    house, rollout = await archive.find("harmed at 10 %")
    checks = await house.rollouts.checks(rollout.id)

    drawn = harm(rollout, checks)

    assert checks[-1].evidence.log_e > 3
    assert "rolls back at 20" in texts(drawn)
    assert "20 rolls back" in said(drawn)


async def test_the_parts_of_guardrails_sum_to_the_whole(archive: Archive) -> None:
    house, rollout = await archive.find("response time")
    checks = await house.rollouts.checks(rollout.id)

    drawn = texts(harm(rollout, checks))

    assert [text.split()[-1] for text in drawn if text.endswith(("together", "success"))]
    assert any(text.endswith("together") for text in drawn)


async def test_in_a_bundle_each_prompt_is_judged_by_its_part(sqlite: Database) -> None:
    couple = Couple(sqlite)
    await couple.furnish()
    leader = await couple.ramped(1, plan=preset("demo"))
    await couple.rollouts.check(leader.id, number=1)

    drawn = harm(leader, await couple.rollouts.checks(leader.id))

    assert "rolls back at 40" in texts(drawn)


async def test_a_guardrail_is_drawn_from_when_it_was_added(archive: Archive) -> None:
    house, rollout = await archive.find("healthy")
    checks = await house.rollouts.checks(rollout.id)
    limit = Guardrail(metric="response_time", kind=GuardrailKind.LIMIT, limit=3.0)
    plan = rollout.plan.model_copy(update={"guardrails": (limit, *rollout.plan.guardrails)})
    amended = rollout.model_copy(update={"plan": plan})

    drawn = rates(amended, checks, number=1)

    assert course.seen(amended, checks, 0) == []
    assert len(course.seen(amended, checks, 1)) == len(checks)
    assert "success" in said(drawn) or "Share of users" in said(drawn)


async def test_a_rollout_nobody_has_checked_yet_shows_its_ramp(house: House) -> None:
    rollout = await house.open()

    found = await plates(house, rollout)

    assert list(found) == ["ramp"]
    assert "not yet ramped" in said(found["ramp"].svg)


async def test_an_arm_nobody_was_on_is_said_to_have_had_nobody(house: House) -> None:
    rollout = await house.ramped(1, plan=preset("demo"))
    await house.rollouts.check(rollout.id, number=1)

    drawn = rates(rollout, await house.rollouts.checks(rollout.id), number=0)

    assert "1.1.0 had nobody" in said(drawn)


async def test_a_wrong_split_is_seen(house: House) -> None:
    rollout = await house.ramped(1, plan=preset("demo"))
    served = [(f"u{n}", "1.1.0" if n % 2 else "1.0.0", rollout.epoch) for n in range(400)]
    await house.experiments.record_exposures(rollout.experiment_id, served)
    await house.rollouts.check(rollout.id, number=1)

    found = await plates(house, await house.rollouts.get(rollout.id))

    assert "sure to be wrong" in texts(found["split"].svg)
    assert "200 of 400 users (50.0 %) got 1.1.0; 10 % should" in said(found["split"].svg)


async def test_an_experiment_shows_its_arms_at_every_look_and_at_the_end(sqlite: Database) -> None:
    house = Laboratory(sqlite)
    await house.furnish()
    trial = await house.try_out()
    for number in (1, 2, 3):
        await house.come({"1.0.0": 900, "1.1.0": 960, "1.2.0": 600})
        await house.trials.look(trial.id, number=number)
    await house.trials.stop_arm(trial.id, "1.2.0", epoch=trial.epoch, reason="it harms")
    await house.trials.conclude(trial.id)

    found = album.of_trial(await house.trials.get(trial.id), await house.trials.lines(trial.id))

    drawn = {plate.name: plate.svg for plate in found}
    assert list(drawn) == ["forest", "arms", "differences", "trial-harm"]
    assert any("(Holm), asked once" in text for text in texts(drawn["forest"]))
    assert "1.1.0 +6 (" in said(drawn["forest"])
    assert "stopped at 40" in texts(drawn["trial-harm"])


def test_ratings_are_drawn_level_by_level_and_other_numbers_over_a_log_axis() -> None:
    ratings = spread("r", "rating", Levels.of([5, 4, 5]), Levels.of([3, 4]), names=("b", "a"))
    seconds = spread(
        "s", "time", Histogram.of([0.1, 1, 10]), Histogram.of([1, 2]), names=("b", "a"), unit="s"
    )

    assert {"1", "2", "3", "4", "5"} <= {*texts(ratings)}
    assert {"0.1", "1", "10"} <= {*texts(seconds)}
    assert "b: 3 observations" in texts(seconds)


def test_numbers_that_are_not_all_positive_can_be_drawn() -> None:
    drawn = spread("n", "delta", Histogram.of([-3, 0, 2]), Histogram.of([0, 0]), names=("b", "a"))
    nothing = spread("e", "delta", Histogram(), Histogram(), names=("b", "a"))

    assert read(drawn) is not None
    assert "nobody has reported delta yet" in texts(nothing)


def test_a_thin_line_keeps_every_peak_and_both_ends() -> None:
    points = [(float(x), 0.0) for x in range(5_000)]
    points[1_234], points[4_321] = (1_234.0, 9.0), (4_321.0, -9.0)

    found = thinned(points, width=5_000)

    assert len(found) < 400
    assert {points[0], points[1_234], points[4_321], points[-1]} <= {*found}


def test_looks_that_begin_or_end_a_stage_are_never_left_out() -> None:
    looks = [(number, number // 37) for number in range(200)]

    found = spread_out(looks, 20, keep=lambda look: look[1])

    ends = {look for look in looks if look[0] % 37 in (0, 36)} | {looks[-1]}
    assert ends <= {*found}
    assert len(found) < 40


@pytest.mark.parametrize(
    ("lasts", "labels"),
    [
        (timedelta(seconds=12), ["08:00:00", "08:00:02", "08:00:04"]),
        (timedelta(hours=5), ["08:00", "09:00", "10:00"]),
        (timedelta(hours=40), ["12:00", "2 Mar", "12:00"]),
        (timedelta(days=6), ["2 Mar", "3 Mar", "4 Mar"]),
        (timedelta(0), ["08:00:00", "08:00:01"]),
    ],
)
def test_time_has_few_round_ticks_in_utc(lasts: timedelta, labels: list[str]) -> None:
    found = scales.times(AT, AT + lasts, start=0, end=1).ticks

    assert [tick.label for tick in found][:3] == labels
    assert len(found) <= 7


def test_an_axis_of_rates_never_leaves_nought_to_one() -> None:
    scale = scales.linear(
        [0.999, 1.0], start=0, end=1, say=scales.percent, least=0.02, within=(0, 1)
    )

    assert scale.high == pytest.approx(1)
    assert scale.ticks[-1].label == "100 %"


@given(st.floats(1e-6, 1e6), st.floats(1.05, 1e12), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_every_axis_has_some_ticks_in_order_and_on_it(
    low: float, ratio: float, bottom: float, span: float
) -> None:
    log = scales.logarithmic(low, low * ratio, start=200, end=20, say=scales.figure)
    even = scales.linear([bottom, bottom + span], start=200, end=20, say=scales.figure)

    for scale in (log, even):
        values = [tick.value for tick in scale.ticks]
        assert 2 <= len(values) <= 9
        assert values == sorted(set(values))
        assert all(20 <= scale(value) <= 200 for value in values)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (0.004, "0.004"), (-1.234, "−1.23"), (12_345, "12,300"), (3e8, "3e+08")],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert scales.figure(value) == shown


def decision(kind: Kind, *, minutes: int = 0) -> Decision:
    at = AT + timedelta(minutes=minutes)
    return Decision(kind=kind, at=at, stage=1, percent=10, epoch=1, reason="because")


def later(check: Judged, number: int) -> Judged:
    at = check.look.at + timedelta(minutes=number)
    look = check.look.model_copy(update={"at": at, "epoch": number // 100})
    return check.model_copy(update={"look": look, "number": number + 1})
