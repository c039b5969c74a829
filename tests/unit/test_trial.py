"""The plan of an experiment, and its tests at the end: pure, on numbers alone."""

from datetime import timedelta
from statistics import mean

import numpy as np
import pytest
from pydantic import ValidationError

from domain.errors import InvalidPlan
from domain.evidence.looks import Arm
from domain.guardrail import Guardrail
from domain.stats.arms import best_arm
from domain.stats.moments import Moments
from domain.stats.significance import Rate, compare_rates
from domain.stats.strata import compare_means_within, compare_rates_within
from domain.stats.welch import compare_means
from domain.trials.contest import Tally, decide, difference_of, interval_of, shift_of
from domain.trials.plan import EndPolicy, ExperimentPlan, ExperimentRequest
from domain.value import complaint

ARMS = ["1.0.0", "1.1.0", "1.2.0"]
PLAN = ExperimentPlan.model_validate({"variants": ARMS})


def rate(successes: int, n: int, *, epoch: int = 1) -> Tally:
    return Tally(epoch=epoch, seen=Arm(n=n, mean=successes / n if n else 0.0))


def number(values: list[float], *, epoch: int = 1) -> Tally:
    found, logs = Moments.of(values), Moments.of(np.log(values).tolist())
    return Tally(
        epoch=epoch,
        seen=Arm(n=found.n, mean=found.mean, m2=found.m2),
        logs=Arm(n=logs.n, mean=logs.mean, m2=logs.m2),
    )


def test_a_plan_needs_nothing_but_its_variants() -> None:
    assert (PLAN.baseline, PLAN.treatments) == ("1.0.0", ("1.1.0", "1.2.0"))
    assert sum(PLAN.shares.values()) == pytest.approx(1)
    assert (PLAN.goal, PLAN.end, PLAN.min_sample) == ("success", EndPolicy.ASK, 1000)
    assert (PLAN.min_duration, PLAN.max_duration) == (timedelta(days=7), timedelta(days=28))
    assert PLAN.guardrails == (Guardrail(),)


@pytest.mark.parametrize(
    "variants",
    [
        {"1.0.0": 0.5, "1.1.0": 0.3, "1.2.0": 0.2},
        [
            {"version": "1.0.0", "weight": 0.5},
            {"version": "1.1.0", "weight": 0.3, "description": "shorter"},
            {"version": "1.2.0", "weight": 0.2},
        ],
    ],
)
def test_weights_are_a_mapping_or_part_of_a_list(variants: object) -> None:
    plan = ExperimentPlan.model_validate({"variants": variants})

    assert plan.shares == {"1.0.0": 0.5, "1.1.0": 0.3, "1.2.0": 0.2}


def test_control_may_be_named_and_then_comes_first() -> None:
    plan = ExperimentPlan.model_validate({"variants": ARMS, "control": "1.2.0"})

    assert plan.arms == ("1.2.0", "1.0.0", "1.1.0")
    assert list(plan.shares) == list(plan.arms)


def test_thirds_written_by_hand_are_a_whole() -> None:
    plan = ExperimentPlan.model_validate({"variants": dict.fromkeys(ARMS, 0.333)})

    assert sum(plan.shares.values()) == pytest.approx(1, abs=1e-12)


def test_a_plan_survives_json() -> None:
    plan = ExperimentPlan.model_validate(
        {"variants": {"1.0.0": 0.6, "1.1.0": 0.4}, "end": "rollout", "rollout_plan": "aggressive"}
    )

    assert ExperimentPlan.model_validate(plan.model_dump(mode="json")) == plan
    assert ExperimentPlan.model_validate_json(plan.model_dump_json()) == plan


def test_each_arm_is_guarded_at_its_part_of_alpha() -> None:
    guardrails = ["success", {"metric": "response_time", "alpha": 0.02}]
    plan = ExperimentPlan.model_validate({"variants": ARMS, "guardrails": guardrails})

    assert plan.policy.alpha == pytest.approx(0.025)
    assert plan.policy.weights == pytest.approx((0.6, 0.4))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"variants": ["1.0.0"]}, "variants: an experiment needs at least 2, got 1"),
        ({"variants": []}, "variants: an experiment needs at least 2, got 0"),
        ({"variants": ["1.0.0", "1.0.0"]}, "variants: versions must differ, got 1.0.0, 1.0.0"),
        ({"variants": {"1.0.0": 0.5, "1.1.0": 0.4}}, "variants: weights must sum to 1, got 0.9"),
        ({"variants": {"1.0.0": 1.0, "1.1.0": 0}}, "variants.1.weight: must be greater than 0"),
        ({"variants": {"1.0.0": "a", "1.1.0": 0.5}}, "variants.0.weight: must be a valid number"),
        (
            {"variants": ["1.0.0", {"version": "1.1.0", "weight": 0.5}]},
            "variants: give every variant a weight, or none of them",
        ),
        ({"control": "9.9.9"}, "control 9.9.9 is no variant: they are 1.0.0, 1.1.0, 1.2.0"),
        ({"goal": "joy"}, "direction of goal 'joy' is not known"),
        ({"goal": "success", "direction": "lower_is_better"}, "direction of goal success is"),
        ({"guardrails": []}, "guardrails must name at least one"),
        ({"guardrails": ["success", "success"]}, "guardrails name success of kind evidence twice"),
        ({"guardrails": [{"metric": "success", "role": "goal"}]}, "role goal is of rollouts"),
        ({"guardrails": [{"metric": "success", "alpha": 0.2}]}, "guardrails spend 0.2 of alpha"),
        ({"alpha": 0}, "alpha: must be greater than 0, got 0"),
        ({"alpha": float("nan")}, "alpha: must be a finite number"),
        ({"min_sample": 0}, "min_sample: must be greater than or equal to 1, got 0"),
        ({"min_duration": "30d"}, "min_duration 30d is longer than max_duration 28d"),
        ({"min_duration": "0s", "max_duration": "0s"}, "max_duration must be more than 0s"),
        ({"check_min": "1h"}, "check_min 1h is longer than check_max 15m"),
        ({"check_min": 0}, "check_min: must be at least 500ms, got 0s"),
        ({"end": "party"}, "end: must be 'rollout', 'deploy', 'keep' or 'ask', got 'party'"),
        ({"end": "deploy", "rollout_plan": "standard"}, "rollout_plan means nothing to end deploy"),
        ({"rollout_plan": "slow"}, "rollout_plan: unknown plan 'slow'"),
        ({"varients": 1}, "unknown field 'varients': allowed are variants, control, goal"),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line_with_the_field(
    change: dict[str, object], told: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        ExperimentPlan.model_validate({"variants": ARMS} | change)

    line = complaint(refused.value)
    assert told in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["just a text", "variants: [", "[1, 2]", "variants: 3"])
def test_what_is_no_plan_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InvalidPlan) as refused:
        ExperimentPlan.parse(text)

    assert str(refused.value).startswith("plan")
    assert "\n" not in str(refused.value)


def test_something_else_than_a_request_is_refused_with_an_example() -> None:
    with pytest.raises(InvalidPlan, match="request must be an object like"):
        ExperimentRequest.parse([1])


def test_the_tests_of_one_epoch_are_those_of_the_seed_and_holm() -> None:
    tallies = {"1.0.0": [rate(900, 1000)], "1.1.0": [rate(950, 1000)], "1.2.0": [rate(890, 1000)]}

    winner, results = decide(PLAN, tallies)

    rates = {arm: found[0].rate for arm, found in tallies.items()}
    expected = best_arm(rates, control="1.0.0", alpha=0.05)
    assert winner == expected.winner == "1.1.0"
    for result, theirs in zip(results, expected.comparisons, strict=True):
        told = theirs.against_control
        assert (result.version, result.winner) == (theirs.arm, told.winner)
        assert (result.p_value, result.adjusted_p) == (told.p_value, theirs.adjusted_p)
        assert (result.significant, result.difference) == (told.significant, told.difference)
        assert result.interval == tuple(told.interval)


def test_an_arm_that_was_stopped_cannot_win_and_need_not_be_beaten() -> None:
    tallies = {"1.0.0": [rate(900, 1000)], "1.1.0": [rate(950, 1000)], "1.2.0": [rate(949, 1000)]}

    assert decide(PLAN, tallies)[0] is None
    assert decide(PLAN, tallies, stopped=["1.2.0"])[0] == "1.1.0"
    assert decide(PLAN, tallies, stopped=["1.1.0", "1.2.0"])[0] is None


def test_without_data_nobody_wins() -> None:
    winner, results = decide(PLAN, {arm: [rate(0, 0)] for arm in ARMS})

    assert winner is None
    assert {(r.p_value, r.significant, r.winner, r.interval) for r in results} == {
        (1.0, False, None, None)
    }


def test_of_three_equal_arms_hardly_ever_one_wins() -> None:
    """At most 5 of 100 experiments, as Holm promises; here 500."""
    chance, won = np.random.default_rng(7), 0
    for _ in range(500):
        found = chance.binomial(2000, 0.9, size=3)
        tallies = {arm: [rate(int(s), 2000)] for arm, s in zip(ARMS, found, strict=True)}
        won += decide(PLAN, tallies)[0] is not None

    assert won / 500 <= 0.05


def test_a_falling_base_rate_and_a_changed_split_look_like_no_difference() -> None:
    """Pooled over both epochs, control would be 3.3 points worse: it has most of the bad days."""
    control = [rate(9500, 10_000), rate(17_000, 20_000, epoch=2)]
    arm = [rate(9500, 10_000), rate(8500, 10_000, epoch=2)]

    pooled = compare_rates(Rate(26_500, 30_000), Rate(18_000, 20_000))
    winner, (first, _) = decide(PLAN, {"1.0.0": control, "1.1.0": arm, "1.2.0": arm})
    interval = difference_of(PLAN, control, arm)

    assert pooled.significant
    assert winner is None
    assert first.p_value == pytest.approx(1.0)
    assert shift_of(control, arm) == pytest.approx(0.0)
    assert interval
    assert interval.low < 0 < interval.high


def test_epochs_are_tested_at_the_level_they_promise() -> None:
    chance, found = np.random.default_rng(3), 0
    for _ in range(4000):
        epochs = []
        for n_a, n_b, p in ((300, 300, 0.9), (900, 300, 0.7)):
            a, b = chance.binomial(n_a, p), chance.binomial(n_b, p)
            epochs.append((Rate(int(a), n_a), Rate(int(b), n_b)))
        found += compare_rates_within(epochs).significant

    assert 0.035 < found / 4000 < 0.065


def test_one_epoch_is_the_plain_test_and_two_alike_are_nearly_the_pooled_one() -> None:
    a, b = Rate(450, 500), Rate(470, 500)

    assert compare_rates_within([(a, b)]) == compare_rates(a, b)
    assert compare_rates_within([(a, b), (Rate(0, 0), b)]) == compare_rates(a, b)
    twice = compare_rates_within([(a, b), (a, b)])
    assert twice.p_value == pytest.approx(compare_rates(Rate(900, 1000), Rate(940, 1000)).p_value)


@pytest.mark.parametrize("epochs", [[], [(Rate(0, 0), Rate(3, 3))], [(Rate(5, 5), Rate(3, 3))] * 2])
def test_without_data_or_variance_epochs_show_nothing(epochs: list[tuple[Rate, Rate]]) -> None:
    found = compare_rates_within(epochs)

    assert (found.significant, found.p_value, found.method) == (False, 1.0, "none")


def test_means_are_compared_within_epochs_too() -> None:
    chance = np.random.default_rng(1)
    low, high = (chance.normal(m, 1, size=400).tolist() for m in (5.0, 9.0))
    a, b = Moments.of(low), Moments.of([value + 0.01 for value in low])
    late_a, late_b = Moments.of(high * 3), Moments.of([value + 0.01 for value in high])

    found = compare_means_within([(a, b), (late_a, late_b)])

    assert compare_means_within([(a, b)]) == compare_means(a, b)
    assert (found.significant, found.larger) == (False, "B")
    assert found.difference == pytest.approx(0.01)


def test_the_faster_arm_wins_where_lower_is_better() -> None:
    plan = ExperimentPlan.model_validate({"variants": ["1.0.0", "1.1.0"], "goal": "response_time"})
    chance = np.random.default_rng(2)
    slow, fast = (chance.lognormal(m, 0.5, size=500).tolist() for m in (0.2, 0.0))

    winner, (result,) = decide(plan, {"1.0.0": [number(slow)], "1.1.0": [number(fast)]})

    assert (winner, result.winner) == ("1.1.0", "B")
    assert result.rate_b == pytest.approx(float(np.exp(mean(np.log(fast)))))
    assert result.difference is not None
    assert result.interval is not None
    assert result.interval[0] < result.difference < result.interval[1] < 0
    assert interval_of(plan, [number(fast)]) is None


def test_looking_often_is_harmless() -> None:
    """The interval of no difference is left in fewer than alpha of the runs, at any of 40 looks."""
    chance, left = np.random.default_rng(5), 0
    for _ in range(200):
        totals = chance.binomial(50, 0.8, size=(2, 40)).cumsum(axis=1)
        for look in range(40):
            n = 50 * (look + 1)
            a, b = (rate(int(total[look]), n) for total in totals)
            found = difference_of(PLAN, [a], [b])
            assert found
            if not found.low <= 0 <= found.high:
                left += 1
                break

    assert left / 200 <= 0.05
