"""Rollouts on the real dev server, started and steered by Temporal's own command line."""

import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from dev import Stack
from domain.record import Kind
from tests.journeys.place import LONG, PLAN, Place, furnished
from workflows.state import Phase


@pytest_asyncio.fixture
async def place(stack: Stack) -> AsyncIterator[Place]:
    async with furnished(stack) as found:
        yield found


async def test_the_small_json_starts_it_and_describe_says_where_it_stands(place: Place) -> None:
    async with place.users(good=30):
        code, said = await place.start(by="ana", reason="friendlier", plan=LONG)
        assert code == 0, said
        await place.until(lambda seen: seen.verdict.action == "advance")

        _, described = await place.temporal("workflow", "describe", "--workflow-id", place.id)

        for words in ("RampartPercent", "RampartStage", "RampartVerdict", "baking", "[10 %]"):
            assert words in described
        assert "success: 100.0% of" in described


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": "slow"}, "unknown plan 'slow': give one of"),
        ({"candidate": "9.9.9"}, "candidate '9.9.9' of"),
        ({"plan": {"stages": [{"percent": 0}]}}, "plan.stages.0.percent: must be greater than 0"),
    ],
)
async def test_a_wrong_json_fails_at_once_and_says_why(
    place: Place, change: dict[str, object], why: str
) -> None:
    await place.start(**change)

    _, said = await place.temporal("workflow", "result", "--workflow-id", place.id)

    assert "FAILED" in said
    assert why in said


async def test_the_same_id_is_refused_by_the_server_while_one_is_live(place: Place) -> None:
    await place.start()
    flags = ("--type", "RolloutWorkflow", "--task-queue", "rampart", "--fail-existing")

    code, said = await place.temporal("workflow", "start", "--workflow-id", place.id, *flags)

    assert code != 0
    assert "already" in said
    await place.send("rollback")


@pytest.mark.guarantee(1)
async def test_a_signal_pauses_it_and_harm_rolls_it_back_while_paused(place: Place) -> None:
    before = await place.house.facts()
    await place.start(plan=LONG)
    async with place.users(good=30):
        await place.until(lambda seen: seen.verdict.action == "advance")
        code, said = await place.send("pause", "--input", '{"by": "ana", "reason": "lunch"}')
        assert code == 0, said
        await place.until(lambda seen: seen.phase is Phase.PAUSED)

    async with place.users(good=0, bad=200):
        outcome = await place.result()

    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    story = [Kind.OPENED, Kind.RAMPED, Kind.PAUSED, Kind.ROLLED_BACK]
    assert await place.story() == story
    assert await place.house.facts() == before


async def test_a_rollback_that_comes_while_a_command_is_journalled_is_carried_out(
    place: Place,
) -> None:
    await place.start(plan=LONG)
    await place.until(lambda seen: seen.checks > 0)
    handle = place.client.get_workflow_handle(place.id)

    await handle.execute_update("pause", "lunch")
    await handle.signal("rollback", "complaints")
    outcome = await place.result()

    assert (outcome["outcome"], outcome["reason"]) == ("rolled_back", "complaints")


@pytest.mark.guarantee(1)
async def test_harm_rolls_back_what_waits_for_an_approval(place: Place) -> None:
    before = await place.house.facts()
    stages = [{"percent": 10, "bake": "1s", "approval": True}, {"percent": 100}]
    await place.start(plan=PLAN | {"stages": stages})
    async with place.users(good=30):
        await place.until(lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)

    async with place.users(good=0, bad=200):
        outcome = await place.result()

    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    assert await place.story() == [Kind.OPENED, Kind.RAMPED, Kind.WAITING, Kind.ROLLED_BACK]
    assert await place.house.facts() == before


@pytest.mark.guarantee(10)
async def test_harm_after_100_percent_rolls_back_the_version_in_production(place: Place) -> None:
    before = await place.house.facts()
    await place.start(plan=PLAN | {"stages": [{"percent": 100, "bake": "1s"}], "final_bake": "1h"})
    async with place.users(good=30):
        await place.until(lambda seen: seen.phase is Phase.FINAL_BAKE)
    promoted = (await place.house.get("1.1.0")).tags

    async with place.users(good=0, bad=200):
        outcome = await place.result()

    assert promoted == ["production"]
    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    story = [Kind.OPENED, Kind.RAMPED, Kind.PROMOTED, Kind.ROLLED_BACK]
    assert await place.story() == story
    assert await place.house.facts() == before


@pytest.mark.guarantee(1, 9)
async def test_feature_9_a_regression_in_a_freeze_is_rolled_back(place: Place) -> None:
    """The must-show of a freeze: it keeps a healthy candidate where it is, and no harm alive."""
    before, now = await place.house.facts(), datetime.now(UTC)
    begins, ends = now + timedelta(seconds=6), now + timedelta(days=9)
    freeze = {"from": begins.isoformat(), "until": ends.isoformat(), "reason": "holidays"}
    stages = [{"percent": 10, "bake": "6s"}, {"percent": 100}]
    plan = PLAN | {"stages": stages, "windows": {"freezes": [freeze]}}
    async with place.users(good=30):
        code, said = await place.start(plan=plan)
        assert code == 0, said
        frozen = await place.until(lambda seen: seen.phase is Phase.WAITING_FOR_WINDOW)

    async with place.users(good=0, bad=200):
        outcome = await place.result()

    assert frozen.waiting_for.startswith("its windows to open: frozen until ")
    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    assert await place.story() == [Kind.OPENED, Kind.RAMPED, Kind.CLOSED, Kind.ROLLED_BACK]
    assert await place.house.facts() == before


@pytest.mark.guarantee(3)
async def test_feature_3_when_nobody_comes_the_policy_counts_after_the_grace(place: Place) -> None:
    before = await place.house.facts()
    afraid = {"guardrails": [{"metric": "success", "when_no_traffic": "roll_back"}]}

    await place.start(plan=PLAN | afraid | {"no_traffic_after": "2s"})
    outcome = await place.result()

    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    assert str(outcome["reason"]).startswith("nobody came for ")
    assert await place.story() == [Kind.OPENED, Kind.RAMPED, Kind.ROLLED_BACK]
    assert await place.house.facts() == before


async def test_a_signal_without_input_rolls_back(place: Place) -> None:
    await place.start(plan=LONG)
    await place.until(lambda seen: seen.checks > 0)

    await place.send("rollback")

    assert (await place.result())["outcome"] == "rolled_back"


@pytest.mark.chaos
@pytest.mark.parametrize("stage", [1, 2, 4])
async def test_a_killed_worker_changes_nothing_about_the_end(place: Place, stage: int) -> None:
    async with place.users(good=30):
        await place.start()
        await place.until(lambda seen: seen.stage >= stage)

        os.kill(place.stack.worker_pid, signal.SIGKILL)

        assert (await place.result())["outcome"] == "promoted"
    ramps = [Kind.RAMPED] * 3
    assert await place.story() == [Kind.OPENED, *ramps, Kind.PROMOTED, Kind.COMPLETED]
    assert await place.house.share("1.1.0") == 1.0


@pytest.mark.guarantee(2)
@pytest.mark.chaos
async def test_a_worker_killed_during_a_rollback_leaves_nothing_half_way(place: Place) -> None:
    before = await place.house.facts()
    await place.start()
    await place.until(lambda seen: seen.checks > 0)

    await place.send("rollback", "--input", '"complaints"')
    os.kill(place.stack.worker_pid, signal.SIGKILL)

    assert (await place.result())["outcome"] == "rolled_back"
    assert await place.house.facts() == before
