"""Rollouts on the real dev server, started and steered by Temporal's own command line."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import Client

from dev import Stack
from domain.database import Database
from domain.record import Kind
from embedded.ports import free_port
from settings import child_environment
from tests.house import House
from workflows.progress import Progress
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase

PLAN = {
    "stages": [{"percent": 10, "bake": "2s"}, {"percent": 50, "bake": "2s"}, {"percent": 100}],
    "check_min": 0.5,
    "check_max": 1,
    "final_bake": "1s",
}
LEFT_OUT = (Kind.CHECKED, Kind.ROLLING_BACK)
LONG = PLAN | {"stages": [{"percent": 10, "bake": "1h"}, {"percent": 100}]}  # stays in stage 1


class Place:
    """A stack with a furnished house of its own for each story."""

    def __init__(self, stack: Stack, client: Client, house: House, prompt: str) -> None:
        self.stack = stack
        self.client = client
        self.house = house
        self.id = f"rollout/{prompt}"

    async def temporal(self, *words: str) -> tuple[int, str]:
        """Run Temporal's command line; return its exit code and what it printed."""
        running = await asyncio.create_subprocess_exec(
            str(shutil.which("temporal", path=str(Path(sys.executable).parent))),
            *words,
            *("--address", self.stack.address),
            stdout=PIPE,
            stderr=PIPE,
            env=child_environment(NO_COLOR="1"),
        )
        out, err = await running.communicate()
        return running.returncode or 0, (out + err).decode()

    async def start(self, **change: object) -> tuple[int, str]:
        request = {"name": self.house.name, "prompt_type": "system", "candidate": "1.1.0"}
        given = json.dumps(request | {"plan": PLAN} | change)
        flags = ("--type", "RolloutWorkflow", "--task-queue", "rampart", "--input", given)
        return await self.temporal("workflow", "start", "--workflow-id", self.id, *flags)

    async def send(self, name: str, *more: str) -> tuple[int, str]:
        return await self.temporal(
            "workflow", "signal", "--workflow-id", self.id, "--name", name, *more
        )

    async def until(self, reached: Callable[[Progress], bool]) -> Progress:
        handle = self.client.get_workflow_handle(self.id)
        async with asyncio.timeout(30):
            while not reached(seen := await handle.query(RolloutWorkflow.progress)):
                await asyncio.sleep(0.1)
        return seen

    async def result(self) -> dict[str, object]:
        async with asyncio.timeout(60):
            found: dict[str, object] = await self.client.get_workflow_handle(self.id).result()
        return found

    @asynccontextmanager
    async def users(self, *, good: int, bad: int = 0) -> AsyncIterator[None]:
        """Let users of the candidate come all the time."""
        gone = asyncio.Event()

        async def come() -> None:
            while not gone.is_set():
                await self.house.events("1.0.0", good=30, bad=0)
                await self.house.events("1.1.0", good=good, bad=bad)
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as group:
            group.create_task(come())
            try:
                yield
            finally:
                gone.set()

    async def story(self) -> list[Kind]:
        (rollout,) = await self.house.rollouts.list(self.house.name, "system")
        lines = await self.house.rollouts.decisions(rollout.id)
        return [line.kind for line in lines if line.kind not in LEFT_OUT]


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as running:
        yield running


@pytest_asyncio.fixture
async def place(stack: Stack) -> AsyncIterator[Place]:
    database = Database(stack.database_url)
    name = f"greeting-{uuid4().hex[:8]}"
    house = House(database, name=name)
    await house.furnish()
    yield Place(stack, await stack.connect(), house, f"{name}.system")
    await database.dispose()


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


@pytest.mark.chaos
async def test_a_worker_killed_during_a_rollback_leaves_nothing_half_way(place: Place) -> None:
    before = await place.house.facts()
    await place.start()
    await place.until(lambda seen: seen.checks > 0)

    await place.send("rollback", "--input", '"complaints"')
    os.kill(place.stack.worker_pid, signal.SIGKILL)

    assert (await place.result())["outcome"] == "rolled_back"
    assert await place.house.facts() == before
