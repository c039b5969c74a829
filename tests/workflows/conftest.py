"""A server that skips time, and a rehearsal of a rollout on it with the real activities."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from control.payloads import data_converter
from domain.database import Database
from domain.plan import RolloutPlan, Stage
from domain.record import Decision, Kind
from tests.crowd import Crowd
from tests.house import House
from worker import build_worker, register_search_attributes
from workflows import execution
from workflows.progress import Outcome, Progress
from workflows.rollout import RolloutWorkflow

BIN = str(Path(sys.executable).parent)  # where wheels put their programs
DAY = timedelta(days=1)
A_MOMENT = timedelta(seconds=1)  # in which activities end: the clock stands while one runs
LEFT_OUT = (Kind.CHECKED, Kind.ROLLING_BACK)
BLINK = timedelta(milliseconds=50)
GOODBYE_S = 10.0
ATTEMPTS = 7  # of a read, within execution.PATIENCE: the waits between them double, to 30 s
PLAN = RolloutPlan(
    stages=tuple(Stage(percent=percent, bake=DAY) for percent in (10, 50, 100)),
    check_min=timedelta(hours=3),  # few checks: each is worth many milliseconds
    check_max=timedelta(hours=12),
    final_bake=DAY,
)
Handle = WorkflowHandle[RolloutWorkflow, Outcome]


class Rehearsal:
    """One rollout of 1.1.0 over 1.0.0 on the server that skips time."""

    def __init__(
        self,
        env: WorkflowEnvironment,
        house: House,
        crowd: Crowd,
        *,
        step: timedelta = timedelta(hours=6),
    ) -> None:
        """Take where it plays; `step` is how long `until` waits between two looks."""
        self.env = env
        self.step = step
        self.house = house
        self.crowd = crowd
        self.queue = f"queue-{uuid4()}"

    async def start(self, plan: RolloutPlan = PLAN, **more: str) -> Handle:
        given: JsonValue = {
            "name": "greeting",
            "prompt_type": "system",
            "candidate": "1.1.0",
            "plan": plan.model_dump(mode="json"),
            **more,
        }
        return await self.start_raw(given)

    async def start_raw(self, given: JsonValue) -> Handle:
        return await self.env.client.start_workflow(
            RolloutWorkflow.run, given, id=f"rollout/{uuid4()}", task_queue=self.queue
        )

    async def sleep(self, duration: timedelta) -> None:
        """Let time pass, in steps that fit into one call."""
        while duration > timedelta(0):
            await self.env.sleep(min(duration, DAY))
            duration -= DAY

    async def progress(self, handle: Handle) -> Progress:
        return await handle.query(RolloutWorkflow.progress)

    async def until(self, handle: Handle, reached: Callable[[Progress], bool]) -> Progress:
        """Let time pass, 200 steps at most, until the progress is as wanted."""
        for _ in range(200):
            if reached(found := await self.progress(handle)):
                return found
            await self.sleep(self.step)
        raise AssertionError(f"never reached: {await self.progress(handle)}")

    async def journal(self) -> list[Decision]:
        (rollout,) = await self.house.rollouts.list()
        return list(await self.house.rollouts.decisions(rollout.id))

    async def story(self) -> list[Kind]:
        """Return what was done, without the checks, and without the first step of a rollback."""
        return [line.kind for line in await self.journal() if line.kind not in LEFT_OUT]

    async def took(self, handle: Handle) -> timedelta:
        """Return how long it ran by the workflow's own clock."""
        first = self.env.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        closed = (await handle.describe()).close_time
        assert closed
        return closed - (await first.describe()).start_time


@asynccontextmanager
async def in_no_time() -> AsyncIterator[WorkflowEnvironment]:
    """Run a server on which days pass in milliseconds, begun in a tenth of a second."""
    env = await WorkflowEnvironment.start_time_skipping(
        data_converter=data_converter(),
        test_server_existing_path=shutil.which("temporal-test-server", path=BIN),
    )
    assert await register_search_attributes(env.client)
    yield env
    with suppress(TimeoutError):  # a server whose clock has stopped may not go by itself
        async with asyncio.timeout(GOODBYE_S):
            await env.shutdown()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have reads give up after as many attempts as their minute has room for.

    The server that skips time forgets the minute of what was scheduled on a whole second, one in a
    thousand, and has it tried for ever. A real server does not.
    """
    few = replace(execution.RETRY, maximum_attempts=ATTEMPTS)
    monkeypatch.setitem(execution.READ, "retry_policy", few)


@pytest_asyncio.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A server that skips time.

    One for each story: whatever one leaves behind, a clock that stands included, ends with it.
    """
    async with in_no_time() as env:
        yield env


@asynccontextmanager
async def in_real_time(*more: str) -> AsyncIterator[WorkflowEnvironment]:
    """Run the real dev server with these arguments more; on it, time passes as it does."""
    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(),
        dev_server_existing_path=shutil.which("temporal", path=BIN),
        dev_server_extra_args=more,
    ) as env:
        assert await register_search_attributes(env.client)
        yield env


def fresh_after(events: int) -> tuple[str, str]:
    """Return what makes a dev server suggest a fresh history so soon, instead of at about 4000."""
    return "--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={events}"


@pytest.fixture
async def rehearsal(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Rehearsal]:
    """A furnished house, a crowd, and a worker."""
    house = House(sqlite)
    await house.furnish()
    rehearsal = Rehearsal(skipping, house, Crowd(house))
    async with build_worker(skipping.client, rehearsal.crowd, task_queue=rehearsal.queue):
        yield rehearsal


@pytest_asyncio.fixture
async def live(server: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Rehearsal]:
    """A rehearsal in which time passes as it does; `server` is of the file that asks for it."""
    house = House(sqlite)
    await house.furnish()
    rehearsal = Rehearsal(server, house, Crowd(house), step=BLINK)
    async with build_worker(server.client, rehearsal.crowd, task_queue=rehearsal.queue):
        yield rehearsal
