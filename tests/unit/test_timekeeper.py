"""Feature 9 in the database: a step out of its windows writes nothing, a rollback asks nobody."""

from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from domain.database import Database
from domain.errors import NotNow, Stale, Unavailable
from domain.plan import RolloutPlan
from domain.record import Kind, Rollout
from domain.windows.plan import Windows
from domain.windows.timing import When
from tests.house import BY_THRESHOLD, House

OPEN = datetime(2026, 12, 19, 12, tzinfo=UTC)
FROZEN = datetime(2026, 12, 24, 12, tzinfo=UTC)
FREEZE = {"from": "2026-12-20T00:00Z", "until": "2027-01-02T00:00Z", "reason": "holidays"}


def plan(**given: object) -> RolloutPlan:
    return BY_THRESHOLD.model_copy(update={"windows": Windows.model_validate(given)})


def punctual(at: datetime) -> When:
    return When(at=at, asked=at)


async def ramp(house: House, rollout: Rollout, stage: int, when: When) -> int:
    async with house.rollouts.timekeeper.step(rollout.id, f"ramp:{stage}", when=when):
        held = (await house.rollouts.get(rollout.id)).epoch
        return await house.rollouts.ramp(rollout.id, stage=stage, epoch=held)


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def test_a_step_in_a_freeze_is_refused_and_one_that_was_taken_is_repeated(
    house: House,
) -> None:
    rollout = await house.open(plan=plan(freezes=[FREEZE]))
    epoch = await ramp(house, rollout, 1, punctual(OPEN))

    with pytest.raises(NotNow, match="frozen until 2027-01-02 00:00:00 UTC \\(holidays\\)"):
        await ramp(house, rollout, 2, punctual(FROZEN))
    again = await ramp(house, rollout, 1, punctual(FROZEN))

    kinds = [line.kind for line in await house.rollouts.decisions(rollout.id)]
    assert again == epoch
    assert kinds == [Kind.OPENED, Kind.RAMPED]
    assert (await house.rollouts.get(rollout.id)).percent == 10


async def test_a_step_that_is_too_old_is_refused_and_one_that_was_taken_is_repeated(
    house: House,
) -> None:
    late = When(at=OPEN, asked=OPEN - timedelta(minutes=5))
    rollout = await house.open()
    epoch = await ramp(house, rollout, 1, punctual(OPEN))

    with pytest.raises(Stale, match="it could not be done for 5m"):
        await ramp(house, rollout, 2, late)

    assert await ramp(house, rollout, 1, late) == epoch


@pytest.mark.guarantee(9)
async def test_feature_9_a_rollback_in_a_freeze_is_not_held_up(house: House) -> None:
    before = await house.facts()
    now = datetime.now(UTC)
    always = {"from": now - timedelta(days=1), "until": now + timedelta(days=1), "reason": "now"}
    rollout = await house.open(plan=plan(freezes=[always]))
    await ramp(house, rollout, 1, punctual(now - timedelta(days=2)))

    await house.rollouts.roll_back(rollout.id, reason="harm", by="guardrails")

    assert await house.facts() == before


@pytest.mark.guarantee(3)
async def test_feature_3_a_time_zone_that_this_machine_lacks_is_an_outage_and_no_leave(
    house: House,
) -> None:
    hours = [{"from": "09:00", "until": "17:00"}]
    rollout = await house.open(plan=plan(time_zone="Europe/Newland", hours=hours))

    with pytest.raises(Unavailable, match="time_zone 'Europe/Newland' is unknown"):
        await ramp(house, rollout, 1, punctual(OPEN))
    with pytest.raises(Unavailable, match="time_zone 'Europe/Newland' is unknown"):
        await house.rollouts.timekeeper.closed(rollout.id, OPEN)

    assert (await house.rollouts.get(rollout.id)).stage == 0
