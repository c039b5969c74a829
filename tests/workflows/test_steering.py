"""A live rollout amended, skipped, promoted fully, extended; and every command once per key."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import JsonValue
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.hindsight.replay import replay
from domain.record import Kind
from tests.workflows.conftest import DAY, PLAN, Handle, Rehearsal
from workflows.answers import Answer, Changed
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase

HOUR = DAY / 24
AMEND_LINE = "stages.1.bake: 1d → 12h"


async def baking(rehearsal: Rehearsal) -> Handle:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)
    return handle


async def send(handle: Handle, verb: str, given: JsonValue = None) -> Changed:
    answer: Changed = await handle.execute_update(verb, given, result_type=Changed)
    return answer


async def why_not(handle: Handle, verb: str, given: JsonValue = None) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await send(handle, verb, given)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.message


@pytest.mark.guarantee(5)
async def test_amend_mid_bake_answers_with_the_difference_and_the_new_clock_holds(
    rehearsal: Rehearsal,
) -> None:
    handle = await baking(rehearsal)

    answer = await send(
        handle,
        "amend",
        {"set": {"stages.1.bake": "12h", "final_bake": "6h"}, "by": "ana", "reason": "quiet"},
    )
    outcome = await handle.result()

    assert answer.changes == (AMEND_LINE, "final_bake: 1d → 6h")
    assert outcome.outcome is Phase.PROMOTED
    assert timedelta(days=2.75) <= await rehearsal.took(handle) < timedelta(days=3.4)
    (line,) = [one for one in await rehearsal.journal() if one.kind is Kind.AMENDED]
    assert (line.by, line.reason) == ("ana", f"{AMEND_LINE}; final_bake: 1d → 6h: quiet")
    (rollout,) = await rehearsal.house.rollouts.list()
    checks = await rehearsal.house.rollouts.checks(rollout.id)
    changes = await rehearsal.house.rollouts.amendments(rollout.id)
    assert rollout.plan.final_bake == timedelta(hours=6)
    assert replay(rollout.plan, checks, changes) == []


async def test_amend_adds_a_stage_and_a_guardrail_that_then_judge(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    stages: list[JsonValue] = [{"percent": percent, "bake": "1d"} for percent in (10, 25, 50, 100)]

    await send(handle, "amend", {"set": {"stages": stages}})
    outcome = await handle.result()

    assert outcome.outcome is Phase.PROMOTED
    ramped = [line.percent for line in await rehearsal.journal() if line.kind is Kind.RAMPED]
    assert ramped == [10, 25, 50, 100]
    assert await rehearsal.took(handle) >= 5 * DAY


async def test_harm_after_an_amendment_still_rolls_back(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    await send(handle, "amend", {"set": {"stages.1.bake": "20d"}})
    rehearsal.crowd.bad_from = 1

    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert await rehearsal.took(handle) < 2 * DAY


@pytest.mark.guarantee(5)
async def test_an_illegal_amendment_is_refused_with_the_reason_and_changes_nothing(
    rehearsal: Rehearsal,
) -> None:
    illegal: list[tuple[JsonValue, str]] = [
        (None, "amend was refused: give a plan, or what to set"),
        ("nope", "amend was refused: plan: unknown plan 'nope'"),
        (42, "amend was refused: it takes nothing, a text, or"),
        ({"set": {"stages.1.percent": 5}}, "lowers stage 1 (10 %), which is running, to 5 %"),
        ({"set": {"alpha": 0.5}}, "alpha 0.05 → 0.5 widens the chance of a false alarm"),
        ({"set": {"stages": [{"percent": 50}, {"percent": 100}]}}, "removes stage 1 (10 %)"),
        ({"set": {"final_bake": "1d"}}, "it changes nothing"),
        ({"set": {"final_bake": "-1d"}}, "final_bake: must be a duration"),
        ({"set": {"nothing": 1}}, "there is no 'nothing'"),
    ]
    handle = await baking(rehearsal)
    before = await handle.query(RolloutWorkflow.plan)

    for given, why in illegal:
        assert why in await why_not(handle, "amend", given), given

        assert await handle.query(RolloutWorkflow.plan) == before, given

    (rollout,) = await rehearsal.house.rollouts.list()
    assert rollout.plan == before
    assert Kind.AMENDED not in await rehearsal.story()


@pytest.mark.guarantee(13)
async def test_commands_answer_refused_once_it_rolls_back(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    rehearsal.crowd.failing = {"roll_back": 4}
    await handle.signal("rollback")

    refusals = [
        await why_not(handle, "promote"),
        await why_not(handle, "amend", {"set": {"final_bake": "1h"}}),
        await why_not(handle, "extend", "2h"),
        await why_not(handle, "skip"),
    ]
    outcome = await handle.result()

    assert all("was refused: it is rolling" in said for said in refusals), refusals
    assert outcome.outcome is Phase.ROLLED_BACK


async def test_an_amendment_by_signal_is_carried_out_or_refused_where_people_look(
    rehearsal: Rehearsal,
) -> None:
    handle = await baking(rehearsal)

    await handle.signal("amend", {"set": {"final_bake": "6h"}})
    await handle.signal("amend", {"set": {"stages.1.percent": 5}})
    await rehearsal.sleep(HOUR)

    plan = await handle.query(RolloutWorkflow.plan)
    assert plan
    assert plan.final_bake == timedelta(hours=6)
    assert "amend was refused: it lowers stage 1" in (await rehearsal.progress(handle)).refused
    assert (await rehearsal.story())[-2:] == [Kind.AMENDED, Kind.REFUSED]


async def test_a_skip_goes_past_the_next_stage_after_one_more_check(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)

    answer = await send(handle, "skip", {"by": "ana", "reason": "seen elsewhere"})
    progress = await rehearsal.until(handle, lambda seen: seen.stage > 1)

    assert answer.said.startswith("skipped: it goes to stage 3, 100 %, after one more check")
    assert progress.stage == 3
    story = [line for line in await rehearsal.journal() if line.kind is not Kind.CHECKED]
    assert [line.kind for line in story] == [Kind.OPENED, Kind.RAMPED, Kind.SKIPPED, Kind.RAMPED]
    assert (story[2].by, story[2].reason) == ("ana", "to stage 3: seen elsewhere")
    assert (await handle.result()).outcome is Phase.PROMOTED
    assert timedelta(days=2.25) <= await rehearsal.took(handle) < timedelta(days=2.6)


async def test_a_skip_to_where_it_cannot_go_is_refused(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)

    said = [await why_not(handle, "skip", {"to": to}) for to in (1, 4)]
    await send(handle, "skip", {"to": 2})
    await rehearsal.until(handle, lambda seen: seen.stage == 2)
    said += [await why_not(handle, "skip")]
    await send(handle, "promote")
    await rehearsal.until(handle, lambda seen: seen.stage == 3)
    said += [await why_not(handle, "skip"), await why_not(handle, "skip", {"to": "next"})]

    assert [line.removeprefix("skip was refused: ") for line in said[:4]] == [
        "it can skip to stage 2 to 3, not to 1",
        "it can skip to stage 2 to 3, not to 4",
        "it can skip to stage 3 to 3, not to 4; the next stage is the last one: promote goes there",
        "there is no stage left to skip: stage 3 is the last",
    ]
    assert 'it takes nothing, a text, or {"to": 3, "reason"' in said[4]


async def test_promoted_fully_it_is_in_production_soon_and_still_watched(
    rehearsal: Rehearsal,
) -> None:
    handle = await baking(rehearsal)

    answer = await send(handle, "promote", {"full": True, "by": "ana"})
    outcome = await handle.result()

    assert answer.said.startswith("promoted fully: ")
    assert outcome.outcome is Phase.PROMOTED
    story = await rehearsal.story()
    assert story[2:] == [Kind.HURRIED, Kind.RAMPED, Kind.PROMOTED, Kind.COMPLETED]
    ramped = [line for line in await rehearsal.journal() if line.kind is Kind.RAMPED]
    assert [line.percent for line in ramped] == [10, 100]
    assert DAY * 1.25 <= await rehearsal.took(handle) < DAY * 1.6  # the bake after 100 % is whole


@pytest.mark.parametrize("how", ["update", "signal"])
async def test_promoted_fully_in_production_it_ends_without_the_rest_of_its_bake(
    rehearsal: Rehearsal, how: str
) -> None:
    handle = await rehearsal.start()
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)

    if how == "update":
        answer = await send(handle, "promote", {"full": True, "by": "ana"})
        assert answer.said.startswith("promoted: it goes on")
    else:
        await handle.signal("promote", {"full": True, "by": "ana"})
    outcome = await handle.result()

    assert outcome.outcome is Phase.PROMOTED
    assert await rehearsal.took(handle) < timedelta(days=3.9)


async def test_harm_outvotes_a_full_promotion(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    checks = (await rehearsal.progress(handle)).checks
    rehearsal.crowd.bad_from = checks + 2  # at the last stage, before production

    await send(handle, "promote", {"full": True, "by": "ana"})
    outcome = await handle.result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    story = await rehearsal.story()
    assert story[2:] == [Kind.HURRIED, Kind.RAMPED, Kind.ROLLED_BACK]


@pytest.mark.parametrize("paused", [False, True])
async def test_an_extended_stage_bakes_so_much_longer(rehearsal: Rehearsal, paused: bool) -> None:
    handle = await baking(rehearsal)
    if paused:
        await send(handle, "pause")

    answer = await send(handle, "extend", {"longer": "12h", "by": "ana", "reason": "weekend"})
    if paused:
        await send(handle, "resume")
    outcome = await handle.result()

    assert answer == Changed(said="extended", changes=("stages.1.bake: 1d → 1d12h",))
    assert outcome.outcome is Phase.PROMOTED
    assert timedelta(days=4.5) <= await rehearsal.took(handle) < timedelta(days=5)
    (line,) = [one for one in await rehearsal.journal() if one.kind is Kind.EXTENDED]
    assert (line.by, line.reason) == ("ana", "stages.1.bake: 1d → 1d12h: weekend")


async def test_the_bake_after_promotion_is_extended_too(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)

    answer = await send(handle, "extend", "1d")
    await handle.result()

    assert answer.changes == ("final_bake: 1d → 2d",)
    assert await rehearsal.took(handle) >= 5 * DAY


async def test_an_extension_of_nothing_or_of_no_bake_is_refused(rehearsal: Rehearsal) -> None:
    plan = PLAN.model_copy(
        update={"stages": (PLAN.stages[0].model_copy(update={"approval": True}), *PLAN.stages[1:])}
    )
    handle = await rehearsal.start(plan)
    await rehearsal.sleep(HOUR)

    said = [await why_not(handle, "extend", given) for given in (None, "0s", "-2h", "soon")]
    await rehearsal.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
    said += [await why_not(handle, "extend", "2h")]

    assert "by how much longer than 0s" in said[0]
    assert "by how much longer than 0s" in said[1]
    assert "it takes nothing, a text, or" in said[2]
    assert "it takes nothing, a text, or" in said[3]
    assert said[4] == "extend was refused: it is not baking: it is waiting_for_approval"


@pytest.mark.guarantee(13)
async def test_a_double_clicked_promote_with_a_key_counts_once_and_answers_as_it_did(
    rehearsal: Rehearsal,
) -> None:
    handle = await baking(rehearsal)
    order: JsonValue = {"by": "ana", "key": "click-1"}

    first = await send(handle, "promote", order)
    await rehearsal.until(handle, lambda seen: seen.stage == 2)
    second = await send(handle, "promote", order)
    await handle.signal("promote", order)
    await rehearsal.sleep(DAY / 4)

    assert first == second
    assert (await rehearsal.progress(handle)).stage == 2
    assert (await rehearsal.story()).count(Kind.HURRIED) == 1


async def test_a_key_is_refused_for_anything_else(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    await send(handle, "pause", {"key": "k"})
    await send(handle, "amend", {"key": "a", "set": {"final_bake": "2h"}})

    other_verb = await why_not(handle, "resume", {"key": "k"})
    other_plan = await why_not(handle, "amend", {"key": "a", "set": {"final_bake": "3h"}})
    await handle.signal("resume", {"key": "k"})
    await rehearsal.sleep(HOUR)

    assert other_verb == "resume was refused: key 'k' was used for pause already"
    assert other_plan == "amend was refused: key 'a' was used for another amend already"
    progress = await rehearsal.progress(handle)
    assert (progress.phase, progress.refused) == (Phase.PAUSED, other_verb)


async def test_an_amendment_sent_twice_at_once_is_made_once(rehearsal: Rehearsal) -> None:
    handle = await baking(rehearsal)
    order: JsonValue = {"key": "a", "set": {"final_bake": "2h"}}

    answers = await asyncio.gather(*(send(handle, "amend", order) for _ in range(2)))
    again = await send(handle, "amend", order)

    assert answers == [again, again]
    assert again == Changed(said="amended", changes=("final_bake: 1d → 2h",))
    assert (await rehearsal.story()).count(Kind.AMENDED) == 1


@pytest.mark.guarantee(13)
async def test_a_human_decision_beats_the_bake_and_each_is_journalled_with_who(
    rehearsal: Rehearsal,
) -> None:
    handle = await baking(rehearsal)

    await send(handle, "extend", {"longer": "1d", "by": "ana"})
    answer = await handle.execute_update("promote", {"by": "bob"}, result_type=Answer)
    progress = await rehearsal.until(handle, lambda seen: seen.stage == 2)

    assert answer.said.startswith("promoted")
    assert progress.percent == 50
    lines = [line for line in await rehearsal.journal() if line.by]
    assert {(line.kind, line.by) for line in lines} == {
        (Kind.EXTENDED, "ana"),
        (Kind.HURRIED, "bob"),
        (Kind.RAMPED, "bob"),
    }
