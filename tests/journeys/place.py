"""Where rollouts on the real dev server are started and steered by Temporal's own command line."""

import asyncio
import json
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from dev import Stack
from domain.database import Database
from domain.record import Kind
from settings import child_environment
from tests.house import House
from workflows.progress import Progress
from workflows.rollout import RolloutWorkflow

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


@asynccontextmanager
async def furnished(stack: Stack) -> AsyncIterator[Place]:
    """Furnish a house of its own for a story."""
    database = Database(stack.database_url)
    name = f"greeting-{uuid4().hex[:8]}"
    house = House(database, name=name)
    await house.furnish()
    yield Place(stack, await stack.connect(), house, f"{name}.system")
    await database.dispose()
