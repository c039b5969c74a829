"""A rollback, step by step, on both databases: what holds between the steps, and after repeats."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from domain import PromptVariant, VersionStatus
from domain.database import Database
from domain.errors import Conflict, NotFound, RollbackIncomplete
from domain.record import Kind, Proof, RolloutStatus
from domain.rollouts import RolloutManager
from domain.tables import ExperimentRow, RolloutRow
from tests.house import House

ROLLED_BACK = [Kind.ROLLING_BACK, Kind.ROLLED_BACK]


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


class Meddled(RolloutManager):
    """Somebody changes a status whenever a rollback is about to be read back."""

    def __init__(self, house: House) -> None:
        super().__init__(house.database)
        self.house = house

    async def prove(self, rollout_id: str) -> Proof:
        candidate = await self.house.get("1.1.0")
        await self.house.versions.update_status(candidate.version_id, VersionStatus.DRAFT)
        return await super().prove(rollout_id)


async def at_stage(house: House, stage: int, *, key: str = "run-1") -> str:
    """Open and ramp; stage 4 is promoted, 5 completed. Return the rollout's id."""
    rollout = await house.open(key=key)
    epoch = rollout.epoch
    for number in range(1, min(stage, 3) + 1):
        epoch = await house.rollouts.ramp(rollout.id, stage=number, epoch=epoch)
    if stage >= 4:
        await house.rollouts.promote(rollout.id, epoch=epoch)
    if stage == 5:
        await house.rollouts.complete(rollout.id)
    return rollout.id


async def story(house: House, rollout_id: str) -> list[Kind]:
    return [line.kind for line in await house.rollouts.decisions(rollout_id)]


@pytest.mark.parametrize("stage", [0, 1, 2, 3, 4, 5])
async def test_the_first_step_alone_gives_every_user_the_baseline_and_fences(
    house: House, stage: int
) -> None:
    rollout_id = await at_stage(house, stage)
    held = (await house.rollouts.get(rollout_id)).epoch

    epoch = await house.rollouts.return_traffic(rollout_id, reason="errors", by="ana")

    assert await house.share("1.0.0") == 1.0
    assert epoch > held
    between = await house.rollouts.get(rollout_id)
    assert (between.status, between.percent) == (RolloutStatus.ROLLING_BACK, 0.0)
    for late in (
        house.rollouts.ramp(rollout_id, stage=9, epoch=epoch),
        house.rollouts.check(rollout_id, number=99),
    ):
        with pytest.raises(Conflict, match="is rolling_back, cannot"):
            await late


@pytest.mark.parametrize("stage", range(6))
async def test_between_the_steps_one_version_is_in_production_by_tag_and_by_status(
    house: House, stage: int
) -> None:
    rollout_id = await at_stage(house, stage)

    await house.rollouts.return_traffic(rollout_id, reason="it is rude", by="ana")

    versions = await house.versions.list_versions("greeting", "system")
    tagged = [each.version for each in versions if "production" in each.tags]
    assert [v.version for v in versions if v.status is VersionStatus.PRODUCTION] == tagged


async def test_between_the_steps_nobody_else_takes_the_prompt_or_moves_its_production(
    house: House,
) -> None:
    rollout_id = await at_stage(house, 4)
    await house.rollouts.return_traffic(rollout_id, reason="errors")
    await house.version("1.2.0")
    other = await house.get("1.2.0")

    with pytest.raises(Conflict, match="is live already"):
        await house.open("1.2.0", key="run-2")
    with pytest.raises(Conflict, match="holds its production tag"):
        await house.versions.tag_version(other.version_id, "production")
    with pytest.raises(Conflict, match="is in use by live rollout"):
        await house.versions.delete_version((await house.get("1.0.0")).version_id)


@pytest.mark.parametrize("step", ["restore", "prove"])
async def test_nothing_is_restored_or_proved_before_users_are_back(house: House, step: str) -> None:
    rollout_id = await at_stage(house, 2)

    with pytest.raises(Conflict, match="is live: its users have not been returned yet"):
        await getattr(house.rollouts, step)(rollout_id)


async def test_it_is_the_rollback_of_whoever_came_first(house: House) -> None:
    rollout_id = await at_stage(house, 1)

    await house.rollouts.return_traffic(rollout_id, reason="complaints", by="ana")
    proof = await house.rollouts.roll_back(rollout_id, reason="harm", by="guardrails")

    assert (proof.by, proof.reason, proof.missing) == ("ana", "complaints", ())
    assert [line.by for line in (await house.rollouts.decisions(rollout_id))[-2:]] == ["ana"] * 2


async def test_a_status_changed_by_hand_is_found_journalled_once_and_restored_again(
    house: House,
) -> None:
    before = await house.facts()
    rollout_id = await at_stage(house, 2)
    await house.rollouts.return_traffic(rollout_id, reason="errors")
    await house.rollouts.restore(rollout_id)
    baseline = await house.get("1.0.0")
    await house.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)

    for _ in range(3):
        proof = await house.rollouts.prove(rollout_id)
    incomplete = await house.rollouts.get(rollout_id)
    await house.rollouts.restore(rollout_id)
    healed = await house.rollouts.prove(rollout_id)

    assert proof.missing == ("status of 1.0.0 is archived, was production",)
    assert incomplete.status is RolloutStatus.ROLLBACK_INCOMPLETE
    assert healed.missing == ()
    assert await house.facts() == before
    told = [Kind.ROLLING_BACK, Kind.ROLLBACK_INCOMPLETE, Kind.ROLLED_BACK]
    assert (await story(house, rollout_id))[-3:] == told
    assert (await house.rollouts.decisions(rollout_id))[-2].reason == proof.missing[0]


async def test_the_experiment_that_was_routed_gets_its_salt_and_allocation_back(
    house: House,
) -> None:
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 1)]
    earlier = await house.experiments.create_experiment("greeting", "system", arms)
    await house.experiments.update_experiment_status(earlier.experiment_id, "stopped")
    before = await house.facts()
    rollout_id = await at_stage(house, 2)
    async with house.database.transaction() as session:
        row = await session.get_one(ExperimentRow, earlier.experiment_id)
        salt, epoch, row.salt, row.epoch = row.salt, row.epoch, 7, 0

    await house.rollouts.return_traffic(rollout_id, reason="errors")
    missing = (await house.rollouts.prove(rollout_id)).missing
    await house.rollouts.roll_back(rollout_id, reason="errors")

    assert any("experiment before is status='stopped' salt=7 epoch=0" in each for each in missing)
    assert await house.facts() == before
    async with house.database.reading() as session:
        (found,) = await session.exec(
            select(ExperimentRow).where(ExperimentRow.id == earlier.experiment_id)
        )
    assert (found.salt, found.epoch) == (salt, epoch)


async def test_a_rollback_that_cannot_be_completed_says_what_is_missing_and_users_are_safe(
    house: House,
) -> None:
    rollout_id = await at_stage(house, 4)

    told = "users are on the baseline: status of 1.1.0 is draft, was active; try again"
    with pytest.raises(RollbackIncomplete, match=told):
        await Meddled(house).roll_back(rollout_id, reason="errors")

    assert await house.share("1.0.0") == 1.0
    assert (await house.get("1.0.0")).tags == ["production"]


async def test_inside_a_transaction_all_steps_are_one(house: House) -> None:
    rollout_id = await at_stage(house, 3)

    async def roll_back_and_fail() -> None:
        async with house.database.transaction():
            await house.rollouts.roll_back(rollout_id, reason="errors")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await roll_back_and_fail()

    assert (await house.rollouts.get(rollout_id)).status is RolloutStatus.LIVE
    assert await house.share("1.1.0") > 0.9


async def test_a_completed_rollout_is_not_rolled_back_over_an_experiment_that_began_since(
    house: House,
) -> None:
    rollout_id = await at_stage(house, 5)
    await house.version("1.2.0")
    arms = [PromptVariant("1.1.0", 1), PromptVariant("1.2.0", 1)]
    await house.experiments.create_experiment("greeting", "system", arms)
    before = await house.facts()

    with pytest.raises(Conflict, match="production has moved on"):
        await house.rollouts.roll_back(rollout_id, reason="too late")

    assert await house.facts() == before


async def test_breaking_the_glass_rolls_back_whatever_holds_the_prompt(house: House) -> None:
    before = await house.facts()
    rollout_id = await at_stage(house, 3)

    proof = await house.rollouts.roll_back_directly("greeting", "system", reason="fire", by="ana")

    assert (proof.by, proof.reason) == ("ana", "directly: fire")
    assert await house.facts() == before
    assert (await story(house, rollout_id))[-2:] == ROLLED_BACK
    with pytest.raises(NotFound, match=r"no rollout of greeting\.system is live in the database"):
        await house.rollouts.roll_back_directly("greeting", "system", reason="again")


async def test_every_step_of_a_rollout_renews_its_lease(house: House) -> None:
    rollout = await house.open()
    leases = [await lease(house)]

    epoch = await house.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
    leases.append(await lease(house))
    await house.rollouts.check(rollout.id, number=1)
    leases.append(await lease(house))
    await house.rollouts.promote(rollout.id, epoch=epoch)
    leases.append(await lease(house))

    assert leases == sorted(set(leases))
    away = leases[-1] - datetime.now(UTC)
    assert timedelta(0) < away <= 3 * rollout.plan.check_max


async def lease(house: House) -> datetime:
    async with house.database.reading() as session:
        found = (await session.exec(select(RolloutRow.lease_until))).one()
    assert found
    return found


STEPS = st.lists(st.sampled_from(["return_traffic", "restore", "prove"]), max_size=6)
NUMBERS = count()


def test_any_prefix_of_the_steps_may_be_repeated_any_number_of_times(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/repeats.db")
    with asyncio.Runner() as runner:

        @settings(max_examples=12)
        @given(stage=st.integers(0, 5), prefixes=st.lists(STEPS, max_size=4))
        def repeat(stage: int, prefixes: list[list[str]]) -> None:
            runner.run(_repeat(database, stage, prefixes))

        repeat()
        runner.run(database.dispose())


async def _repeat(database: Database, stage: int, prefixes: list[list[str]]) -> None:
    """Kill and begin again, so to speak: each prefix is what one worker came to do."""
    house = House(database, name=f"greeting-{next(NUMBERS)}")
    await house.furnish()
    before = await house.facts()
    rollout_id = await at_stage(house, stage, key=house.name)

    async def take(step: str) -> None:
        if step == "return_traffic":
            await house.rollouts.return_traffic(rollout_id, reason="why", by="ana")
        elif step == "restore":
            await house.rollouts.restore(rollout_id)
        else:
            await house.rollouts.prove(rollout_id)

    for prefix in prefixes:
        for step in ["return_traffic", *prefix]:
            await take(step)
            assert await house.share("1.0.0") == 1.0
    proof = await house.rollouts.roll_back(rollout_id, reason="the last word", by="bo")

    assert await house.facts() == before
    assert (proof.missing, proof.by) == ((), "ana" if prefixes else "bo")
    kinds = await story(house, rollout_id)
    assert [kinds.count(kind) for kind in ROLLED_BACK] == [1, 1]
