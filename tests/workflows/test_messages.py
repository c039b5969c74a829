"""What people send to a rollout: obeyed, or refused with the reason; garbage included."""

from collections.abc import Awaitable, Callable

import pytest
from pydantic import JsonValue
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.plan import Stage
from domain.record import Kind
from tests.workflows.conftest import DAY, PLAN, Handle, Rehearsal
from workflows.commands import Verb
from workflows.messages import Answer
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase

GATED = PLAN.model_copy(
    update={"stages": (Stage(percent=10, bake=DAY, approval=True), Stage(percent=100))}
)


async def refusal(handle: Handle, verb: str, given: JsonValue = None) -> str:
    """Return why the update was refused."""
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await handle.execute_update(verb, given)
    assert isinstance(failure.value.cause, ApplicationError)
    return failure.value.cause.message


@pytest.mark.parametrize(
    ("given", "by", "reason"),
    [
        ((), "", "no reason given"),
        ((None,), "", "no reason given"),
        (("too slow",), "", "too slow"),
        (({"reason": "too slow"},), "", "too slow"),
        (({"reason": "too slow", "by": "ana"},), "ana", "too slow"),
    ],
)
async def test_a_signal_takes_nothing_a_text_or_an_object(
    rehearsal: Rehearsal, given: tuple[JsonValue, ...], by: str, reason: str
) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    await handle.signal("pause", args=given)
    await rehearsal.sleep(DAY / 4)

    assert (await rehearsal.progress(handle)).phase is Phase.PAUSED
    (line,) = [line for line in await rehearsal.journal() if line.kind is Kind.PAUSED]
    assert (line.by, line.reason) == (by, reason)


@pytest.mark.parametrize("garbage", [42, [1, 2], {"reson": "typo"}, True, {"by": 7}, "x" * 2001])
async def test_a_garbled_signal_is_refused_where_people_look_and_sticks_nothing(
    rehearsal: Rehearsal, garbage: JsonValue
) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    await handle.signal("pause", garbage)
    await rehearsal.sleep(DAY / 4)

    progress = await rehearsal.progress(handle)
    assert progress.phase is Phase.BAKING
    assert progress.refused.startswith("pause was refused: it takes nothing, a text, or")
    (line,) = [line for line in await rehearsal.journal() if line.kind is Kind.REFUSED]
    assert line.reason == progress.refused
    assert (await handle.result()).outcome is Phase.PROMOTED


@pytest.mark.parametrize("garbage", [42, [1, 2], {"reson": "typo"}, "x" * 5000])
async def test_a_garbled_rollback_still_rolls_back(
    rehearsal: Rehearsal, garbage: JsonValue
) -> None:
    handle = await rehearsal.start()

    await handle.signal("rollback", garbage)

    assert (await handle.result()).outcome is Phase.ROLLED_BACK


async def test_more_inputs_than_one_stick_nothing(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()

    await handle.signal("pause", args=["lunch", "and", "more"])
    await handle.signal("no such signal")
    await handle.signal("rollback", args=[{"by": "ana"}, 2])

    assert (await handle.result()).outcome is Phase.ROLLED_BACK


async def test_a_rollback_by_a_person_is_journalled_with_who_and_why(
    rehearsal: Rehearsal,
) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 2)

    order = {"by": "ana", "reason": "complaints"}
    answer = await handle.execute_update("rollback", order, result_type=Answer)
    outcome = await handle.result()

    assert answer == Answer(said="rolling back")
    assert (outcome.by, outcome.reason) == ("ana", "complaints")
    line = (await rehearsal.journal())[-1]
    assert (line.kind, line.by, line.reason) == (Kind.ROLLED_BACK, "ana", "complaints")


async def test_a_person_who_promotes_outvotes_doubt_but_not_harm(rehearsal: Rehearsal) -> None:
    rehearsal.crowd.silent = True
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    await handle.execute_update("promote", {"by": "ana", "reason": "demo at noon"})
    progress = await rehearsal.until(handle, lambda seen: seen.stage == 2)

    assert progress.percent == 50
    lines = [line for line in await rehearsal.journal() if line.kind is Kind.RAMPED]
    assert (lines[1].by, lines[1].reason) == (
        "ana",
        "50 % of users get 1.1.0 (stage 2 of 3): demo at noon",
    )

    rehearsal.crowd.silent, rehearsal.crowd.bad_from = False, 1
    await handle.execute_update("promote")
    assert (await handle.result()).by == "guardrails"


async def test_a_double_clicked_promote_counts_once(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    await handle.signal("promote")
    await handle.signal("promote")
    await rehearsal.sleep(DAY / 4)

    assert (await rehearsal.progress(handle)).stage == 2


async def opening(rehearsal: Rehearsal) -> Handle:
    rehearsal.crowd.failing = {"ramp": 10**6}
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 24)
    return handle


async def baking(rehearsal: Rehearsal) -> Handle:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)
    return handle


async def paused(rehearsal: Rehearsal) -> Handle:
    handle = await baking(rehearsal)
    await handle.execute_update("pause", {"by": "ana", "reason": "lunch"})
    return handle


async def at_the_gate(rehearsal: Rehearsal) -> Handle:
    handle = await rehearsal.start(GATED)
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
    return handle


async def incompletely_rolled_back(rehearsal: Rehearsal) -> Handle:
    rehearsal.crowd.failing = {"read_back": 10**6}
    handle = await baking(rehearsal)
    await handle.signal("rollback")
    await rehearsal.sleep(DAY / 24)
    return handle


@pytest.mark.parametrize(
    ("reach", "verb", "why"),
    [
        (opening, "promote", "promote was refused: it is still ramping"),
        (opening, "approve", "approve was refused: it is not waiting for an approval: it is ram"),
        (baking, "resume", "resume was refused: it is not paused: it is baking"),
        (baking, "approve", "approve was refused: it is not waiting for an approval: it is bak"),
        (paused, "pause", "pause was refused: it is paused already by ana: lunch"),
        (paused, "promote", "promote was refused: it is paused by ana: lunch; resume it first"),
        (at_the_gate, "promote", "promote was refused: it waits for an approval; approve it"),
        (at_the_gate, "resume", "resume was refused: it is not paused: it is waiting_for_approval"),
        (incompletely_rolled_back, "promote", "promote was refused: it is rollback_incomplete"),
        (incompletely_rolled_back, "rollback", "rollback was refused: it is rollback_incomplete"),
    ],
)
async def test_an_update_that_cannot_be_followed_is_refused_with_the_reason(
    rehearsal: Rehearsal,
    reach: Callable[[Rehearsal], Awaitable[Handle]],
    verb: str,
    why: str,
) -> None:
    handle = await reach(rehearsal)
    before = await rehearsal.progress(handle)

    assert (await refusal(handle, verb)).startswith(why)

    after = await rehearsal.progress(handle)
    assert (after.phase, after.stage) == (before.phase, before.stage)


async def test_a_garbled_update_is_refused_with_what_is_allowed(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)

    why = await refusal(handle, "pause", {"reson": "typo"})

    assert why == (
        'pause was refused: it takes nothing, a text, or {"reason": "…", "by": "…"},'
        ' got {"reson": "typo"}'
    )


async def test_the_plan_can_be_asked_for_with_presets_resolved(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start_raw(
        {"name": "greeting", "prompt_type": "system", "candidate": "1.1.0", "plan": "aggressive"}
    )
    await rehearsal.sleep(DAY / 24)

    plan = await handle.query(RolloutWorkflow.plan)

    assert plan
    assert [stage.percent for stage in plan.stages] == [10, 50, 100]


async def test_every_message_says_in_the_ui_what_it_does(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()

    shown = await handle.query("__temporal_workflow_metadata")

    told = [
        {item.name: item.description for item in items if not item.name.startswith("__")}
        for items in (
            shown.definition.signal_definitions,
            shown.definition.update_definitions,
            shown.definition.query_definitions,
        )
    ]
    verbs = {verb.value for verb in Verb}
    assert told[0].keys() == told[1].keys() == verbs
    assert told[2].keys() == {"progress", "plan"}
    assert all(len(words) > 20 for kind in told for words in kind.values())
