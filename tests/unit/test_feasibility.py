"""Too little traffic for a plan is said before the start, with the arithmetic."""

import pytest

from domain.errors import InvalidValue
from domain.plan import PRESETS, RolloutPlan, preset
from domain.simulation.feasibility import shortfalls

FIRST = "stages: [{percent: 5, bake: 4h, max_bake: MOST}, {percent: 100, bake: 1d}]"


def plan(more: str = "", *, most: str = "30d") -> RolloutPlan:
    return RolloutPlan.parse(f"{FIRST.replace('MOST', most)}\n{more}")


@pytest.mark.parametrize("name", ["conservative", "standard", "aggressive"])
def test_ten_thousand_users_an_hour_are_enough_for_the_presets(name: str) -> None:
    assert shortfalls(preset(name), 10_000) == []


def test_a_stage_that_sees_too_few_users_is_named_with_the_arithmetic() -> None:
    assert shortfalls(plan(), 100) == [
        "stage 1 sees about 20 candidate users in its 4h (100 an hour × 5 %), success needs 100:"
        " it will hold until about 20h"
    ]


@pytest.mark.parametrize(
    ("wish", "does"),
    [
        ("hold", "wait for a person"),
        ("extend", "go on holding"),
        ("promote", "go on unjudged"),
        ("roll_back", "be rolled back"),
    ],
)
def test_a_bake_that_ends_before_the_minimum_can_never_decide(wish: str, does: str) -> None:
    asked = plan(f"guardrails: [{{metric: success, when_inconclusive: {wish}}}]", most="12h")

    (told,) = shortfalls(asked, 100)

    assert told.endswith(f"it can never decide within max_bake 12h: it will {does}")


def test_years_are_never() -> None:
    (told, _) = shortfalls(plan(most="365d"), 0.1)

    assert told.endswith("it can never decide within max_bake 365d: it will wait for a person")
    assert shortfalls(preset("standard"), 0.1)[0].endswith(
        "that takes 2.3 years: it can never decide"
    )


def test_every_guardrail_that_can_hold_is_counted() -> None:
    asked = plan(
        "guardrails: [success, response_time, {metric: tokens, role: info},"
        " {metric: user_rating, dry_run: true}]"
    )

    told = shortfalls(asked, 500)

    assert len(told) == 1
    assert "response_time needs 500: it will hold until about 20h" in told[0]


def test_holding_no_longer_than_a_check_is_not_worth_a_word() -> None:
    assert preset("standard").stages[-1].bake.total_seconds() == 0
    assert shortfalls(PRESETS["standard"], 3_000) == []


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_impossible_traffic_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidValue, match="users_per_hour must be above 0"):
        shortfalls(plan(), wrong)
