"""domain.simulation.runs: the fast path decides as production does, and tells what to expect."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from domain.errors import InvalidPlan, InvalidValue
from domain.evidence.looks import Arm, Counts, Evidence, Look, Sample
from domain.evidence.weighing import weigh
from domain.guardrail import GuardrailKind
from domain.judge import Action
from domain.plan import RolloutPlan, preset
from domain.simulation.arrivals import Traffic
from domain.simulation.batch import Batch, Seen
from domain.simulation.forecast import Forecast, Scene, not_simulated
from domain.simulation.runs import GROWTH, JITTER, Fate, simulate
from workflows import rollout, state

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = "[{percent: 10, bake: 1h, max_bake: 2h}, {percent: 100, bake: 1h}]"
PLANS = {
    "one name": "guardrails: [success]",
    "safe": "promote_when: safe\nguardrails: [{metric: success, margin: 0.08}]",
    "with others": "guardrails: [success, response_time, {metric: tokens, role: info}]",
    "floor": "guardrails: [{metric: success, floor: 0.9}]",
    "limit": "guardrails: [{metric: success, limit: 0.9}, {metric: success, per: event}]",
    "limit, safe": "promote_when: safe\nguardrails: [{metric: success, limit: 0.9}]",
    "threshold": "guardrails: [{metric: success, kind: threshold, floor: 0.9}]",
    "goal": "guardrails: [{metric: success, role: goal}]",
    "dry run": "guardrails: [{metric: success, dry_run: true}]",
    "two": (
        "guardrails: [{metric: success, alpha: 0.02, when_inconclusive: promote},"
        " {metric: success, kind: threshold, role: goal, target: 0.94}]"
    ),
    "doubt rolls back": "guardrails: [{metric: success, min_events: 500,"
    " when_inconclusive: roll_back}]",
    "silence rolls back": "no_traffic_after: 5m\nguardrails: [{metric: success,"
    " when_no_traffic: roll_back}]",
    "silence holds": "no_traffic_after: 5m\nguardrails: [success]",
    "nobody held back": "holdback: 0\nguardrails: [success]",
}
USUAL = Traffic(users_per_hour=10_000, control_rate=0.95)


def plan(more: str) -> RolloutPlan:
    return RolloutPlan.parse(f"stages: {STAGES}\n{more}")


def looked(watched: RolloutPlan, seen: Seen, run: int, *, history: tuple[int, int]) -> Look:
    """Return what production would have seen in one run: of other metrics, nothing."""
    samples = []
    for guardrail in watched.guardrails:
        by_event = guardrail.per == "event" or guardrail.kind is GuardrailKind.THRESHOLD
        n_t, s_t, n_c, s_c = (
            int(count) for count in (seen.events if by_event else seen.observed)[:, run]
        )
        sample = Sample(
            treatment=Arm(n=n_t, mean=s_t / max(n_t, 1)),
            control=Arm(n=n_c, mean=s_c / max(n_c, 1)),
            counts=(Counts(n_t=n_t, s_t=s_t, n_c=n_c, s_c=s_c),),
            history=(history,),
        )
        samples.append(sample if guardrail.is_rate else Sample())
    return Look(
        at=EPOCH + timedelta(seconds=float(seen.at[run])),
        stage=int(seen.stage[run]),
        epoch=int(seen.stage[run]),
        baked=timedelta(seconds=float(seen.baked[run])),
        share=watched.share_at(int(seen.stage[run])) / 100,
        samples=tuple(samples),
    )


@pytest.mark.guarantee(8)
@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("effect", [-0.10, -0.03, 0.0, 0.04])
def test_the_fast_path_decides_as_production_does(name: str, effect: float) -> None:
    """Eight runs, every check of each: a ramp, silence and the end of a bake among them."""
    runs, watched = 8, plan(PLANS[name])
    chance = np.random.default_rng(hash_of(name, effect))
    history = np.stack([np.full(runs, 150), np.full(runs, 10)])
    fast, slow = Batch(watched, history), [Evidence()] * runs
    live, observed, events = np.ones(runs, bool), np.zeros((4, runs), int), np.zeros((4, runs), int)
    acted: set[str] = set()
    for check in range(1, 25):
        stage = np.full(runs, 1 if check <= 14 else 2)
        if check == 15:
            observed, events = np.zeros_like(observed), np.zeros_like(events)
        came = chance.poisson([[0 if check % 7 == 0 else 12], [80]], (2, runs))
        observed = observed + outcomes(chance, came, effect)
        events = events + outcomes(chance, chance.poisson(3, (2, runs)), effect)
        baked = np.full(runs, 600.0 * ((check - 1) % 14 + 1))
        seen = Seen(live, np.full(runs, 600.0 * check), baked, stage, observed, observed + events)

        action = fast.judge(seen)

        for run in np.flatnonzero(live):
            look = looked(watched, seen, int(run), history=(150, 10))
            verdict, slow[run] = weigh(watched.policy_at(look.stage), slow[run], look)
            others = any(not g.is_rate and g.role == "guardrail" for g in watched.guardrails)
            if not (others and verdict.action is Action.HOLD):  # production waits for the others
                assert action[run] == verdict.action, (check, run, verdict.reason)
            assert fast.log_e[run] == pytest.approx(slow[run].log_e, abs=1e-9)
        acted |= set(action[live])
        live = live & (action != Action.ROLL_BACK)
    assert len(acted) > 1 or name in {"dry run", "with others"}


def test_the_cadence_is_the_workflows() -> None:
    assert (GROWTH, JITTER) == (state.GROWTH, rollout.JITTER)


def test_the_same_seed_gives_the_same_runs_and_another_gives_others() -> None:
    first, again, other = (
        simulate(plan(""), harmful(-0.05), runs=50, seed=seed) for seed in (1, 1, 2)
    )

    assert np.array_equal(first.hours, again.hours)
    assert np.array_equal(first.exposed, again.exposed)
    assert not np.array_equal(first.hours, other.hours)


def test_a_version_that_is_as_good_is_rolled_back_in_less_than_alpha() -> None:
    simulated = simulate(plan(""), USUAL, runs=1000)

    told = Scene.of(simulated)

    assert told.rolled_back.high <= 0.05
    assert told.rolled_back.low <= told.rolled_back.share <= told.rolled_back.high
    assert told.promoted.share + told.rolled_back.share + told.holding.share == pytest.approx(1)


def test_the_worse_it_is_the_sooner_and_the_surer_it_is_rolled_back() -> None:
    scenes = [
        Scene.of(simulate(plan(""), harmful(effect), runs=300))
        for effect in (-0.02, -0.05, -0.15, -0.5)
    ]

    shares = [scene.rolled_back.share for scene in scenes]
    spreads = [scene.hours for scene in scenes if scene.hours]
    exposed = [scene.exposed.median for scene in scenes if scene.exposed]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert [s.median for s in spreads] == sorted((s.median for s in spreads), reverse=True)
    assert exposed == sorted(exposed, reverse=True)


def test_a_healthy_rollout_keeps_the_calendar_of_its_plan() -> None:
    standard = preset("standard")

    healthy = simulate(standard, USUAL, runs=20)
    told = Forecast.of(healthy, healthy, seed=1)

    begun = {entry.what: entry.hours for entry in told.calendar}
    assert begun["5 %"] == 0
    assert begun["25 %"] == pytest.approx(12, abs=0.2)
    assert begun["100 %"] == pytest.approx(60, abs=0.4)
    assert begun["complete"] == pytest.approx(60.5, abs=0.6)


def test_without_enough_users_a_rollout_holds_until_the_horizon() -> None:
    few = Traffic(users_per_hour=1, control_rate=0.95)

    simulated = simulate(plan(""), few, runs=20, horizon=timedelta(hours=20))

    assert set(simulated.fate) == {Fate.HOLDING}
    assert simulated.hours.min() >= 20
    assert np.isnan(simulated.entered[:, 1]).all()


def test_people_who_come_back_are_exposed_and_observed_once() -> None:
    few = Traffic(users_per_hour=10_000, control_rate=0.95, users=1000)

    simulated = simulate(plan("guardrails: [{metric: success, min_events: 101}]"), few, runs=20)

    assert set(simulated.fate) == {Fate.HOLDING}  # 10 % of a thousand are a hundred
    assert set(simulated.exposed) == {100}


def test_of_a_plan_with_other_metrics_it_says_what_it_leaves_out() -> None:
    simulated = simulate(plan(PLANS["with others"]), harmful(-0.2), runs=50)

    assert set(simulated.fate) == {Fate.ROLLED_BACK}
    assert not_simulated(simulated.plan) == ("response_time", "tokens")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"control_rate": 1.0}, r"control_rate must be in \(0, 1\), got 1$"),
        ({"control_rate": float("nan")}, "control_rate must be .*, got nan"),
        ({"effect": 0.06}, r"control_rate \+ effect must be in \[0, 1\], got 1.01"),
        ({"effect": -0.96}, "got -0.01"),
        ({"effect": float("inf")}, "effect must be a number, got inf"),
        ({"users_per_hour": 0.0}, r"users_per_hour must be in \(0, 1e9\], got 0"),
        ({"users": 1}, r"users must be in \[2, 1e8\], got 1"),
        ({"history": 201}, r"history must be in \[0, 200\], got 201"),
    ],
)
def test_impossible_traffic_is_refused_in_one_line(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        Traffic(**{"users_per_hour": 100.0, "control_rate": 0.95, **wrong})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"runs": 0}, r"runs must be in \[1, 100000\], got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"horizon": timedelta(seconds=-1)}, "horizon must be more than 0s, got -1"),
    ],
)
def test_an_impossible_simulation_is_refused_in_one_line(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        simulate(plan(""), USUAL, **wrong)


def test_a_plan_that_watches_no_success_is_refused() -> None:
    with pytest.raises(InvalidPlan, match="watches no success"):
        simulate(plan("guardrails: [response_time]"), USUAL)


def harmful(effect: float) -> Traffic:
    return replace(USUAL, effect=effect)


def outcomes(chance: np.random.Generator, came: np.ndarray, effect: float) -> np.ndarray:
    good = chance.binomial(came, [[0.95 + effect], [0.95]])
    return np.stack([came[0], good[0], came[1], good[1]])


def hash_of(name: str, effect: float) -> int:
    return list(PLANS).index(name) * 10 + round(100 * (effect + 0.1))
