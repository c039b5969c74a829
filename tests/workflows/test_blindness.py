"""Feature 3, blindness is never success: what is not seen does not advance."""

from datetime import timedelta

import pytest

from domain.guardrail import Guardrail
from domain.plan import Stage
from domain.record import Kind
from tests.workflows.conftest import PLAN, Rehearsal
from workflows.state import Phase

BEGUN = [Kind.OPENED, Kind.RAMPED]
HOUR = timedelta(hours=1)
QUICK = PLAN.model_copy(
    update={
        "stages": (Stage(percent=10, bake=HOUR), Stage(percent=100, bake=HOUR)),
        "check_min": HOUR / 6,
        "check_max": HOUR / 2,
        "final_bake": HOUR,
        "blind_after": HOUR / 4,
    }
)
AFRAID = QUICK.model_copy(update={"guardrails": (Guardrail(when_blind="roll_back"),)})


@pytest.mark.guarantee(3)
async def test_feature_3_a_step_that_the_database_kept_waiting_is_judged_again_first(
    rehearsal: Rehearsal,
) -> None:
    """The store goes away between the verdict and the ramp: what it said then is no leave now."""
    handle = await rehearsal.start(QUICK)
    await rehearsal.sleep(HOUR / 2)
    rehearsal.crowd.failing = {"ramp": 10**6}
    await rehearsal.sleep(HOUR)
    stuck = await rehearsal.progress(handle)

    rehearsal.crowd.bad_from = stuck.checks + 1
    rehearsal.crowd.failing = {}
    outcome = await handle.result()

    assert (stuck.stage, stuck.verdict.action) == (1, "advance")
    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert "evidence of harm" in outcome.reason
    assert await rehearsal.story() == [*BEGUN, Kind.ROLLED_BACK]


@pytest.mark.guarantee(3)
async def test_feature_3_an_outage_that_outlasts_blind_after_in_a_step_follows_the_policy(
    rehearsal: Rehearsal,
) -> None:
    handle = await rehearsal.start(AFRAID)
    await rehearsal.sleep(HOUR / 2)
    rehearsal.crowd.failing = {"ramp": 10**6}
    await rehearsal.sleep(HOUR)

    rehearsal.crowd.failing = {}
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert outcome.reason.startswith("metrics unreadable: it could not be done for ")
    assert await rehearsal.story() == [*BEGUN, Kind.ROLLED_BACK]


@pytest.mark.guarantee(3)
async def test_feature_3_the_journal_of_what_people_say_does_not_keep_the_policy_waiting(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.step = HOUR / 12
    handle = await rehearsal.start(AFRAID)
    await rehearsal.sleep(HOUR / 4)
    rehearsal.crowd.failing = {"check": 10**6, "note": 10**6}
    await handle.signal("pause", {"by": "ana", "reason": "the database is away"})

    paused_at = await rehearsal.env.get_current_time()
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.ROLLING_BACK)
    acted_after = await rehearsal.env.get_current_time() - paused_at
    rehearsal.crowd.failing = {}
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert outcome.reason.startswith("metrics unreadable: database sqlite is unavailable")
    assert await rehearsal.story() == [*BEGUN, Kind.ROLLED_BACK, Kind.PAUSED]
    assert acted_after <= 50 * HOUR / 60
