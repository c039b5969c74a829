"""A gateway for each story, on SQLite and on PostgreSQL; one with Temporal where it is needed."""

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest_asyncio
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from activities.monitors import MonitorActivities
from activities.rollouts import RolloutActivities
from activities.segments import SegmentActivities
from activities.trials import TrialActivities
from control.experiments import ExperimentControl
from control.monitors import MonitorControl
from control.payloads import data_converter
from control.picture import Viewer
from control.rollouts import Control
from control.segments import RingsControl
from domain.database import Database
from domain.monitors.manager import MonitorManager
from domain.rollouts import RolloutManager
from domain.segments.lanes import SegmentManager
from domain.trials.manager import TrialManager
from tests.gateway.entrance import Entrance, entrance
from worker import build_worker, register_search_attributes

BIN = str(Path(sys.executable).parent)  # where wheels put their programs


@pytest_asyncio.fixture
async def way_in(database: Database) -> AsyncIterator[Entrance]:
    """The way into a gateway that works with the real things, but without Temporal."""
    async with entrance(database) as found:
        yield found


class There:
    """Temporal, as `control.reach.Temporal` reaches it."""

    def __init__(self, client: Client, queue: str, *, database: Database) -> None:
        self._client = client
        self._queue = queue
        self._database = database

    async def rollouts(self) -> Control:
        leader = RolloutManager(self._database).leader
        return Control(self._client, task_queue=self._queue, leader=leader)

    async def experiments(self) -> ExperimentControl:
        return ExperimentControl(self._client, task_queue=self._queue)

    async def monitors(self) -> MonitorControl:
        return MonitorControl(self._client, task_queue=self._queue)

    async def rings(self) -> RingsControl:
        return RingsControl(self._client, task_queue=self._queue)

    async def viewer(self) -> Viewer:
        return Viewer(self._client, self._database, queue=self._queue)


@pytest_asyncio.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    """A real Temporal server."""
    env = await WorkflowEnvironment.start_local(
        data_converter=data_converter(),
        dev_server_existing_path=shutil.which("temporal", path=BIN),
        dev_server_log_level="never",
    )
    assert await register_search_attributes(env.client)
    yield env.client
    await env.shutdown()


@pytest_asyncio.fixture
async def operated(temporal: Client, database: Database) -> AsyncIterator[Entrance]:
    """The way into a gateway with Temporal and a worker behind it."""
    async with working(temporal, database) as found:
        yield found


@pytest_asyncio.fixture
async def operated_twice(
    temporal: Client, emptied: Callable[[str], Awaitable[Database]]
) -> AsyncIterator[Sequence[Entrance]]:
    """The ways into two such gateways at once, one on each kind of database."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(working(temporal, await emptied(kind)))
            for kind in ("sqlite", "postgresql")
        ]


@asynccontextmanager
async def working(temporal: Client, database: Database) -> AsyncIterator[Entrance]:
    """Open a gateway with Temporal and a worker behind it."""
    queue = f"queue-{uuid4()}"
    rollouts = RolloutManager(database)
    hands = (
        RolloutActivities(rollouts, search_attributes=True),
        TrialActivities(TrialManager(database), search_attributes=True),
        SegmentActivities(SegmentManager(database), search_attributes=True),
        MonitorActivities(MonitorManager(database)),
    )
    async with (
        build_worker(temporal, *hands, task_queue=queue),
        entrance(database, operators=There(temporal, queue, database=database)) as found,
    ):
        yield found
    for place in ("rollout", "segments", "experiment"):  # after the worker, not under it
        handle = temporal.get_workflow_handle(f"{place}/greeting.system")
        with suppress(RPCError):
            await handle.terminate()
