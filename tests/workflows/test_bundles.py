"""Two prompts as one rollout, with real activities, on a server that skips time."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pydantic import JsonValue
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from activities.rollouts import Check
from domain.database import Database
from domain.judge import Action, Verdict
from domain.record import Kind, RolloutStatus
from domain.routing import claim_epoch
from tests.couple import Couple
from tests.crowd import Crowd
from tests.workflows.conftest import DAY, PLAN, Handle, Rehearsal
from worker import build_worker
from workflows.page import details
from workflows.publication import memo
from workflows.state import Phase

REQUEST: dict[str, JsonValue] = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": PLAN.model_dump(mode="json"),
    "companions": [{"name": "farewell", "prompt_type": "system", "candidate": "1.1.0"}],
}


class TwoCrowds(Crowd):
    """Users of both prompts; `rude_from` is when farewell's candidate begins to fail its own."""

    def __init__(self, couple: Couple) -> None:
        super().__init__(couple.greeting)
        self.couple = couple
        self.rude_from = 10**9

    @activity.defn
    async def check(self, order: Check) -> Verdict:
        rude = order.number >= self.rude_from
        farewell = self.couple.farewell
        async with farewell.database.transaction():
            await farewell.events("1.0.0", good=120, bad=0)
            await farewell.events("1.1.0", good=0 if rude else 120, bad=1000 if rude else 0)
        return await super().check(order)


class Bundled(Rehearsal):
    """A rollout of both prompts as one."""

    def __init__(self, env: WorkflowEnvironment, couple: Couple, crowds: TwoCrowds) -> None:
        super().__init__(env, couple.greeting, crowds)
        self.couple = couple
        self.crowds = crowds

    async def begin(self) -> Handle:
        return await self.start_raw(REQUEST)

    async def statuses(self) -> list[RolloutStatus]:
        return [each.status for each in await self.couple.rollouts.list()]


@pytest.fixture
async def bundled(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Bundled]:
    couple = Couple(sqlite)
    await couple.furnish()
    bundled = Bundled(skipping, couple, TwoCrowds(couple))
    async with build_worker(skipping.client, bundled.crowds, task_queue=bundled.queue):
        yield bundled


async def test_a_healthy_bundle_bakes_every_stage_once_and_is_promoted(bundled: Bundled) -> None:
    handle = await bundled.begin()

    outcome = await handle.result()

    assert outcome.outcome is Phase.PROMOTED
    assert await bundled.statuses() == [RolloutStatus.PROMOTED] * 2
    assert await bundled.couple.shares() == [1.0, 1.0]
    assert 4 * DAY <= await bundled.took(handle) < 4.5 * DAY


@pytest.mark.guarantee(11)
@pytest.mark.parametrize("rude_from", [1, 12])
async def test_the_second_prompt_fails_and_both_are_restored_exactly(
    bundled: Bundled, rude_from: int
) -> None:
    before = await bundled.couple.facts()
    bundled.crowds.rude_from = rude_from

    outcome = await (await bundled.begin()).result()

    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "guardrails")
    assert outcome.reason.startswith("farewell.system: success: ")
    assert outcome.reason.endswith("; evidence of harm over a million, needs 40")
    assert "greeting" not in outcome.reason
    assert await bundled.couple.facts() == before
    assert await bundled.statuses() == [RolloutStatus.ROLLED_BACK] * 2
    (leader,) = [each for each in await bundled.couple.rollouts.list() if each.name == "greeting"]
    lines = await bundled.couple.rollouts.decisions(leader.id)
    checks = [line for line in lines if line.kind is Kind.CHECKED]
    assert [check.action for check in checks].count(Action.ROLL_BACK) == 1
    assert len(checks) == rude_from


async def test_a_promoted_bundle_is_still_guarded_by_each_of_its_prompts(bundled: Bundled) -> None:
    before = await bundled.couple.facts()
    handle = await bundled.begin()
    await bundled.until(handle, lambda seen: seen.phase is Phase.FINAL_BAKE)
    assert (await bundled.couple.farewell.get("1.1.0")).tags == ["production"]

    bundled.crowds.rude_from = 1
    outcome = await handle.result()

    assert outcome.outcome is Phase.ROLLED_BACK
    assert await bundled.couple.facts() == before


async def test_progress_page_and_answers_name_every_prompt(bundled: Bundled) -> None:
    handle = await bundled.begin()
    progress = await bundled.until(handle, lambda seen: seen.checks > 0)

    paused = await handle.execute_update("pause", "lunch")

    assert [str(each) for each in progress.companions] == ["farewell.system 1.0.0 → 1.1.0"]
    assert "with        farewell.system 1.0.0 → 1.1.0\n" in details(progress)
    assert memo(progress)["change"] == "1.0.0 → 1.1.0 + farewell.system 1.0.0 → 1.1.0"
    assert [reading.guardrail for reading in progress.verdict.readings] == [
        "greeting.system success",
        "farewell.system success",
    ]
    assert paused["said"].endswith(" (greeting.system + farewell.system)")


async def test_a_companion_that_somebody_else_has_changed_rolls_the_bundle_back(
    bundled: Bundled,
) -> None:
    before = await bundled.couple.facts()
    handle = await bundled.begin()
    await bundled.until(handle, lambda seen: seen.stage == 1)
    async with bundled.couple.farewell.database.transaction() as session:
        await claim_epoch(session, "farewell", "system")

    outcome = await handle.result()

    assert outcome.outcome is Phase.ROLLED_BACK
    assert outcome.reason.startswith("farewell.system is at epoch ")
    assert await bundled.couple.facts() == before
    assert DAY <= await bundled.took(handle) < DAY + timedelta(hours=1)


async def test_a_bundle_with_the_same_prompt_twice_fails_in_one_line_and_nothing_is_written(
    bundled: Bundled,
) -> None:
    twice: list[JsonValue] = [{"name": "greeting", "prompt_type": "system", "candidate": "1.0.0"}]
    before = await bundled.couple.facts()

    with pytest.raises(WorkflowFailureError) as failed:
        await (await bundled.start_raw(REQUEST | {"companions": twice})).result()

    said = "request: companions.0 names greeting.system again: each prompt once"
    assert str(failed.value.cause).endswith(said)
    assert await bundled.couple.facts() == before
    assert await bundled.statuses() == []
