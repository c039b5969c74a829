"""Feature 9: windows bind advance, never rollback. Stories on the server that skips time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.plan import Stage
from domain.record import Kind
from domain.windows.plan import DAYS, Freeze, Hours, Windows
from tests.workflows.conftest import DAY, PLAN, Handle, Rehearsal
from workflows.state import Phase

BEGUN = [Kind.OPENED, Kind.RAMPED]
DONE = [Kind.PROMOTED, Kind.COMPLETED]
HOUR = timedelta(hours=1)
QUICK = PLAN.model_copy(
    update={
        "stages": (Stage(percent=10, bake=HOUR), Stage(percent=100, bake=HOUR)),
        "check_min": HOUR / 3,
        "check_max": 6 * HOUR,
        "final_bake": HOUR,
    }
)


def frozen(start: datetime, until: datetime) -> Windows:
    freeze = {"from": start, "until": until, "reason": "holidays"}
    return Windows(freezes=(Freeze.model_validate(freeze),))


async def ramped_at(handle: Handle) -> list[datetime]:
    """Return when, by the server's clock, each ramp and the promotion were carried out."""
    history = await handle.fetch_history()
    steps, done = {}, []
    for event in history.events:
        if event.HasField("activity_task_scheduled_event_attributes"):
            told = event.activity_task_scheduled_event_attributes
            steps[event.event_id] = told.activity_type.name
        if event.HasField("activity_task_completed_event_attributes"):
            begun = event.activity_task_completed_event_attributes.scheduled_event_id
            if steps[begun] in ("ramp", "promote", "complete"):
                done.append(event.event_time.ToDatetime(tzinfo=UTC))
    return done


@pytest.mark.guarantee(9)
async def test_feature_9_what_is_frozen_advances_when_the_window_opens(
    rehearsal: Rehearsal,
) -> None:
    now = await rehearsal.env.get_current_time()
    opens = now + 2 * DAY
    plan = QUICK.model_copy(update={"windows": frozen(now + HOUR / 2, opens)})
    handle = await rehearsal.start(plan)
    waiting = await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_WINDOW)

    outcome = await handle.result()

    assert (waiting.stage, waiting.verdict.action) == (1, "advance")
    assert waiting.waiting_for.startswith("its windows to open: frozen until ")
    assert waiting.waiting_for.endswith("(holidays)")
    assert outcome.outcome is Phase.PROMOTED
    assert await rehearsal.story() == [*BEGUN, Kind.CLOSED, Kind.RAMPED, *DONE]
    first, second, *_ = await ramped_at(handle)
    assert first < now + HOUR / 2
    assert opens <= second < opens + HOUR / 2


@pytest.mark.guarantee(9)
async def test_feature_9_a_regression_in_a_freeze_is_rolled_back(rehearsal: Rehearsal) -> None:
    before = await rehearsal.house.facts()
    now = await rehearsal.env.get_current_time()
    plan = QUICK.model_copy(update={"windows": frozen(now + HOUR / 2, now + 9 * DAY)})
    handle = await rehearsal.start(plan)
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_WINDOW)

    rehearsal.crowd.bad_from = 1
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert await rehearsal.took(handle) < 2 * DAY
    assert await rehearsal.house.facts() == before


async def test_started_in_a_freeze_nobody_gets_the_candidate_before_its_end(
    rehearsal: Rehearsal,
) -> None:
    now = await rehearsal.env.get_current_time()
    opens = now + 3 * DAY + HOUR
    handle = await rehearsal.start(QUICK.model_copy(update={"windows": frozen(now - HOUR, opens)}))
    await rehearsal.sleep(2 * DAY)
    frozen_still = await rehearsal.progress(handle)
    share = await rehearsal.house.share("1.1.0")

    await handle.result()

    assert (frozen_still.phase, frozen_still.stage) == (Phase.WAITING_FOR_WINDOW, 0)
    assert (frozen_still.percent, share) == (0, 0)
    assert await rehearsal.story() == [
        Kind.OPENED, Kind.CLOSED, Kind.RAMPED, Kind.RAMPED, *DONE
    ]  # fmt: skip
    first = (await ramped_at(handle))[0]
    assert opens <= first < opens + HOUR / 2


async def test_a_promotion_by_a_person_is_kept_and_waits_for_the_window(
    rehearsal: Rehearsal,
) -> None:
    now = await rehearsal.env.get_current_time()
    opens = now + DAY
    rehearsal.crowd.silent = True
    handle = await rehearsal.start(
        QUICK.model_copy(update={"windows": frozen(now + HOUR / 2, opens)})
    )
    await rehearsal.until(handle, lambda seen: bool(seen.closed))

    answer = await handle.execute_update("promote", {"by": "ana", "reason": "it is fine"})
    await rehearsal.until(handle, lambda seen: seen.stage == 2)

    assert answer["said"].startswith("promoted: it goes on after one more check")
    assert "; but frozen until " in answer["said"]
    second = (await ramped_at(handle))[1]
    assert opens <= second < opens + HOUR / 2
    (ramp,) = [line for line in await rehearsal.journal() if line.stage == 2][:1]
    assert (ramp.kind, ramp.by) == (Kind.RAMPED, "ana")


async def test_an_approval_in_a_freeze_is_kept_and_acts_when_it_ends(rehearsal: Rehearsal) -> None:
    now = await rehearsal.env.get_current_time()
    opens = now + 2 * DAY
    stages = (Stage(percent=10, bake=HOUR, approval=True), Stage(percent=100, bake=HOUR))
    change = {"stages": stages, "windows": frozen(now + HOUR / 2, opens)}
    handle = await rehearsal.start(QUICK.model_copy(update=change))
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)

    answer = await handle.execute_update("approve", {"by": "bo"})
    waiting = await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_WINDOW)
    await handle.result()

    assert "; but frozen until " in answer["said"]
    assert waiting.stage == 1
    second = (await ramped_at(handle))[1]
    assert opens <= second < opens + HOUR / 2


async def test_every_step_is_taken_in_business_hours_by_the_clock_on_the_wall(
    rehearsal: Rehearsal,
) -> None:
    """Two months of Berlin, so that a change of the clock may lie in it."""
    hours = Hours.model_validate({"days": ["tue", "thu"], "from": "09:00", "until": "11:00"})
    windows = Windows(time_zone="Europe/Berlin", hours=(hours,))
    stages = tuple(Stage(percent=percent, bake=6 * DAY) for percent in (1, 5, 25, 50, 100))
    change = {"stages": stages, "windows": windows, "check_min": DAY / 2, "check_max": 2 * DAY}
    handle = await rehearsal.start(QUICK.model_copy(update=change))

    outcome = await handle.result()

    local = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in await ramped_at(handle)]
    assert outcome.outcome is Phase.PROMOTED
    assert len(local) == 7
    assert {DAYS[at.weekday()] for at in local} <= {"tue", "thu"}
    assert all(9 <= at.hour < 11 for at in local)


async def test_a_step_that_the_database_delays_past_closing_time_waits_for_the_next_window(
    rehearsal: Rehearsal,
) -> None:
    now = await rehearsal.env.get_current_time()
    opens = now + 3 * DAY
    windows = frozen(now + 1.3 * HOUR, opens)
    handle = await rehearsal.start(QUICK.model_copy(update={"windows": windows}))
    await rehearsal.sleep(HOUR / 2)
    rehearsal.crowd.failing = {"ramp": 10**6}
    await rehearsal.sleep(HOUR)

    rehearsal.crowd.failing = {}
    outcome = await handle.result()

    assert outcome.outcome is Phase.PROMOTED
    second = (await ramped_at(handle))[1]
    assert opens <= second < opens + HOUR / 2


async def test_it_is_opened_when_it_is_due(rehearsal: Rehearsal) -> None:
    due = await rehearsal.env.get_current_time() + 3 * DAY
    handle = await rehearsal.start(QUICK, start_at=due.isoformat())
    await rehearsal.sleep(DAY)
    waiting = await rehearsal.progress(handle)
    opened = await rehearsal.house.rollouts.list()
    with pytest.raises(Exception, match="Workflow update failed") as refusal:
        await handle.execute_update("pause")

    outcome = await handle.result()

    assert (waiting.phase, waiting.prompt) == (Phase.SCHEDULED, "greeting.system")
    assert (waiting.baseline, waiting.candidate) == ("1.0.0", "1.1.0")
    assert waiting.waiting_for == f"its start at {due:%Y-%m-%d %H:%M:%S} UTC"
    assert not opened
    assert "it is not open yet; it waits for its start at" in str(refusal.value.__cause__)
    assert outcome.outcome is Phase.PROMOTED
    first = (await ramped_at(handle))[0]
    assert due <= first < due + HOUR / 10


async def test_withdrawn_before_it_is_due_nothing_was_changed(rehearsal: Rehearsal) -> None:
    before = await rehearsal.house.facts()
    due = await rehearsal.env.get_current_time() + 3 * DAY
    handle = await rehearsal.start(QUICK, start_at=due.isoformat())
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.SCHEDULED)

    answer = await handle.execute_update("rollback", {"by": "ana", "reason": "not yet"})
    outcome = await handle.result()

    assert answer["said"] == "withdrawn: it was not opened, nothing was changed"
    assert (outcome.outcome, outcome.by, outcome.reason) == (Phase.WITHDRAWN, "ana", "not yet")
    assert await rehearsal.took(handle) < 3 * DAY
    assert not await rehearsal.house.rollouts.list()
    assert await rehearsal.house.facts() == before


async def test_cancelled_before_it_is_due_nothing_was_changed(rehearsal: Rehearsal) -> None:
    due = await rehearsal.env.get_current_time() + 3 * DAY
    handle = await rehearsal.start(QUICK, start_at=due.isoformat())
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.SCHEDULED)

    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, CancelledError)
    assert not await rehearsal.house.rollouts.list()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"candidate": "9.9.9"}, "candidate '9.9.9' of greeting.system does not exist"),
        ({"start_at": "2026-12-01T09:00"}, "start_at: must be an instant with its offset"),
    ],
)
async def test_what_could_not_be_opened_is_refused_when_it_is_scheduled(
    rehearsal: Rehearsal, change: dict[str, str], why: str
) -> None:
    due = await rehearsal.env.get_current_time() + 3 * DAY
    handle = await rehearsal.start(QUICK, **{"start_at": due.isoformat()} | change)

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert why in str(failure.value.cause)


@pytest.mark.parametrize("paused", [False, True])
async def test_what_is_not_promoted_by_its_deadline_is_rolled_back(
    rehearsal: Rehearsal, paused: bool
) -> None:
    before = await rehearsal.house.facts()
    rehearsal.crowd.silent = not paused
    handle = await rehearsal.start(QUICK.model_copy(update={"deadline": 2 * DAY}))
    if paused:
        await handle.execute_update("pause")

    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "deadline")
    assert outcome.reason.startswith("it was not promoted by its deadline, ")
    assert 2 * DAY <= await rehearsal.took(handle) < 2 * DAY + HOUR / 2
    assert await rehearsal.house.facts() == before


async def test_a_deadline_may_hold_instead_until_a_person_promotes(rehearsal: Rehearsal) -> None:
    change = {"deadline": 3 * HOUR, "when_late": "hold"}
    rehearsal.crowd.silent = True
    handle = await rehearsal.start(QUICK.model_copy(update=change))
    await rehearsal.sleep(4 * HOUR)
    rehearsal.crowd.silent = False
    await rehearsal.sleep(DAY)
    held = await rehearsal.progress(handle)

    for stage in (2, 3):
        await handle.execute_update("promote", {"by": "ana"})
        await rehearsal.until(handle, lambda seen, stage=stage: seen.stage >= stage)  # type: ignore[misc]
    outcome = await handle.result()

    assert (held.stage, held.verdict.action) == (1, "advance")
    assert held.waiting_for == "somebody to promote it or roll it back: its deadline has passed"
    assert outcome.outcome is Phase.PROMOTED


async def test_a_deadline_ends_a_rollout_that_a_freeze_keeps_from_beginning(
    rehearsal: Rehearsal,
) -> None:
    now = await rehearsal.env.get_current_time()
    change = {"windows": frozen(now - HOUR, now + 9 * DAY), "deadline": now + DAY}

    outcome = await (await rehearsal.start(QUICK.model_copy(update=change))).result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "deadline")
    assert await rehearsal.story() == [Kind.OPENED, Kind.CLOSED, Kind.ROLLED_BACK]
