"""A bundle's rollback on both databases, step by step: no step is taken for some of its prompts."""

from datetime import UTC, datetime, timedelta

import pytest

from domain import VersionStatus
from domain.database import Database
from domain.errors import Conflict
from domain.leases import Taken
from domain.reconciliation import Reconciler
from domain.record import Kind, RolloutStatus
from tests.couple import Couple

WHY = "is terminated"


@pytest.fixture
async def couple(database: Database) -> Couple:
    couple = Couple(database)
    await couple.furnish()
    return couple


async def statuses(couple: Couple) -> set[RolloutStatus]:
    return {each.status for each in await couple.rollouts.list()}


async def test_users_of_every_prompt_are_returned_first(couple: Couple) -> None:
    before = await couple.facts()
    rollout = await couple.ramped(stage=2)

    await couple.rollouts.return_traffic(rollout.id, reason="too slow", by="ana")

    assert await couple.shares() == [0.0, 0.0]
    assert await statuses(couple) == {RolloutStatus.ROLLING_BACK}
    await couple.rollouts.restore(rollout.id)
    assert (await couple.rollouts.prove(rollout.id)).missing == ()
    assert await couple.facts() == before
    assert await statuses(couple) == {RolloutStatus.ROLLED_BACK}


async def test_no_prompt_counts_as_rolled_back_while_another_is_incomplete(couple: Couple) -> None:
    rollout = await couple.ramped(stage=1)
    await couple.rollouts.return_traffic(rollout.id, reason="errors")
    await couple.rollouts.restore(rollout.id)
    baseline = await couple.farewell.get("1.0.0")
    await couple.farewell.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)

    proof = await couple.rollouts.prove(rollout.id)

    assert proof.missing == ("farewell.system: status of 1.0.0 is archived, was production",)
    assert await statuses(couple) == {RolloutStatus.ROLLBACK_INCOMPLETE}
    line = (await couple.rollouts.decisions(rollout.id))[-1]
    assert (line.kind, line.reason) == (Kind.ROLLBACK_INCOMPLETE, proof.missing[0])
    await couple.rollouts.roll_back(rollout.id, reason="again")
    assert await statuses(couple) == {RolloutStatus.ROLLED_BACK}


async def test_users_of_a_completed_bundle_stay_if_one_prompt_has_moved_on(couple: Couple) -> None:
    rollout = await couple.completed()
    await couple.farewell.version("1.2.0")
    await couple.farewell.put_in_production("1.2.0")
    before = await couple.facts()

    with pytest.raises(Conflict, match="production has moved on"):
        await couple.rollouts.return_traffic(rollout.id, reason="too late")

    assert await couple.facts() == before
    assert await statuses(couple) == {RolloutStatus.PROMOTED}


@pytest.mark.parametrize("name", ["greeting", "farewell"])
async def test_the_glass_of_a_bundle_is_broken_by_any_of_its_prompts(
    couple: Couple, name: str
) -> None:
    before = await couple.facts()
    rollout = await couple.ramped(stage=2)

    proof = await couple.rollouts.roll_back_directly(name, "system", reason="fire", by="ana")

    assert (proof.missing, proof.by, proof.reason) == ((), "ana", "directly: fire")
    assert await couple.facts() == before
    assert await statuses(couple) == {RolloutStatus.ROLLED_BACK}
    lines = await couple.rollouts.decisions(rollout.id)
    assert [line.kind for line in lines[-2:]] == [Kind.ROLLING_BACK, Kind.ROLLED_BACK]


async def test_an_orphaned_bundle_is_found_once_and_rolled_back_whole(couple: Couple) -> None:
    before = await couple.facts()
    rollout = await couple.ramped(stage=2)
    reconciler = Reconciler(couple.greeting.database)

    found = await reconciler.late(now=datetime.now(UTC) + timedelta(hours=1))
    taken = [await reconciler.take_over(each, why=WHY) for each in found]

    assert [each.rollout_id for each in found] == [rollout.id]
    assert taken == [Taken.ROLLED_BACK]
    assert await couple.facts() == before
    assert await statuses(couple) == {RolloutStatus.ROLLED_BACK}
