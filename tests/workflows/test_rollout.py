"""RolloutWorkflow with the real activities and a real SQLite file, on a server that skips time."""

from datetime import timedelta

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.guardrail import Guardrail
from domain.plan import RolloutPlan, Stage
from domain.record import Kind
from tests.workflows.conftest import DAY, PLAN, Rehearsal
from workflows.state import Phase

BEGUN = [Kind.OPENED, Kind.RAMPED]
HOUR = timedelta(hours=1)
DONE = [Kind.PROMOTED, Kind.COMPLETED]


async def test_a_healthy_rollout_bakes_every_stage_and_is_promoted(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start(by="ana", reason="friendlier")

    outcome = await handle.result()

    assert (outcome.outcome, outcome.candidate) == (Phase.PROMOTED, "1.1.0")
    assert await rehearsal.story() == [*BEGUN, Kind.RAMPED, Kind.RAMPED, *DONE]
    assert 4 * DAY <= await rehearsal.took(handle) < 4.5 * DAY
    assert await rehearsal.house.share("1.1.0") == 1.0


@pytest.mark.parametrize("bad_from", [1, 2, 12])
async def test_a_failing_guardrail_rolls_back_at_the_next_check(
    rehearsal: Rehearsal, bad_from: int
) -> None:
    before = await rehearsal.house.facts()
    rehearsal.crowd.bad_from = bad_from

    outcome = await (await rehearsal.start()).result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert "evidence of harm" in outcome.reason
    checks = [line for line in await rehearsal.journal() if line.kind is Kind.CHECKED]
    assert len(checks) == bad_from
    assert await rehearsal.house.facts() == before


async def test_without_data_it_is_undecided_and_never_advances(rehearsal: Rehearsal) -> None:
    rehearsal.crowd.silent = True
    handle = await rehearsal.start()

    await rehearsal.sleep(6 * DAY)

    progress = await rehearsal.progress(handle)
    assert (progress.phase, progress.stage) == (Phase.BAKING, 1)
    assert progress.verdict.reason.startswith("success: no users yet in this stage, and no data")
    await handle.signal("rollback")
    assert (await handle.result()).outcome is Phase.ROLLED_BACK


async def test_21_days_with_approvals_and_a_pause(rehearsal: Rehearsal) -> None:
    plan = RolloutPlan(
        stages=(
            Stage(percent=10, bake=7 * DAY, approval=True),
            Stage(percent=50, bake=7 * DAY, approval=True),
            Stage(percent=100, bake=3 * DAY),
        ),
        check_min=DAY / 4,
        check_max=DAY,
        final_bake=DAY,
    )
    handle = await rehearsal.start(plan)

    await rehearsal.sleep(2 * DAY)
    await handle.execute_update("pause", {"by": "ana", "reason": "weekend"})
    await rehearsal.sleep(2 * DAY)
    await handle.execute_update("resume", {"by": "ana"})
    for stage in (1, 2):
        await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
        assert (await rehearsal.progress(handle)).stage == stage
        await handle.execute_update("approve", {"by": "bo", "reason": "looks good"})
    outcome = await handle.result()

    assert outcome.outcome is Phase.PROMOTED
    gate = [Kind.WAITING, Kind.APPROVED, Kind.RAMPED]
    assert await rehearsal.story() == [*BEGUN, Kind.PAUSED, Kind.RESUMED, *gate, *gate, *DONE]
    assert 20 * DAY <= await rehearsal.took(handle) < 21 * DAY


async def test_a_pause_stops_the_clock_of_the_stage(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 2)

    await handle.signal("pause")
    await rehearsal.sleep(5 * DAY)
    assert (await rehearsal.progress(handle)).stage == 1
    await handle.signal("resume")
    await handle.result()

    assert 9 * DAY <= await rehearsal.took(handle) < 9.5 * DAY


@pytest.mark.guarantee(1)
async def test_a_paused_rollout_is_still_guarded(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()
    await handle.execute_update("pause", "lunch")
    await rehearsal.sleep(DAY)

    rehearsal.crowd.bad_from = 1
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert await rehearsal.story() == [*BEGUN, Kind.PAUSED, Kind.ROLLED_BACK]


@pytest.mark.guarantee(1)
async def test_a_rollout_that_waits_for_an_approval_is_still_guarded(rehearsal: Rehearsal) -> None:
    stages = (Stage(percent=10, bake=DAY, approval=True), Stage(percent=100))
    handle = await rehearsal.start(PLAN.model_copy(update={"stages": stages}))
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)

    rehearsal.crowd.bad_from = 1
    outcome = await handle.result()

    assert outcome.by == "guardrails"


@pytest.mark.guarantee(1, 10)
async def test_a_promoted_version_is_still_guarded(rehearsal: Rehearsal) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)
    assert (await rehearsal.house.get("1.1.0")).tags == ["production"]

    rehearsal.crowd.bad_from = 1
    outcome = await handle.result()

    assert outcome.outcome is Phase.ROLLED_BACK
    assert await rehearsal.house.facts() == before


async def test_checks_are_frequent_after_a_ramp_and_rarer_later(rehearsal: Rehearsal) -> None:
    plan = RolloutPlan(
        stages=(Stage(percent=10, bake=3 * DAY), Stage(percent=100)),
        check_min=timedelta(minutes=10),
        check_max=4 * HOUR,
    )
    handle = await rehearsal.start(plan)

    await rehearsal.sleep(2 * HOUR)
    early = (await rehearsal.progress(handle)).checks
    await rehearsal.sleep(48 * HOUR)
    late = (await rehearsal.progress(handle)).checks

    assert 4 <= early <= 6  # 10, 25, 47, 81, 132 minutes, each up to a tenth later
    assert 12 <= late - early <= 18  # every 4 hours at most, after it has grown so far


async def test_a_cancelled_rollout_is_rolled_back_and_shows_as_canceled(
    rehearsal: Rehearsal,
) -> None:
    before = await rehearsal.house.facts()
    handle = await rehearsal.start()
    await rehearsal.sleep(1.5 * DAY)

    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, CancelledError)
    assert await rehearsal.story() == [*BEGUN, Kind.RAMPED, Kind.ROLLED_BACK]
    assert await rehearsal.house.facts() == before


@pytest.mark.guarantee(3)
async def test_unreadable_metrics_hold_and_never_advance(rehearsal: Rehearsal) -> None:
    rehearsal.crowd.failing = {"check": 10**6}
    quick = (Stage(percent=10, bake=HOUR), Stage(percent=100))
    plan = PLAN.model_copy(update={"stages": quick, "check_min": HOUR, "final_bake": HOUR})
    handle = await rehearsal.start(plan)
    await rehearsal.sleep(5 * HOUR)

    progress = await rehearsal.progress(handle)
    assert progress.stage == 1
    assert progress.verdict.reason.startswith("metrics unreadable: database sqlite is unavail")
    assert progress.verdict.readings[0].standing == "error"

    rehearsal.crowd.failing = {}
    assert (await handle.result()).outcome is Phase.PROMOTED


@pytest.mark.guarantee(3)
async def test_who_fears_blindness_is_rolled_back_though_no_check_could_be_made(
    rehearsal: Rehearsal,
) -> None:
    before = await rehearsal.house.facts()
    rehearsal.crowd.failing = {"check": 10**6}
    afraid = (Guardrail(when_blind="roll_back"),)
    more = {"check_min": HOUR / 2, "guardrails": afraid, "blind_after": 3 * HOUR}

    outcome = await (await rehearsal.start(PLAN.model_copy(update=more))).result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert outcome.reason.startswith("metrics unreadable: ")
    assert await rehearsal.house.facts() == before


async def test_an_inconclusive_stage_asks_a_person_and_follows_their_word(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.crowd.silent = True
    stages = (Stage(percent=10, bake=HOUR, max_bake=DAY), Stage(percent=100))
    handle = await rehearsal.start(PLAN.model_copy(update={"stages": stages}))
    await rehearsal.sleep(3 * DAY)
    asking = await rehearsal.progress(handle)

    await handle.signal("promote", {"by": "ana", "reason": "nobody uses it, and it is fine"})
    await rehearsal.until(handle, lambda seen: seen.stage == 2)

    assert (asking.stage, asking.verdict.action) == (1, "hold")
    assert asking.verdict.reason.startswith("inconclusive after 2d")


async def test_a_rollback_does_not_wait_behind_a_write_that_is_retried(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.crowd.failing = {"ramp": 10**6}
    handle = await rehearsal.start()
    await rehearsal.sleep(HOUR)

    await handle.signal("rollback", {"by": "ana", "reason": "never mind"})
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by, outcome.reason) == (
        Phase.ROLLED_BACK,
        "ana",
        "never mind",
    )


@pytest.mark.guarantee(2)
async def test_a_rollback_that_reads_back_incomplete_is_repeated_and_said(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.crowd.failing = {"read_back": 12}
    handle = await rehearsal.start()
    await handle.signal("rollback")
    await rehearsal.sleep(timedelta(minutes=1))

    progress = await rehearsal.progress(handle)
    assert progress.phase is Phase.ROLLBACK_INCOMPLETE
    assert "production is 1.1.0, was 1.0.0" in progress.refused

    assert (await handle.result()).outcome is Phase.ROLLED_BACK
