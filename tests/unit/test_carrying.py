"""Evidence over an amendment: it may be moved, and never be made."""

import math
import random

import pytest

from domain.evidence.carrying import carried, shortfalls
from domain.evidence.looks import Arm, Counts, Evidence, Look, Sample, Trail
from domain.evidence.weighing import weigh
from domain.guardrail import Guardrail, Role
from domain.judge import Standing
from domain.plan import RolloutPlan, preset

SUCCESS, TIME, TOKENS = (Guardrail(metric=name) for name in ("success", "response_time", "tokens"))


def plan(*guardrails: Guardrail, alpha: float = 0.05) -> RolloutPlan:
    return preset("demo").model_copy(update={"guardrails": guardrails, "alpha": alpha})


def seen(*log_es: float) -> Evidence:
    return Evidence(trails=tuple(Trail(log_e=log_e, total=100) for log_e in log_es))


def wealth(evidence: Evidence, weights: tuple[float, ...]) -> float:
    shares = evidence.shares(weights)
    worth = zip(shares, evidence.trails, strict=True)
    return evidence.purse + sum(share * math.exp(trail.log_e) for share, trail in worth)


def test_before_the_first_look_an_amended_plan_is_as_good_as_a_first_one() -> None:
    assert carried(Evidence(), plan(SUCCESS), plan(SUCCESS, TIME)) == Evidence()


def test_what_watches_the_same_keeps_its_evidence_and_its_share() -> None:
    evidence = seen(2.0, 1.0)
    longer = plan(SUCCESS, TIME).model_copy(update={"final_bake": preset("standard").final_bake})

    assert carried(evidence, plan(SUCCESS, TIME), longer) == evidence


def test_a_guardrail_that_is_added_begins_late_and_is_paid_from_what_is_left() -> None:
    found = carried(seen(math.log(0.2)), plan(SUCCESS), plan(SUCCESS, TIME))

    assert found.trails == (Trail(log_e=math.log(0.2), total=100), Trail(late=True))
    assert found.stakes == pytest.approx((0.5, 0.5 * 0.2))
    assert shortfalls(found, plan(SUCCESS, TIME)) == [
        "guardrail response_time may spend 0.005 of alpha, not 0.025: so much had the evidence left"
    ]


def test_a_share_cannot_grow_for_nothing_when_another_guardrail_is_removed() -> None:
    before = plan(SUCCESS, TIME)
    found = carried(seen(math.log(8), math.log(0.01)), before, plan(SUCCESS))

    assert found.stakes == pytest.approx((0.5 + 0.5 * 0.01 / 8,))
    assert wealth(found, (1.0,)) == pytest.approx(0.5 * 8 + 0.5 * 0.01)


def test_removed_and_added_again_a_guardrail_does_not_find_its_old_evidence() -> None:
    without = carried(seen(1.0, 2.5), plan(SUCCESS, TIME), plan(SUCCESS))
    again = carried(without, plan(SUCCESS), plan(SUCCESS, TIME))

    assert again.trails[1] == Trail(late=True)
    assert wealth(again, ()) <= wealth(seen(1.0, 2.5), (0.5, 0.5)) + 1e-12


def test_what_only_holds_holds_no_share() -> None:
    goal = TIME.model_copy(update={"role": Role.GOAL})

    found = carried(seen(0.0, 3.0), plan(SUCCESS, TIME), plan(SUCCESS, goal))

    assert found.stakes[1] == 0
    assert found.trails[1].log_e == 3.0


def test_no_chain_of_amendments_makes_evidence_out_of_nothing() -> None:
    chance = random.Random(5)  # noqa: S311
    choice = (
        SUCCESS,
        TIME,
        TOKENS,
        TIME.model_copy(update={"harm": 0.2}),
        TOKENS.model_copy(update={"dry_run": True}),
        SUCCESS.model_copy(update={"alpha": 0.01}),
    )
    for _ in range(300):
        first = some(chance, choice)
        evidence = seen(*(chance.gauss(0, 3) for _ in first.guardrails))
        had = wealth(evidence, first.policy_at(1).weights)
        had += max(0.0, 1 - sum(first.policy_at(1).weights))
        for _ in range(6):
            other = some(chance, choice)
            evidence, first = carried(evidence, first, other), other

            weights = other.policy_at(1).weights
            assert wealth(evidence, weights) <= had * (1 + 1e-9)
            assert all(
                0 <= s <= w + 1e-12 for s, w in zip(evidence.shares(weights), weights, strict=True)
            )


def some(chance: random.Random, choice: tuple[Guardrail, ...]) -> RolloutPlan:
    picked = chance.sample(choice, chance.randint(1, 3))
    return plan(*{guardrail.metric: guardrail for guardrail in picked}.values())


def sample(n: int, s: int) -> Sample:
    counts = Counts(n_t=n, s_t=s, n_c=n, s_c=round(0.95 * n))
    arms = (Arm(n=n, mean=s / max(1, n)), Arm(n=n, mean=0.95))
    return Sample(treatment=arms[0], control=arms[1], counts=(counts,))


def test_what_was_there_before_a_guardrail_was_added_is_never_held_against_the_candidate() -> None:
    policy = plan(SUCCESS).policy_at(1)
    look = Look(at="2026-11-01T00:00:00Z", epoch=3, samples=(sample(400, 200),))  # type: ignore[arg-type]
    fresh, _ = weigh(policy, Evidence(), look)
    late = Evidence(trails=(Trail(late=True),), stakes=(1.0,))

    first, after = weigh(policy, late, look)
    more = look.model_copy(update={"samples": (sample(600, 380),)})
    second, _ = weigh(policy, after, more)

    assert fresh.readings[0].standing is Standing.HARMED
    assert first.readings[0].standing is Standing.UNDECIDED
    assert "needs 100 users in this stage since it was added to judge" in first.reason
    assert second.readings[0].standing is Standing.NOT_HARMED  # 180 of 200 since, 190 on control
