"""What people send to a rollout: obeyed, or refused with the reason; garbage included."""

import pytest
from pydantic import JsonValue

from domain.record import Kind
from tests.workflows.conftest import DAY, Rehearsal
from workflows.answers import Answer
from workflows.commands import Verb
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase

HOUR = DAY / 24


async def test_a_signal_takes_nothing_a_text_or_an_object(rehearsal: Rehearsal) -> None:
    given: list[tuple[JsonValue, ...]] = [
        (),
        (None,),
        ("too slow",),
        ({"reason": "too slow"},),
        ({"reason": "too slow", "by": "ana"},),
    ]
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    phases = []
    for each in given:
        await handle.signal("pause", args=each)
        await rehearsal.sleep(HOUR)
        phases.append((await rehearsal.progress(handle)).phase)
        await handle.signal("resume")
        await rehearsal.sleep(HOUR)

    assert phases == [Phase.PAUSED] * 5
    lines = [line for line in await rehearsal.journal() if line.kind is Kind.PAUSED]
    assert [(line.by, line.reason) for line in lines] == [
        ("", "no reason given"),
        ("", "no reason given"),
        ("", "too slow"),
        ("", "too slow"),
        ("ana", "too slow"),
    ]


async def test_a_garbled_signal_is_refused_where_people_look_and_sticks_nothing(
    rehearsal: Rehearsal,
) -> None:
    garbage: list[JsonValue] = [42, [1, 2], {"reson": "typo"}, True, {"by": 7}, "x" * 2001]
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    seen = []
    for each in garbage:
        await handle.signal("pause", each)
        await rehearsal.sleep(HOUR)
        seen.append(await rehearsal.progress(handle))

    assert [progress.phase for progress in seen] == [Phase.BAKING] * 6
    refused = [progress.refused for progress in seen]
    told = "pause was refused: it takes nothing, a text, or"
    assert all(why.startswith(told) for why in refused), refused
    lines = [line.reason for line in await rehearsal.journal() if line.kind is Kind.REFUSED]
    assert lines == refused
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


@pytest.mark.guarantee(13)
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


@pytest.mark.guarantee(13)
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


@pytest.mark.guarantee(13)
async def test_a_double_clicked_promote_counts_once(rehearsal: Rehearsal) -> None:
    handle = await rehearsal.start()
    await rehearsal.sleep(DAY / 4)

    await handle.signal("promote")
    await handle.signal("promote")
    await rehearsal.sleep(DAY / 4)

    assert (await rehearsal.progress(handle)).stage == 2


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
