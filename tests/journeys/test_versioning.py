"""Workers that are versions of a deployment, on the real dev server."""

import asyncio
import re
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.rollouts import RolloutActivities
from control.payloads import data_converter
from domain.database import Database
from domain.rollouts import RolloutManager
from settings import Settings, child_environment
from tests.house import House
from worker import build_worker, register_search_attributes, version_of
from workflows.progress import Outcome, Progress
from workflows.rollout import RolloutWorkflow

GUIDE = (Path(__file__).parents[2] / "docs/guides/production.md").read_text()
BIN = Path(sys.executable).parent
PLAN: JsonValue = {
    "stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}],
    "check_min": "1s",
}
GIVEN: JsonValue = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": PLAN,
}
Handle = WorkflowHandle[RolloutWorkflow, Outcome]


class Versions:
    """A server, a furnished house, and workers of any version."""

    def __init__(self, client: Client, house: House, queue: str) -> None:
        self.client = client
        self.house = house
        self.queue = queue

    def worker(self, build: str) -> Worker:
        """Return a worker of that build; of no version if it is empty."""
        settings = Settings(build_id=build, deployment=self.queue)
        hands = RolloutActivities(RolloutManager(self.house.database))
        deployment = version_of(settings)
        return build_worker(self.client, hands, task_queue=self.queue, deployment=deployment)

    async def make_current(self, build: str) -> str:
        """Do what `docs/guides/production.md` says, as soon as the version is there."""
        (typed,) = re.findall(r"^temporal (worker deployment set-current-version .+)$", GUIDE, re.M)
        *words, _, _, _, _ = shlex.split(typed)
        return await self.temporal(*words, "--deployment-name", self.queue, "--build-id", build)

    async def temporal(self, *words: str) -> str:
        """Run Temporal's command line until it succeeds; a new version takes a moment to appear."""
        address = self.client.service_client.config.target_host
        async with asyncio.timeout(30):
            while True:
                running = await asyncio.create_subprocess_exec(
                    str(shutil.which("temporal", path=str(BIN))),
                    *words,
                    *("--address", address),
                    stdout=PIPE,
                    stderr=PIPE,
                    env=child_environment(NO_COLOR="1"),
                )
                out, _ = await running.communicate()
                if running.returncode == 0:
                    return out.decode()
                await asyncio.sleep(0.2)

    async def start(self) -> Handle:
        return await self.client.start_workflow(
            RolloutWorkflow.run, GIVEN, id=f"rollout/{self.queue}", task_queue=self.queue
        )

    async def until(self, handle: Handle, reached: Callable[[Progress], bool]) -> Progress:
        async with asyncio.timeout(30):
            while True:
                found = await handle.query(RolloutWorkflow.progress)
                if reached(found):
                    return found
                await asyncio.sleep(0.1)

    async def built_by(self, handle: Handle) -> list[str]:
        """Return which builds its workflow tasks were completed by, in order."""
        history = await handle.fetch_history()
        tasks = [each.workflow_task_completed_event_attributes for each in history.events]
        builds = [task.deployment_version.build_id for task in tasks if task.scheduled_event_id]
        return list(dict.fromkeys(builds))


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    env = await WorkflowEnvironment.start_local(
        data_converter=data_converter(),
        dev_server_existing_path=shutil.which("temporal", path=str(BIN)),
        dev_server_log_level="never",
    )
    await register_search_attributes(env.client)
    yield env
    await env.shutdown()


@pytest_asyncio.fixture
async def versions(server: WorkflowEnvironment, sqlite: Database, request: object) -> Versions:
    house = House(sqlite)
    await house.furnish()
    return Versions(server.client, house, f"rampart-{id(request):x}")


async def test_a_version_takes_work_once_it_is_current(versions: Versions) -> None:
    async with versions.worker("1"):
        handle = await versions.start()
        waits = await handle.describe()
        await asyncio.sleep(2)
        untouched = (await handle.describe()).history_length

        await versions.make_current("1")

        await versions.until(handle, lambda seen: seen.checks > 0)
        assert (waits.history_length, untouched) == (2, 2)
        assert await versions.built_by(handle) == ["1"]
        await handle.terminate()


async def test_a_rollout_begun_under_one_build_goes_on_under_the_next(versions: Versions) -> None:
    async with versions.worker("1"):
        await versions.make_current("1")
        handle = await versions.start()
        before = await versions.until(handle, lambda seen: seen.checks > 0)
        async with versions.worker("2"):
            await versions.make_current("2")
            await versions.until(handle, lambda seen: seen.checks > before.checks + 1)
    async with versions.worker("2"):  # the first is gone
        await handle.execute_update("rollback", {"reason": "enough"})
        outcome = await handle.result()

    assert outcome.outcome == "rolled_back"
    assert await versions.built_by(handle) == ["1", "2"]


async def test_a_rollout_of_a_worker_without_versions_goes_on_under_the_first(
    versions: Versions,
) -> None:
    async with versions.worker(""):
        handle = await versions.start()
        before = await versions.until(handle, lambda seen: seen.checks > 0)
    async with versions.worker("1"):
        await versions.make_current("1")
        await versions.until(handle, lambda seen: seen.checks > before.checks + 1)

        await handle.execute_update("rollback", {"reason": "enough"})
        await handle.result()

    assert await versions.built_by(handle) == ["", "1"]


def test_without_a_build_id_a_worker_is_no_version() -> None:
    assert version_of(Settings()) is None
