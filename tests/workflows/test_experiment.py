"""ExperimentWorkflow with the real activities and a real database, on a server that skips time."""

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from pydantic import JsonValue
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from domain import VersionStatus
from domain.database import Database
from domain.record import Kind
from domain.trials.findings import Conclusion, Step, Trial, TrialStatus
from tests.crowd import Crowd
from tests.house import House
from tests.visitors import Visitors
from tests.workflows.conftest import DAY
from worker import build_worker
from workflows.answers import Answer
from workflows.experiments.commands import Verb
from workflows.experiments.phase import Phase
from workflows.experiments.progress import ExperimentProgress
from workflows.experiments.workflow import ExperimentWorkflow
from workflows.publication import PROMPT, VERDICT

Handle = WorkflowHandle[ExperimentWorkflow, Conclusion]
PLAN: dict[str, JsonValue] = {
    "variants": ["1.0.0", "1.1.0", "1.2.0"],
    "min_duration": "14d",
    "max_duration": "28d",
    "min_sample": 1000,
    "check_min": "6h",
    "check_max": "2d",
    "end": "deploy",
}
EQUAL = {"1.0.0": 0.9, "1.1.0": 0.9, "1.2.0": 0.9}
BETTER = EQUAL | {"1.1.0": 0.96}


def a_stop(seen: ExperimentProgress) -> bool:
    return any(arm.stopped for arm in seen.arms)


class Stage:
    """One experiment on three versions, on the server that skips time."""

    def __init__(
        self, env: WorkflowEnvironment, house: House, *, step: timedelta = DAY / 4
    ) -> None:
        """Take where it plays; `step` is how long `until` waits between two looks."""
        self.env = env
        self.step = step
        self.house = house
        self.visitors = Visitors(house, each=120)
        self.queue = f"queue-{uuid4()}"
        self.prompt = f"{house.name}.system"

    async def start(self, rates: dict[str, float], **change: JsonValue) -> Handle:
        self.visitors.rates = rates
        given: JsonValue = {"name": self.house.name, "prompt_type": "system", "plan": PLAN | change}
        return await self.start_raw(given)

    async def start_raw(self, given: JsonValue) -> Handle:
        return await self.env.client.start_workflow(
            ExperimentWorkflow.run, given, id=f"experiment/{uuid4()}", task_queue=self.queue
        )

    async def sleep(self, duration: timedelta) -> None:
        """Let time pass, in steps that fit into one call."""
        while duration > timedelta(0):
            await self.env.sleep(min(duration, DAY))
            duration -= DAY

    async def progress(self, handle: Handle) -> ExperimentProgress:
        return await handle.query(ExperimentWorkflow.progress)

    async def until(
        self, handle: Handle, reached: Callable[[ExperimentProgress], bool]
    ) -> ExperimentProgress:
        for _ in range(200):
            if reached(found := await self.progress(handle)):
                return found
            await self.sleep(self.step)
        raise AssertionError(f"never reached: {await self.progress(handle)}")

    async def order(self, handle: Handle, verb: Verb, given: JsonValue = None) -> str:
        answer: Answer = await handle.execute_update(verb, given, result_type=Answer)
        return answer.said

    async def trial(self) -> Trial:
        (trial,) = await self.visitors.manager.list()
        return trial

    async def story(self) -> list[Step]:
        """Return what was done, the looks left out."""
        lines = await self.visitors.manager.lines((await self.trial()).id)
        return [line.step for line in lines if line.step is not Step.CHECKED]

    async def took(self, handle: Handle) -> timedelta:
        """Return how long it ran by the workflow's own clock."""
        described = await handle.describe()
        assert described.close_time
        return described.close_time - described.start_time


@pytest.fixture
async def stage(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Stage]:
    house = House(sqlite, name=f"greeting-{uuid4().hex[:8]}")
    await house.furnish()
    await house.version("1.2.0")
    stage = Stage(skipping, house)
    async with build_worker(skipping.client, Crowd(house), stage.visitors, task_queue=stage.queue):
        yield stage


async def test_three_arms_run_for_14_days_and_the_best_is_deployed(stage: Stage) -> None:
    handle = await stage.start(BETTER)

    conclusion = await handle.result()

    assert (conclusion.winner, conclusion.deployed) == ("1.1.0", "1.1.0")
    assert conclusion.ending is TrialStatus.DEPLOYED
    best, other = conclusion.arms
    assert (best.version, best.significant, best.winner) == ("1.1.0", True, "B")
    assert (other.version, other.significant) == ("1.2.0", False)
    assert 14 * DAY <= await stage.took(handle) < 15.5 * DAY
    assert await stage.story() == [Step.OPENED, Step.CONCLUDED, Step.DEPLOYED]
    facts = await stage.house.facts()
    assert facts["versions"] == {
        "1.0.0": (VersionStatus.DEPRECATED, []),
        "1.1.0": (VersionStatus.PRODUCTION, ["production"]),
        "1.2.0": (VersionStatus.ACTIVE, []),
    }
    assert await stage.house.share("1.1.0") == 1.0
    experiment = await stage.house.experiments.get_experiment(conclusion.experiment_id)
    assert experiment
    assert (experiment.status, experiment.metrics["winner"]) == ("completed", "1.1.0")


async def test_of_three_equal_arms_none_is_deployed(stage: Stage) -> None:
    before = await stage.house.facts()

    conclusion = await (await stage.start(EQUAL)).result()

    assert (conclusion.winner, conclusion.deployed) == (None, None)
    assert conclusion.ending is TrialStatus.KEPT
    after = await stage.house.facts()
    assert (after["versions"], after["served"]) == (before["versions"], before["served"])


async def test_an_arm_that_harms_is_stopped_early_and_its_users_get_control(stage: Stage) -> None:
    handle = await stage.start(BETTER | {"1.2.0": 0.7})

    seen = await stage.until(handle, a_stop)
    shares = {v: await stage.house.share(v) for v in ("1.0.0", "1.1.0", "1.2.0")}
    conclusion = await handle.result()

    assert seen.phase is Phase.RUNNING
    assert shares["1.2.0"] == 0.0
    assert shares["1.0.0"] == pytest.approx(2 / 3, abs=0.04)
    assert shares["1.1.0"] == pytest.approx(1 / 3, abs=0.04)
    assert (conclusion.stopped, conclusion.deployed) == (("1.2.0",), "1.1.0")
    assert await stage.story() == [Step.OPENED, Step.ARM_STOPPED, Step.CONCLUDED, Step.DEPLOYED]


async def test_when_every_arm_harms_it_ends_at_once_and_control_stays(stage: Stage) -> None:
    handle = await stage.start(EQUAL | {"1.1.0": 0.6, "1.2.0": 0.6}, end="ask")

    conclusion = await handle.result()

    assert (conclusion.ending, conclusion.winner) == (TrialStatus.KEPT, None)
    assert conclusion.why == "everybody gets 1.0.0: every treatment was stopped"
    assert await stage.took(handle) < 5 * DAY
    assert await stage.house.share("1.0.0") == 1.0


async def test_a_pause_stops_the_clock_and_moves_nobody(stage: Stage) -> None:
    handle = await stage.start(BETTER)
    await stage.sleep(2 * DAY)
    before = await stage.house.facts()

    said = await stage.order(handle, Verb.PAUSE, {"by": "ana", "reason": "holidays"})
    await stage.sleep(10 * DAY)
    paused = await stage.progress(handle)
    served = (await stage.house.facts())["served"]
    resumed = await stage.order(handle, Verb.RESUME)
    await handle.result()

    assert said.startswith("paused: its clock stands")
    assert paused.phase is Phase.PAUSED
    assert paused.waiting_for == "somebody to resume it: paused by ana: holidays"
    assert served == before["served"]
    assert resumed.startswith(("resumed: it has run for 2d", "resumed: it has run for 1d23h59m"))
    assert 24 * DAY <= await stage.took(handle) < 25.5 * DAY
    assert (await stage.story())[1:3] == [Step.PAUSED, Step.RESUMED]


async def test_a_command_to_an_experiment_counts_once_for_each_key(stage: Stage) -> None:
    handle = await stage.start(EQUAL)
    await stage.sleep(DAY)

    said = [await stage.order(handle, Verb.PAUSE, {"by": "ana", "key": "k"}) for _ in range(2)]
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await stage.order(handle, Verb.RESUME, {"key": "k"})
    await stage.order(handle, Verb.STOP, {"key": "enough"})
    await handle.result()

    assert said[0] == said[1]
    assert "key 'k' was used for pause already" in str(refused.value.cause)
    assert (await stage.story()).count(Step.PAUSED) == 1


async def test_a_paused_experiment_still_stops_an_arm_that_harms(stage: Stage) -> None:
    handle = await stage.start(EQUAL)
    await handle.signal("pause", "lunch")
    await stage.sleep(DAY)

    stage.visitors.rates = EQUAL | {"1.2.0": 0.5}
    seen = await stage.until(handle, a_stop)

    assert seen.phase is Phase.PAUSED


@pytest.mark.parametrize("given", [(), ("enough",), (42,), ("a", "b")])
async def test_a_stop_gives_everybody_control_however_garbled_its_reason(
    stage: Stage, given: tuple[JsonValue, ...]
) -> None:
    before = await stage.house.facts()
    handle = await stage.start(BETTER)
    await stage.sleep(DAY)

    await handle.signal("stop", args=given)
    conclusion = await handle.result()

    assert (conclusion.ending, conclusion.arms) == (TrialStatus.STOPPED, ())
    assert await stage.house.facts() == before


async def test_a_cancelled_experiment_restores_the_state_before(stage: Stage) -> None:
    before = await stage.house.facts()
    handle = await stage.start(BETTER)
    await stage.sleep(DAY)

    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()

    assert isinstance(failed.value.cause, CancelledError)
    assert await stage.house.facts() == before
    assert (await stage.trial()).status is TrialStatus.STOPPED


async def test_asked_to_ask_it_waits_for_a_person_who_deploys_the_winner(stage: Stage) -> None:
    handle = await stage.start(BETTER, end="ask")
    seen = await stage.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_DECISION)
    await stage.sleep(5 * DAY)

    said = await stage.order(handle, Verb.DEPLOY, {"by": "ana", "reason": "as tested"})
    conclusion = await handle.result()

    assert seen.waiting_for == "a decision: deploy 1.1.0, which won, or conclude and keep 1.0.0"
    assert said == "1.1.0 is to be deployed, unless harm is found"
    assert (conclusion.deployed, conclusion.by, conclusion.early) == ("1.1.0", "ana", False)
    assert await stage.took(handle) >= 19 * DAY


async def test_a_person_may_conclude_early_which_is_recorded(stage: Stage) -> None:
    handle = await stage.start(BETTER, end="ask")
    await stage.sleep(5 * DAY)

    said = await stage.order(handle, Verb.CONCLUDE, {"by": "ana", "reason": "budget"})
    await stage.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_DECISION)
    kept = await stage.order(handle, Verb.CONCLUDE, {"by": "bo"})
    conclusion = await handle.result()

    assert (said, kept) == ("concluding: the tests are asked now", "control stays")
    assert (conclusion.ending, conclusion.early, conclusion.by) == (TrialStatus.KEPT, True, "bo")
    lines = await stage.visitors.manager.lines((await stage.trial()).id)
    (line,) = [line for line in lines if line.step is Step.CONCLUDED]
    assert line.by == "ana"
    assert line.reason.endswith(": budget")


async def test_a_winner_is_rolled_out_by_a_child_and_its_end_is_awaited(stage: Stage) -> None:
    rollout: JsonValue = {
        "stages": [{"percent": 10, "bake": "1d"}, {"percent": 100, "bake": "1d"}],
        "check_min": "1h",
        "check_max": "6h",
        "final_bake": "1d",
    }
    handle = await stage.start(BETTER, end="rollout", rollout_plan=rollout)

    conclusion = await handle.result()

    assert (conclusion.ending, conclusion.deployed) == (TrialStatus.HANDED_OVER, "1.1.0")
    (record,) = await stage.house.rollouts.list(stage.house.name, "system")
    lines = await stage.house.rollouts.decisions(record.id)
    assert lines[-1].kind is Kind.COMPLETED
    assert record.reason.startswith(f"experiment {conclusion.experiment_id}: 1.1.0 beats")
    assert await stage.house.share("1.1.0") == 1.0
    story = [Step.OPENED, Step.CONCLUDED, Step.HANDED_OVER, Step.SETTLED]
    assert await stage.story() == story


async def test_somebody_who_moves_production_meanwhile_ends_it(stage: Stage) -> None:
    handle = await stage.start(BETTER)
    await stage.sleep(DAY)

    await stage.house.put_in_production("1.2.0")
    conclusion = await handle.result()

    assert conclusion.ending is TrialStatus.STOPPED
    assert "somebody else has changed it since" in conclusion.why
    assert await stage.house.share("1.2.0") == 1.0


async def test_a_database_that_fails_for_a_while_only_delays(stage: Stage) -> None:
    stage.visitors.failing = {"look_at_arms": 12, "stop_arm": 3}

    conclusion = await (await stage.start(BETTER | {"1.2.0": 0.6})).result()

    assert (conclusion.stopped, conclusion.deployed) == (("1.2.0",), "1.1.0")


async def test_lists_and_describe_show_where_it_stands(stage: Stage) -> None:
    handle = await stage.start(BETTER)
    await stage.until(handle, lambda seen: seen.looks > 3)

    described = await handle.describe()

    memo = await described.memo()
    assert memo["phase"] == "running"
    assert set(memo["arms"]) == {"1.0.0", "1.1.0", "1.2.0"}
    assert described.typed_search_attributes.get(PROMPT) == stage.prompt
    assert described.typed_search_attributes.get(VERDICT) == "running"


async def test_every_message_says_in_the_ui_what_it_does(stage: Stage) -> None:
    handle = await stage.start(EQUAL)

    shown = await handle.query("__temporal_workflow_metadata")

    told = [
        {item.name: item.description for item in items if not item.name.startswith("__")}
        for items in (shown.definition.signal_definitions, shown.definition.update_definitions)
    ]
    assert told[0].keys() == told[1].keys() == {verb.value for verb in Verb}
    assert all(len(words) > 20 for kind in told for words in kind.values())


async def test_a_garbled_signal_is_refused_where_people_look_and_sticks_nothing(
    stage: Stage,
) -> None:
    garbage: list[JsonValue] = [42, [1, 2], {"reson": "typo"}, {"version": "1.1.0"}]
    handle = await stage.start(EQUAL)
    await stage.sleep(DAY)

    seen = []
    for each in garbage:
        await handle.signal("pause", each)
        await stage.sleep(DAY / 4)
        seen.append(await stage.progress(handle))

    assert [progress.phase for progress in seen] == [Phase.RUNNING] * 4
    told = "pause was refused: it takes nothing, a text, or"
    assert all(progress.refused.startswith(told) for progress in seen), seen
    assert len({progress.refused for progress in seen}) == 4


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "request must be an object like"),
        ({"carried": {"looks": "x"}}, "request: unknown field 'carried'"),
        ({"plan": {"variants": ["1.0.0"]}}, "plan.variants: an experiment needs at least 2, got 1"),
        ({"plan": PLAN | {"control": "9.9.9"}}, "control 9.9.9 is no variant"),
        ({"plan": PLAN | {"control": "1.1.0"}}, "plan.control 1.1.0 of"),
        ({"plan": PLAN | {"variants": ["1.0.0", "3.0.0"]}}, "version '3.0.0' of"),
        ({"plan": PLAN | {"goal": "joy"}}, "direction of goal 'joy' is not known"),
    ],
)
async def test_a_wrong_request_fails_with_a_sentence_and_writes_nothing(
    stage: Stage, given: dict[str, JsonValue] | None, why: str
) -> None:
    before = await stage.house.facts()
    named: dict[str, JsonValue] = {"name": stage.house.name, "prompt_type": "system"}
    request = given and named | given

    with pytest.raises(WorkflowFailureError) as failed:
        await (await stage.start_raw(request)).result()

    assert isinstance(failed.value.cause, ApplicationError)
    assert why in failed.value.cause.message
    assert await stage.house.facts() == before
    assert await stage.visitors.manager.list() == []
