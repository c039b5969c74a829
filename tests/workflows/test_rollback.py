"""Rollbacks whose every step fails, lasts, or is undone by somebody: they end as before, always."""

from datetime import timedelta

import pytest
from sqlmodel import delete
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from domain import VersionStatus
from domain.database import Database
from domain.record import Kind, RolloutStatus
from domain.tables import DecisionRow, RolloutRow
from tests.workflows.conftest import DAY, Rehearsal
from workflows.publication import PHASE
from workflows.state import Phase

HOUR = timedelta(hours=1)
STEPS = ("return_traffic", "restore", "prove")


async def shown(handle: object) -> str | None:
    """Return the phase as Temporal's lists have it."""
    described = await handle.describe()  # type: ignore[attr-defined]
    found: str | None = described.typed_search_attributes.get(PHASE)
    return found


@pytest.mark.guarantee(2)
@pytest.mark.parametrize("step", STEPS)
async def test_a_rollback_is_tried_until_every_step_succeeds(
    rehearsal: Rehearsal, step: str
) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.sleep(2.5 * DAY)  # in the last stage, or promoted
    rehearsal.crowd.failing = {step: 30}

    await handle.signal("rollback", {"by": "ana", "reason": "complaints"})
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by, outcome.reason) == (
        Phase.ROLLED_BACK,
        "ana",
        "complaints",
    )
    assert rehearsal.crowd.failing == {step: 0}
    assert await rehearsal.house.facts() == before
    kinds = [line.kind for line in await rehearsal.journal()]
    assert (kinds.count(Kind.ROLLING_BACK), kinds.count(Kind.ROLLED_BACK)) == (1, 1)


@pytest.mark.guarantee(2)
@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_lasts_is_shouted_as_incomplete_wherever_people_look(
    rehearsal: Rehearsal, step: str
) -> None:
    rehearsal.crowd.failing = {step: 10**6}
    handle = await rehearsal.start()
    await handle.signal("rollback")
    await rehearsal.sleep(HOUR / 4)

    progress = await rehearsal.progress(handle)
    memo = await (await handle.describe()).memo()
    (rollout,) = await rehearsal.house.rollouts.list()
    rehearsal.crowd.failing = {}
    outcome = await handle.result()

    assert progress.phase is Phase.ROLLBACK_INCOMPLETE
    assert progress.refused.startswith("rollback incomplete: still trying: ")
    assert memo["phase"] == "rollback_incomplete"
    live = step == "return_traffic"
    assert rollout.status is (RolloutStatus.LIVE if live else RolloutStatus.ROLLING_BACK)
    assert outcome.outcome is Phase.ROLLED_BACK
    assert await shown(handle) == "rolled_back"


async def test_users_are_back_long_before_the_rest_can_be_restored(rehearsal: Rehearsal) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)
    rehearsal.crowd.failing = {"restore": 10**6}

    await handle.signal("rollback")
    await rehearsal.sleep(HOUR / 4)

    assert await rehearsal.house.share("1.0.0") == 1.0
    assert (await rehearsal.house.get("1.1.0")).tags == ["production"]
    assert await shown(handle) == "rollback_incomplete"
    rehearsal.crowd.failing = {}
    await handle.result()
    assert await rehearsal.house.facts() == before


@pytest.mark.guarantee(2)
async def test_what_somebody_changes_by_hand_meanwhile_is_restored_again(
    rehearsal: Rehearsal,
) -> None:
    house = rehearsal.house
    before = await house.facts()
    handle = await rehearsal.start()
    await rehearsal.sleep(HOUR)
    rehearsal.crowd.failing = {"prove": 3}
    rehearsal.crowd.meddling = True  # archives the baseline just before the first reading back

    await handle.signal("rollback")
    outcome = await handle.result()

    assert outcome.outcome is Phase.ROLLED_BACK
    assert await house.facts() == before
    incomplete = [li for li in await rehearsal.journal() if li.kind is Kind.ROLLBACK_INCOMPLETE]
    assert [line.reason for line in incomplete] == ["status of 1.0.0 is archived, was production"]
    assert (await house.get("1.0.0")).status is VersionStatus.PRODUCTION


@pytest.mark.guarantee(2)
@pytest.mark.parametrize("step", STEPS)
async def test_a_cancellation_in_the_middle_of_a_rollback_changes_nothing(
    rehearsal: Rehearsal, step: str
) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.sleep(1.5 * DAY)
    rehearsal.crowd.failing = {step: 10**6}
    await handle.signal("rollback", {"by": "ana", "reason": "complaints"})
    await rehearsal.sleep(HOUR / 4)

    await handle.cancel()
    await rehearsal.sleep(HOUR / 4)
    rehearsal.crowd.failing = {}
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, CancelledError)
    assert await rehearsal.house.facts() == before


@pytest.mark.parametrize("phase", ["baking", "paused", "final_bake", "ramping"])
async def test_whoever_broke_the_glass_is_named_by_the_workflow_too(
    rehearsal: Rehearsal, phase: str
) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.sleep(HOUR)
    if phase == "paused":
        await handle.execute_update("pause", "lunch")
    elif phase == "final_bake":
        await rehearsal.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)
    elif phase == "ramping":
        rehearsal.crowd.failing = {"ramp": 5}
        await handle.signal("promote")

    directly = rehearsal.house.rollouts.roll_back_directly
    await directly("greeting", "system", reason="fire", by="bo")
    safe = await rehearsal.house.share("1.0.0")
    outcome = await handle.result()

    assert safe == 1.0
    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "bo")
    assert outcome.reason == "directly: fire"
    assert await rehearsal.house.facts() == before
    kinds = [line.kind for line in await rehearsal.journal()]
    assert (kinds.count(Kind.ROLLING_BACK), kinds.count(Kind.ROLLED_BACK)) == (1, 1)


async def test_a_rollout_that_the_database_does_not_know_ends_with_a_sentence(
    rehearsal: Rehearsal, sqlite: Database
) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(HOUR)
    async with sqlite.transaction() as session:  # a backup of before it was opened, so to speak
        connection = await session.connection()
        await connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        await connection.exec_driver_sql("DELETE FROM evidence")
        for table in (DecisionRow, RolloutRow):
            await connection.execute(delete(table))

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.message.startswith("cannot be rolled back: no rollout '")
