"""What an experiment cannot follow is refused with the reason, and changes nothing.

On the real dev server: the one that skips time loses its clock when an update is refused while an
activity runs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from control.payloads import data_converter
from domain.database import Database
from tests.crowd import Crowd
from tests.house import House
from tests.workflows.conftest import fresh_after, in_real_time
from tests.workflows.test_experiment import BETTER, EQUAL, Handle, Stage
from worker import RUNNER, build_worker
from workflows.experiments.phase import Phase
from workflows.experiments.workflow import ExperimentWorkflow

FAST: dict[str, JsonValue] = {"check_min": "500ms", "check_max": "500ms", "end": "ask"}
OVER: dict[str, JsonValue] = {"min_duration": "0s", "max_duration": "1s"}


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with in_real_time(*fresh_after(120)) as env:
        yield env


@pytest_asyncio.fixture
async def live(server: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Stage]:
    """A stage on which time passes as it does."""
    house = House(sqlite, name=f"greeting-{uuid4().hex[:8]}")
    await house.furnish()
    await house.version("1.2.0")
    stage = Stage(server, house, step=timedelta(seconds=0.05))
    async with build_worker(server.client, Crowd(house), stage.visitors, task_queue=stage.queue):
        yield stage


async def running(live: Stage) -> Handle:
    handle = await live.start(EQUAL, **FAST)
    await live.until(handle, lambda seen: seen.looks > 0)
    return handle


async def paused(live: Stage) -> Handle:
    handle = await running(live)
    await handle.execute_update("pause", {"by": "ana", "reason": "lunch"})
    return handle


async def bereft_of_an_arm(live: Stage) -> Handle:
    live.visitors.each = 600
    handle = await live.start(BETTER | {"1.2.0": 0.1}, **FAST)
    await live.until(handle, lambda seen: any(arm.stopped for arm in seen.arms))
    return handle


async def undecided(live: Stage) -> Handle:
    handle = await live.start(EQUAL, **FAST, **OVER)
    await live.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_DECISION)
    return handle


@pytest.mark.parametrize(
    ("reach", "verb", "given", "why"),
    [
        (running, "resume", None, "resume was refused: it is not paused: it is running"),
        (running, "deploy", None, "deploy was refused: no arm has won: name one of 1.1.0, 1.2.0"),
        (running, "deploy", "9.9.9", "deploy was refused: 9.9.9 is none of its arms: they are"),
        (running, "conclude", {"version": "9.9.9"}, "conclude was refused: 9.9.9 is none of its"),
        (paused, "pause", None, "pause was refused: it is paused already by ana: lunch"),
        (bereft_of_an_arm, "deploy", "1.2.0", "deploy was refused: 1.2.0 was stopped because it"),
        (undecided, "pause", None, "pause was refused: it is over and waits for a decision"),
        (undecided, "deploy", None, "deploy was refused: no arm has won: name one of 1.1.0"),
        (
            running,
            "pause",
            {"reson": "typo"},
            'pause was refused: it takes nothing, a text, or {"reason": "…", "by": "…"}, got {"res',
        ),
        (
            running,
            "deploy",
            42,
            'deploy was refused: it takes nothing, a text, or {"version": "1.1.0", "reason": "…",',
        ),
    ],
)
async def test_an_update_that_cannot_be_followed_is_refused_with_the_reason(
    live: Stage,
    reach: Callable[[Stage], Awaitable[Handle]],
    verb: str,
    given: JsonValue,
    why: str,
) -> None:
    handle = await reach(live)
    before = await live.progress(handle)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(verb, given)

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.message.startswith(why)
    after = await live.progress(handle)
    assert (after.phase, after.conclusion) == (before.phase, before.conclusion)


async def test_a_person_may_deploy_a_version_before_the_end(live: Stage) -> None:
    handle = await running(live)

    await handle.execute_update("deploy", {"version": "1.2.0", "by": "ana", "reason": "contract"})
    conclusion = await handle.result()

    assert (conclusion.deployed, conclusion.early, conclusion.by) == ("1.2.0", True, "ana")
    assert conclusion.why == "1.2.0 is in production, 1.0.0 is deprecated: contract"


async def test_a_long_one_begins_a_fresh_history_and_forgets_nothing(live: Stage) -> None:
    handle = await bereft_of_an_arm(live)
    await handle.execute_update("pause", {"by": "ana", "reason": "lunch"})
    first = handle.first_execution_run_id

    while (await handle.describe()).run_id == first:
        await live.sleep(live.step)
    seen = await live.until(handle, lambda seen: seen.looks > 0)
    await handle.execute_update("resume")
    await handle.execute_update("conclude", {"version": "1.1.0", "by": "bo"})
    conclusion = await handle.result()

    assert seen.waiting_for == "somebody to resume it: paused by ana: lunch"
    assert [arm.stopped for arm in seen.arms] == [False, False, True]
    assert (conclusion.deployed, conclusion.stopped) == ("1.1.0", ("1.2.0",))
    for run in (first, (await handle.describe()).run_id):
        history = await live.env.client.get_workflow_handle(handle.id, run_id=run).fetch_history()
        await replayer().replay_workflow(history)


def replayer() -> Replayer:
    return Replayer(
        workflows=[ExperimentWorkflow],
        data_converter=data_converter(),
        workflow_runner=RUNNER,
    )
