"""Reconciler on both databases: whom it looks at, and what it does about orphans."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.database import Database
from domain.leases import Late, Taken
from domain.plan import RolloutPlan, RolloutRequest
from domain.reconciliation import RECONCILER, Reconciler
from domain.record import Kind, Rollout, RolloutStatus
from domain.tables import RolloutRow
from domain.windows.plan import Freeze, Windows
from tests.house import BY_THRESHOLD, House

WHY = "is terminated"
HOLD = BY_THRESHOLD.model_copy(update={"when_orphaned": "hold"})


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def ramped(
    house: House, origin: dict[str, str] | None = None, *, plan: RolloutPlan = BY_THRESHOLD
) -> Rollout:
    """Open as a workflow does, and ramp to 50 %."""
    request = RolloutRequest(name=house.name, prompt_type="system", candidate="1.1.0", plan=plan)
    known = {"key": "run-1", "workflow_id": "rollout/greeting.system"} | (origin or {})
    rollout = await house.rollouts.open(request, **known)
    epoch = rollout.epoch
    for stage in (1, 2):
        epoch = await house.rollouts.ramp(rollout.id, stage=stage, epoch=epoch)
    return await house.rollouts.get(rollout.id)


async def change(house: House, rollout: Rollout, **values: object) -> None:
    async with house.database.transaction() as session:
        session.add((await session.get_one(RolloutRow, rollout.id)).sqlmodel_update(values))


async def late(house: House, **more: str) -> list[Late]:
    """Look an hour from now: leases of the demo's plan are seconds long."""
    later = datetime.now(UTC) + timedelta(hours=1)
    return list(await Reconciler(house.database).late(now=later, **more))


async def test_only_expired_leases_of_live_rollouts_are_looked_at(house: House) -> None:
    rollout = await ramped(house)

    assert await Reconciler(house.database).late() == []
    (found,) = await late(house)
    assert (found.rollout_id, found.key, found.prompt) == (rollout.id, "run-1", "greeting.system")
    await house.rollouts.roll_back(rollout.id, reason="done")
    assert await late(house) == []


async def test_nobody_has_to_look_after_what_is_frozen_before_its_first_ramp(house: House) -> None:
    now = datetime.now(UTC)
    freeze = {"from": now - timedelta(days=1), "until": now + timedelta(days=1), "reason": "feast"}
    windows = Windows(freezes=(Freeze.model_validate(freeze),))
    plan = BY_THRESHOLD.model_copy(update={"windows": windows})

    rollout = await house.open(plan=plan)
    await change(house, rollout, workflow_id="rollout/greeting.system")

    assert await late(house) == []
    tomorrow = now + timedelta(days=1, hours=1)
    assert len(await Reconciler(house.database).late(now=tomorrow)) == 1


async def test_a_rollout_of_before_there_were_leases_is_looked_at(house: House) -> None:
    rollout = await ramped(house)
    await change(house, rollout, lease_until=None)

    (found,) = await Reconciler(house.database).late()

    assert (found.rollout_id, found.lease_until) == (rollout.id, None)


@pytest.mark.parametrize(
    ("origin", "seen"),
    [
        ({"namespace": "ours"}, 1),
        ({}, 1),  # of before it was written down
        ({"namespace": "theirs"}, 0),
        ({"workflow_id": ""}, 0),  # a program's own, without Temporal
    ],
)
async def test_what_belongs_to_another_namespace_is_none_of_its_business(
    house: House, origin: dict[str, str], seen: int
) -> None:
    await ramped(house, origin)

    assert len(await late(house, namespace="ours")) == seen


async def test_of_a_bundle_only_its_leader_is_looked_at(house: House) -> None:
    rollout = await ramped(house)

    await change(house, rollout, bundle_id=rollout.id)
    leads = await late(house)
    await change(house, rollout, bundle_id="another")

    assert (len(leads), await late(house)) == (1, [])


@pytest.mark.guarantee(4)
async def test_a_rollout_without_a_workflow_is_rolled_back_once_and_journalled(
    house: House,
) -> None:
    before = await house.facts()
    rollout = await ramped(house)
    reconciler = Reconciler(house.database)
    (found,) = await late(house)

    taken = [await reconciler.take_over(found, why=WHY) for _ in range(2)]

    assert taken == [Taken.ROLLED_BACK, Taken.LOOKED_AFTER]
    assert await house.facts() == before
    lines = (await house.rollouts.decisions(rollout.id))[-3:]
    assert [line.kind for line in lines] == [
        Kind.RECONCILED,
        Kind.ROLLING_BACK,
        Kind.ROLLED_BACK,
    ]
    assert {line.by for line in lines} == {RECONCILER}
    why = "nobody looks after it: its workflow rollout/greeting.system is terminated"
    assert [line.reason for line in lines] == [f"{why}; it is rolled back", why, why]


async def test_a_rollout_whose_plan_says_hold_is_held_and_journalled_once(house: House) -> None:
    rollout = await ramped(house, plan=HOLD)
    (found,) = await late(house)

    taken = [await Reconciler(house.database).take_over(found, why=WHY) for _ in range(3)]

    assert taken == [Taken.HELD] * 3
    assert await house.share("1.1.0") == pytest.approx(0.5, abs=0.04)
    kinds = [line.kind for line in await house.rollouts.decisions(rollout.id)]
    assert kinds.count(Kind.RECONCILED) == 1
    last = (await house.rollouts.decisions(rollout.id))[-1]
    assert last.reason.endswith("is terminated; it is held at 50 %, as its plan says")


async def test_a_lease_that_was_renewed_meanwhile_is_left_alone(house: House) -> None:
    rollout = await ramped(house)
    (found,) = await late(house)
    await house.rollouts.check(rollout.id, number=1)

    taken = await Reconciler(house.database).take_over(found, why=WHY)

    assert taken is Taken.LOOKED_AFTER
    assert (await house.rollouts.get(rollout.id)).status is RolloutStatus.LIVE


async def test_a_rollback_that_has_begun_is_completed_whatever_the_plan_says(
    house: House,
) -> None:
    before = await house.facts()
    rollout = await ramped(house, plan=HOLD)
    await house.rollouts.return_traffic(rollout.id, reason="complaints", by="ana")
    (found,) = await late(house)

    taken = await Reconciler(house.database).take_over(found, why=WHY)

    assert taken is Taken.ROLLED_BACK
    assert await house.facts() == before
    last = (await house.rollouts.decisions(rollout.id))[-1]
    assert (last.kind, last.by, last.reason) == (Kind.ROLLED_BACK, "ana", "complaints")
