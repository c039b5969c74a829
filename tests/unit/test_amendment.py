"""What may change in the plan of a live rollout, what may not and why, and how it is told."""

from datetime import timedelta

import pytest
from pydantic import JsonValue

from domain.amendment import Amended, Amendment, diff, objection, plan_at
from domain.errors import InvalidPlan
from domain.guardrail import Guardrail, Role
from domain.plan import RolloutPlan, Stage, preset

GOAL = Guardrail(metric="response_time", role=Role.GOAL)
PLAN = preset("aggressive").model_copy(update={"guardrails": (Guardrail(), GOAL)})


def amended(**changes: JsonValue) -> RolloutPlan:
    places = {place.replace("__", "."): value for place, value in changes.items()}
    return Amendment.parse({"set": places}).of(PLAN)


def stages(*percents: float) -> RolloutPlan:
    known = {stage.percent: stage for stage in PLAN.stages}
    wanted = tuple(known.get(percent, Stage(percent=percent)) for percent in percents)
    return PLAN.model_copy(update={"stages": wanted})


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"stages__2__bake": "2h"}, ("stages.2.bake: 8h → 2h",)),
        ({"final_bake": "2h"}, ("final_bake: 30m → 2h",)),
        ({"alpha": 0.01}, ("alpha: 0.05 → 0.01",)),
        ({"stages__3__approval": True}, ("stages.3.approval: false → true",)),
        ({"guardrails__1__margin": 0.02}, ("guardrails.1.margin: none → 0.02",)),
        (
            {"stages": [{"percent": 10, "bake": "4h"}, {"percent": 25}, {"percent": 100}]},
            ("stages: 10, 50, 100 → 10, 25, 100 percent",),
        ),
        (
            {"guardrails": ["success", "tokens"]},
            ("guardrails: without response_time", "guardrails.2: tokens is added"),
        ),
        (
            {"check_max": "1m", "when_mismatch": "roll_back"},
            ("when_mismatch: hold → roll_back", "check_max: 5m → 1m"),
        ),
    ],
)
def test_a_legal_amendment_is_told_line_by_line(
    changes: dict[str, JsonValue], lines: tuple[str, ...]
) -> None:
    after = amended(**changes)

    assert objection(PLAN, after, reached=1) == ""
    assert diff(PLAN, after) == lines


def test_a_whole_plan_is_taken_first_and_single_values_after_it() -> None:
    wish = Amendment.parse({"plan": "conservative", "set": {"final_bake": "2h"}})

    after = wish.of(PLAN)

    assert after.stages == preset("conservative").stages
    assert after.final_bake == timedelta(hours=2)


@pytest.mark.parametrize(
    ("wanted", "reached", "why"),
    [
        (PLAN, 1, "it changes nothing"),
        (amended(alpha=0.1), 1, "alpha 0.05 → 0.1 widens the chance of a false alarm"),
        (stages(10, 25, 100), 2, "it lowers stage 2 (50 %), which is running, to 25 %"),
        (stages(10, 60, 100), 2, "it raises stage 2 (50 %), which is running, to 60 %"),
        (stages(10, 100), 2, "it removes stage 2 (50 %), which is running"),
        (stages(100), 2, "it changes stage 1 (10 %), which is over"),
        (stages(10, 30, 50, 100), 2, "it adds a stage before stage 2 (50 %), which is running"),
        (stages(5, 50, 100), 2, "it changes stage 1 (10 %), which is over"),
        (amended(stages__1__bake="1h"), 2, "it changes stage 1 (10 %), which is over"),
        (stages(10, 50, 80, 100), 3, "it adds a stage before stage 3 (100 %), which is running"),
        (amended(holdback=5), 3, "holdback 1 → 5 would move users"),
    ],
)
def test_an_amendment_of_what_was_reached_or_promised_is_refused_with_the_reason(
    wanted: RolloutPlan, reached: int, why: str
) -> None:
    assert why in objection(PLAN, wanted, reached=reached)


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [
        (stages(10, 25, 50, 75, 100), 1),
        (stages(10, 100), 1),
        (stages(2, 100), 0),
        (amended(stages__2__bake="1h", stages__2__approval=True), 2),
        (amended(holdback=5), 2),
        (amended(final_bake="3h"), 3),
    ],
)
def test_what_was_not_reached_may_change(wanted: RolloutPlan, reached: int) -> None:
    assert objection(PLAN, wanted, reached=reached) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"guardrails": ["success"]},
        {"guardrails__2__harm": 0.5},
        {"guardrails__2__role": "info"},
        {"guardrails__2__min_events": 10_000},
        {"alpha": 0.01},
    ],
)
def test_a_guardrail_that_has_fired_is_never_weakened(changes: dict[str, JsonValue]) -> None:
    after = amended(**changes)

    assert objection(PLAN, after, reached=1) == ""
    why = objection(PLAN, after, reached=1, fired={"response_time"})
    assert why.startswith("guardrail response_time has shown harm: ")


def test_what_has_not_fired_may_change_beside_what_has() -> None:
    after = amended(guardrails__1__margin=0.02, final_bake="2h")

    assert objection(PLAN, after, reached=1, fired={"response_time"}) == ""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "give a plan, or what to set"),
        ({"set": {}}, "give a plan, or what to set"),
        ({"set": {"finalbake": "2h"}}, "set finalbake: there is no 'finalbake': known are name"),
        ({"set": {"stages.4.bake": "2h"}}, "set stages.4.bake: '4' is none of 1 to 3"),
        ({"set": {"stages.0.bake": "2h"}}, "'0' is none of 1 to 3"),
        ({"set": {"stages.x.bake": "2h"}}, "'x' is none of 1 to 3"),
        ({"set": {"stages.2.bak": "2h"}}, "unknown field 'bak'"),
        ({"set": {"final_bake.x": "2h"}}, "set final_bake.x: there is no 'x'"),
        ({"set": {"stages.2.bake": "-2h"}}, "stages.2.bake"),
        ({"set": {"stages.2.percent": 5}}, "percents must rise"),
        ({"set": {"alpha": 2}}, "alpha: must be less than 1, got 2"),
        ({"set": {"": 2}}, "there is no ''"),
        ({"plan": "nope"}, "unknown plan 'nope'"),
        ({"plan": {"stages": []}}, "must name at least one stage"),
        ({"plan": 7}, "plan"),
        ({"plans": "demo"}, "unknown field 'plans'"),
        ("demo", "must be"),
    ],
)
def test_what_is_no_plan_any_more_is_refused_in_one_line(given: JsonValue, why: str) -> None:
    with pytest.raises(InvalidPlan) as refused:
        Amendment.parse(given).of(PLAN)

    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_each_check_is_judged_by_the_plan_it_had() -> None:
    first, second, third = PLAN, amended(final_bake="1h"), amended(final_bake="2h")
    changes = [
        Amended(before=first, after=second, diff=(), checks=2),
        Amended(before=second, after=third, diff=(), checks=2),
    ]

    plans = [plan_at(third, changes, number) for number in (1, 2, 3)]

    assert plans == [first, first, third]
