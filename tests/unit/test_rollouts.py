"""RolloutManager on both databases: steps, retries, refusals, and the exact state restored."""

import pytest
from sqlmodel import select

from domain import PromptVariant, VersionStatus
from domain.database import Database
from domain.errors import Conflict, DomainError, Fenced, NotFound
from domain.judge import Action
from domain.record import Kind, RolloutStatus
from domain.tables import RolloutRow
from tests.house import House


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def test_a_rollout_ramps_promotes_and_completes(house: House) -> None:
    rollout = await house.ramped(stage=3)

    assert await house.share("1.1.0") == pytest.approx(0.99, abs=0.01)  # 1 % is held back
    epoch = await house.rollouts.promote(rollout.id, epoch=rollout.epoch, by="ana")
    await house.rollouts.complete(rollout.id)

    facts = await house.facts()
    assert facts["versions"] == {
        "1.1.0": (VersionStatus.PRODUCTION, ["production"]),
        "1.0.0": (VersionStatus.DEPRECATED, []),
    }
    assert await house.share("1.1.0") == 1.0
    ended = await house.rollouts.get(rollout.id)
    assert (ended.status, ended.epoch > epoch) == (RolloutStatus.PROMOTED, True)
    assert [line.kind for line in await house.rollouts.decisions(rollout.id)] == [
        Kind.OPENED,
        *[Kind.RAMPED] * 3,
        Kind.PROMOTED,
        Kind.COMPLETED,
    ]


@pytest.mark.parametrize("stage", [1, 2, 3])
async def test_each_stage_gives_the_candidate_its_share(house: House, stage: int) -> None:
    await house.ramped(stage=stage)

    assert await house.share("1.1.0") == pytest.approx([0.1, 0.5, 0.99][stage - 1], abs=0.035)


@pytest.mark.guarantee(2)
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
async def test_a_rollback_restores_the_exact_state_before(house: House, stage: int) -> None:
    before = await house.facts()
    rollout = await house.ramped(stage=stage)

    await house.rollouts.roll_back(rollout.id, reason="too slow", by="ana")

    assert await house.facts() == before
    assert await house.rollouts.differences(rollout.id) == []
    ended = await house.rollouts.get(rollout.id)
    assert (ended.status, ended.percent) == (RolloutStatus.ROLLED_BACK, 0.0)


@pytest.mark.guarantee(10)
async def test_a_rollback_after_promotion_restores_tag_and_statuses_too(house: House) -> None:
    before = await house.facts()
    rollout = await house.ramped(stage=3)
    await house.rollouts.promote(rollout.id, epoch=rollout.epoch)

    await house.rollouts.roll_back(rollout.id, reason="worse at 100 %")

    assert await house.facts() == before


@pytest.mark.guarantee(10)
async def test_a_completed_rollout_can_still_be_rolled_back(house: House) -> None:
    before = await house.facts()
    rollout = await house.ramped(stage=3)
    await house.rollouts.promote(rollout.id, epoch=rollout.epoch)
    await house.rollouts.complete(rollout.id)

    await house.rollouts.roll_back(rollout.id, reason="found a day later")

    assert await house.facts() == before


async def test_a_completed_rollout_is_not_rolled_back_over_a_later_one(house: House) -> None:
    rollout = await house.ramped(stage=3)
    await house.rollouts.promote(rollout.id, epoch=rollout.epoch)
    await house.rollouts.complete(rollout.id)
    await house.version("1.2.0")
    await house.open("1.2.0", key="run-2")
    before = await house.facts()

    with pytest.raises(Conflict, match="production has moved on"):
        await house.rollouts.roll_back(rollout.id, reason="too late")

    assert await house.facts() == before


@pytest.mark.guarantee(2)
async def test_rolling_back_twice_is_rolling_back_once(house: House) -> None:
    rollout = await house.ramped(stage=1)

    for _ in range(2):
        await house.rollouts.roll_back(rollout.id, reason="errors")

    kinds = [line.kind for line in await house.rollouts.decisions(rollout.id)]
    assert kinds.count(Kind.ROLLED_BACK) == 1


async def test_a_rollback_goes_back_to_the_experiment_that_was_routed(house: House) -> None:
    experiment = await house.experiments.create_experiment(
        "greeting", "system", [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 1)]
    )
    await house.experiments.update_experiment_status(experiment.experiment_id, "stopped")
    before = await house.facts()
    rollout = await house.ramped(stage=2)

    await house.rollouts.roll_back(rollout.id, reason="errors")

    assert await house.facts() == before
    assert before["routed"] == experiment.experiment_id


@pytest.mark.guarantee(2)
async def test_what_a_rollback_did_not_restore_is_named(house: House) -> None:
    rollout = await house.ramped(stage=1)
    await house.rollouts.roll_back(rollout.id, reason="errors")
    baseline = await house.get("1.0.0")
    await house.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)

    assert await house.rollouts.differences(rollout.id) == [
        "status of 1.0.0 is archived, was production"
    ]


async def test_opening_twice_with_one_key_opens_once(house: House) -> None:
    first, again = await house.open(), await house.open()

    assert first == again
    async with house.database.transaction() as session:
        assert len((await session.exec(select(RolloutRow))).all()) == 1


async def test_ramping_and_promoting_twice_is_done_once(house: House) -> None:
    rollout = await house.ramped(stage=1)

    again = await house.rollouts.ramp(rollout.id, stage=1, epoch=0)
    first = await house.rollouts.promote(rollout.id, epoch=again)
    second = await house.rollouts.promote(rollout.id, epoch=again)

    assert again == rollout.epoch
    assert first == second > again


@pytest.mark.guarantee(14)
async def test_a_stale_writer_is_fenced(house: House) -> None:
    rollout = await house.ramped(stage=1)

    with pytest.raises(Fenced, match=r"greeting.system is at epoch \d+, this writer holds"):
        await house.rollouts.ramp(rollout.id, stage=2, epoch=rollout.epoch - 1)

    assert await house.share("1.1.0") == pytest.approx(0.1, abs=0.035)


async def test_a_concluded_rollout_refuses_to_go_on(house: House) -> None:
    rollout = await house.ramped(stage=1)
    await house.rollouts.roll_back(rollout.id, reason="errors")

    for step in (
        house.rollouts.ramp(rollout.id, stage=2, epoch=rollout.epoch),
        house.rollouts.check(rollout.id, number=1),
        house.rollouts.promote(rollout.id, epoch=rollout.epoch),
        house.rollouts.complete(rollout.id),
    ):
        with pytest.raises(Conflict, match=f"rollout '{rollout.id}' is rolled_back, cannot"):
            await step


async def test_completing_needs_a_promotion_first(house: House) -> None:
    rollout = await house.ramped(stage=3)

    with pytest.raises(Conflict, match="is not promoted yet"):
        await house.rollouts.complete(rollout.id)


@pytest.mark.parametrize(
    ("good", "bad", "action", "reason"),
    [
        (0, 0, Action.HOLD, "success: no events yet in this stage"),
        (100, 0, Action.HOLD, "success: 100.0% of 100 events, needs more than 100 to judge"),
        (0, 100, Action.HOLD, "success: 0.0% of 100 events, needs more than 100 to judge"),
        (79, 22, Action.ROLL_BACK, "success: 78.2% of 101 events, below the floor of 80.0%"),
        (90, 11, Action.HOLD, "success: 89.1% of 101 events, wants at least 95.0% to go on"),
        (97, 4, Action.ADVANCE, "success: 96.0% of 101 events, at or above 95.0%"),
    ],
)
async def test_a_check_judges_as_the_seed_does(
    house: House, good: int, bad: int, action: Action, reason: str
) -> None:
    rollout = await house.ramped(stage=1)
    await house.events("1.1.0", good=good, bad=bad)

    verdict = await house.rollouts.check(rollout.id, number=1)

    assert (verdict.action, verdict.reason) == (action, reason)
    line = (await house.rollouts.decisions(rollout.id))[-1]
    assert (line.kind, line.action, line.reason) == (Kind.CHECKED, action, reason)
    assert [reading.guardrail for reading in line.readings] == ["success"]


async def test_a_repeated_check_answers_as_it_did(house: House) -> None:
    rollout = await house.ramped(stage=1)
    first = await house.rollouts.check(rollout.id, number=1)
    await house.events("1.1.0", good=0, bad=500)

    assert await house.rollouts.check(rollout.id, number=1) == first
    assert (await house.rollouts.check(rollout.id, number=2)).action is Action.ROLL_BACK


async def test_only_events_of_the_present_stage_are_judged(house: House) -> None:
    rollout = await house.ramped(stage=1)
    await house.events("1.1.0", good=500, bad=0)
    await house.rollouts.ramp(rollout.id, stage=2, epoch=rollout.epoch)

    verdict = await house.rollouts.check(rollout.id, number=1)

    assert verdict.reason == "success: no events yet in this stage"


async def test_what_people_ask_for_is_journalled_once(house: House) -> None:
    rollout = await house.open()

    for _ in range(2):
        await house.rollouts.note(
            rollout.id, key="message:1", kind=Kind.PAUSED, by="ana", reason="lunch"
        )

    lines = await house.rollouts.decisions(rollout.id)
    assert [(line.kind, line.by, line.reason) for line in lines[1:]] == [
        (Kind.PAUSED, "ana", "lunch")
    ]


@pytest.mark.parametrize(
    ("candidate", "kind", "message"),
    [
        ("9.9.9", NotFound, "candidate '9.9.9' of greeting.system does not exist: known are"),
        ("1.0.0", Conflict, "candidate 1.0.0 of greeting.system is in production already"),
        ("1.2.0", Conflict, "candidate 1.2.0 of greeting.system is archived: only an active"),
        ("1.3.0", Conflict, "candidate 1.3.0 of greeting.system is deprecated: only an active"),
        ("1.4.0", Conflict, "candidate 1.4.0 of greeting.system is draft: only an active"),
    ],
)
async def test_a_wrong_candidate_is_refused_and_nothing_is_written(
    house: House, candidate: str, kind: type[DomainError], message: str
) -> None:
    await house.version("1.2.0", VersionStatus.ARCHIVED)
    await house.version("1.3.0", VersionStatus.DEPRECATED)
    await house.version("1.4.0", VersionStatus.DRAFT)
    before = await house.facts()

    with pytest.raises(kind, match=message):
        await house.open(candidate)

    assert await house.facts() == before
    assert await house.rollouts.list() == []
    assert await house.experiments.list_experiments() == []


async def test_a_prompt_without_a_production_version_is_refused(house: House) -> None:
    baseline = await house.get("1.0.0")
    await house.versions.untag_version(baseline.version_id, "production")

    with pytest.raises(NotFound, match=r"greeting\.system has no production version"):
        await house.open()

    assert await house.rollouts.list() == []


async def test_a_second_rollout_of_a_prompt_is_refused(house: House) -> None:
    first = await house.ramped(stage=1)
    await house.version("1.2.0")

    with pytest.raises(Conflict, match=f"live already: {first.id}, stage 1 at 10 %"):
        await house.open("1.2.0", key="run-2")

    assert [rollout.id for rollout in await house.rollouts.list("greeting", "system")] == [first.id]


async def test_a_running_experiment_is_not_disturbed_by_a_rollout(house: House) -> None:
    await house.experiments.create_experiment(
        "greeting", "system", [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 1)]
    )

    with pytest.raises(Conflict, match=r"on greeting\.system is running: complete or stop it"):
        await house.open()


async def test_an_unknown_rollout_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="no rollout 'r-1'"):
        await house.rollouts.get("r-1")
