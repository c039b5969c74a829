"""Checks of rollouts on evidence: from users' first outcomes to the journal, on both databases."""

import random
from datetime import UTC, datetime

import pytest

from domain import MetricEvent
from domain.database import Database
from domain.errors import InvalidValue
from domain.evidence.looks import METHOD
from domain.guardrail import Guardrail
from domain.judge import Action, Standing, Verdict
from domain.plan import RolloutPlan, Stage
from domain.record import Rollout
from tests.house import House

LUCK = random.Random(7)  # noqa: S311  # reproducible, and guards no secret


def plan(*guardrails: object, **more: object) -> RolloutPlan:
    stages = ({"percent": 50}, {"percent": 100})
    given = {"stages": stages, "guardrails": guardrails or ("success",), "final_bake": "1h"}
    return RolloutPlan.model_validate(given | more)


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def come(  # a crowd, described once
    house: House,
    number: str,
    users: int,
    *,
    rate: float = 1.0,
    seconds: float = 0.5,
    first: int = 0,
    times: int = 1,
) -> None:
    """Let users come, each as often as said: `rate` of them succeed, every time."""
    version = await house.get(number)
    now = datetime.now(UTC)
    events = [
        MetricEvent(
            version.version_id,
            now,
            success=user < rate * users,
            response_time=seconds * LUCK.lognormvariate(0, 0.3),
            user_id=f"{number}-{first + user}",
            numbers={"cost": 2.0},
        )
        for _ in range(times)
        for user in range(users)
    ]
    await house.metrics.record_events(events)


async def opened(house: House, given: RolloutPlan) -> Rollout:
    rollout = await house.open(plan=given)
    await house.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
    return await house.rollouts.get(rollout.id)


async def check(house: House, rollout: Rollout, number: int) -> Verdict:
    return await house.rollouts.check(rollout.id, number=number)


async def test_one_guardrail_by_name_is_enough(house: House) -> None:
    rollout = await opened(house, plan("success"))
    await come(house, "1.0.0", 300, rate=0.97)
    await come(house, "1.1.0", 300, rate=0.96)

    verdict = await check(house, rollout, 1)

    assert verdict.action is Action.ADVANCE
    assert "96.0% of 300 users, 97.0% of 300 on 1.0.0" in verdict.reason


async def test_harm_is_found_between_two_arms_not_against_a_fixed_number(house: House) -> None:
    rollout = await opened(house, plan())
    await come(house, "1.0.0", 200, rate=0.99)
    await come(house, "1.1.0", 200, rate=0.85)  # above the seed's floor

    verdict = await check(house, rollout, 1)

    assert verdict.action is Action.ROLL_BACK
    assert verdict.readings[0].standing is Standing.HARMED


async def test_one_unlucky_user_who_tries_again_and_again_is_one_observation(
    house: House,
) -> None:
    rollout = await opened(house, plan())
    await come(house, "1.0.0", 150, rate=0.98)
    await come(house, "1.1.0", 150, rate=0.98)
    await come(house, "1.1.0", 1, rate=0, first=999, times=200)

    verdict = await check(house, rollout, 1)

    assert verdict.action is Action.ADVANCE
    assert "of 151 users" in verdict.reason


async def test_events_may_be_what_counts_where_they_are_known_to_be_independent(
    house: House,
) -> None:
    rollout = await opened(house, plan({"metric": "success", "per": "event"}))
    await come(house, "1.0.0", 150)
    await come(house, "1.1.0", 75, times=2)

    assert "of 150 events" in (await check(house, rollout, 1)).reason


async def test_a_slower_tail_rolls_back(house: House) -> None:
    await come(house, "1.0.0", 400, seconds=0.5)  # what the thresholds are read off
    rollout = await opened(house, plan("success", "response_time"))
    for number in range(1, 8):
        await come(house, "1.0.0", 100, seconds=0.5, first=1000 * number)
        await come(house, "1.1.0", 90, seconds=0.5, first=1000 * number)
        await come(house, "1.1.0", 10, seconds=9.0, first=1000 * number + 500)
        verdict = await check(house, rollout, number)
        if verdict.action is Action.ROLL_BACK:
            break

    assert verdict.reason.startswith("response_time: ")
    assert len((await house.rollouts.checks(rollout.id))[0].look.samples[1].cuts) == 5


async def test_a_faster_version_is_fine_and_a_little_slower_is_forgiven(house: House) -> None:
    await come(house, "1.0.0", 400, seconds=0.5)
    rollout = await opened(house, plan({"metric": "response_time", "min_events": 100, "harm": 0.2}))
    for number in range(1, 11):
        await come(house, "1.0.0", 100, seconds=0.5, first=1000 * number)
        await come(house, "1.1.0", 100, seconds=0.55, first=1000 * number)
        verdict = await check(house, rollout, number)

    assert verdict.action is not Action.ROLL_BACK
    assert verdict.readings[0].log_e is not None
    assert verdict.readings[0].log_e < 1


async def test_without_history_thresholds_are_read_off_the_control_and_it_is_said(
    house: House,
) -> None:
    rollout = await opened(house, plan({"metric": "response_time", "min_events": 10}))
    await come(house, "1.0.0", 50)
    await come(house, "1.1.0", 50, seconds=50.0)
    early = await check(house, rollout, 1)
    await come(house, "1.0.0", 60, first=100)
    peeked = await check(house, rollout, 2)
    await come(house, "1.0.0", 60, first=200)
    await come(house, "1.1.0", 60, first=200, seconds=50.0)

    assert "its thresholds wait for observations of the control" in early.reason
    assert peeked.action is Action.HOLD  # what they were read off is not held against anybody
    assert (await check(house, rollout, 3)).action is Action.ROLL_BACK


async def test_an_absolute_limit_of_a_tail(house: House) -> None:
    limit = {"metric": "response_time", "limit": 2.0, "quantile": 0.9, "min_events": 100}
    rollout = await opened(house, plan(limit))
    await come(house, "1.1.0", 200, seconds=0.5)
    assert (await check(house, rollout, 1)).action is Action.ADVANCE
    await come(house, "1.1.0", 200, seconds=5.0, first=500)

    verdict = await check(house, rollout, 2)

    assert verdict.action is Action.ROLL_BACK
    assert verdict.reason.startswith("response_time p90 limit: ")


async def test_a_custom_number_is_watched_once_production_has_reported_it(house: House) -> None:
    cost = {"metric": "cost", "direction": "lower_is_better"}
    with pytest.raises(InvalidValue, match=r"plan.guardrails.0.metric 'cost' was never reported"):
        await house.open(plan=plan(cost))

    await come(house, "1.0.0", 1)

    assert (await house.open(plan=plan(cost))).plan.guardrails == (Guardrail.model_validate(cost),)


async def test_the_holdback_is_compared_with_at_100_percent(house: House) -> None:
    rollout = await house.ramped(stage=3, plan=house_plan())
    epoch = await house.rollouts.promote(rollout.id, epoch=rollout.epoch)
    await come(house, "1.0.0", 100, rate=0.99)
    await come(house, "1.1.0", 400, rate=0.6)

    verdict = await check(house, rollout, 1)

    assert epoch > rollout.epoch
    assert verdict.action is Action.ROLL_BACK


def house_plan() -> RolloutPlan:
    return RolloutPlan(stages=tuple(Stage(percent=percent) for percent in (10, 50, 100)))


async def test_exposures_that_are_not_as_allocated_hold_the_ramp(house: House) -> None:
    rollout = await opened(house, plan())
    await come(house, "1.0.0", 300)
    await come(house, "1.1.0", 300)
    users = [("1.0.0", f"c{n}", rollout.epoch) for n in range(1300)]
    users += [("1.1.0", f"t{n}", rollout.epoch) for n in range(700)]
    await house.experiments.record_exposures(
        rollout.experiment_id, [(user, version, epoch) for version, user, epoch in users]
    )

    verdict = await check(house, rollout, 1)

    assert verdict.action is Action.HOLD
    assert "35.0% of 2000 got the candidate, 50.0% should" in verdict.reason


async def test_every_check_keeps_what_it_rested_on(house: House) -> None:
    rollout = await opened(house, plan())
    await come(house, "1.0.0", 60)
    await come(house, "1.1.0", 40)
    verdict = await check(house, rollout, 1)
    await check(house, rollout, 1)  # a retry

    (judged,) = await house.rollouts.checks(rollout.id)

    counts = judged.look.samples[0].counts[0]
    assert (counts.n_t, counts.s_t, counts.n_c, counts.s_c) == (40, 40, 60, 60)
    assert (judged.verdict, judged.method) == (verdict, METHOD)
    assert judged.policy == rollout.plan.policy_at(1).fingerprint
    assert judged.evidence.trails[0].total == 100


async def test_a_repeated_check_is_not_a_second_look(house: House) -> None:
    rollout = await opened(house, plan())
    await come(house, "1.0.0", 60)
    await come(house, "1.1.0", 40)
    first = await check(house, rollout, 1)
    await come(house, "1.1.0", 400, rate=0, first=100)

    assert await check(house, rollout, 1) == first
    assert len(await house.rollouts.checks(rollout.id)) == 1
