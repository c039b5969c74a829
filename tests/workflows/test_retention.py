"""RetentionWorkflow with the real activity, on a server that skips time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from sqlalchemy import text
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from activities.retention import RetentionActivities
from control.retention import RetentionControl
from domain import MetricEvent, MetricsCollector
from domain.database import Database
from domain.errors import Unavailable
from domain.retention.manager import RetentionManager
from domain.retention.plan import Retention, Swept
from worker import build_worker
from workflows.retention.workflow import RetentionWorkflow

Handle = WorkflowHandle[RetentionWorkflow, Swept]


class Outages(RetentionManager):
    """The real broom; after each of the first steps the database goes away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.outages = 0
        self.steps = 0

    async def batches(self, plan: Retention, *, now: datetime) -> AsyncIterator[Swept]:
        async for swept in super().batches(plan, now=now):
            self.steps += 1
            yield swept
            if swept.events and self.outages:
                self.outages -= 1
                raise Unavailable("database postgresql is unavailable: it restarts")


class Place:
    """Where sweeps are started, and what they have to sweep."""

    def __init__(self, env: WorkflowEnvironment, database: Database) -> None:
        self.env = env
        self.broom = Outages(database)
        self.metrics = MetricsCollector(database)
        self.queue = f"queue-{uuid4()}"

    async def start(self, *given: JsonValue) -> Handle:
        return await self.env.client.start_workflow(
            RetentionWorkflow.run, args=given, id=f"retention/{uuid4()}", task_queue=self.queue
        )

    async def took(self, handle: Handle) -> timedelta:
        found = await handle.describe()
        assert found.close_time
        return found.close_time - found.start_time


@pytest_asyncio.fixture
async def place(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Place]:
    """Two versions with an old event each, and one with a new one; a worker."""
    place = Place(skipping, sqlite)
    now = datetime.now(UTC)
    for version_id in ("v-1", "v-2", "v-3"):
        await place.metrics.record_events([MetricEvent(version_id, now)])
    async with sqlite.transaction() as session:
        old = {"at": f"{now - timedelta(days=100):%Y-%m-%d %H:%M:%S.%f}"}
        aged = text("UPDATE event SET occurred_at = :at WHERE version_id <> 'v-3'")
        await (await session.connection()).execute(aged, old)
    hands = RetentionActivities(place.broom)
    async with build_worker(skipping.client, hands, task_queue=place.queue):
        yield place


async def test_a_sweep_returns_what_it_deleted(place: Place) -> None:
    handle = await place.start()

    assert await handle.result() == Swept(events=2)
    assert await place.took(handle) < timedelta(minutes=1)
    assert len(await place.metrics.get_events("v-3")) == 1


async def test_a_sweep_goes_on_after_outages_and_counts_everything(place: Place) -> None:
    place.broom.outages = 2

    handle = await place.start()

    assert await handle.result() == Swept(events=2)
    assert timedelta(seconds=15) <= await place.took(handle) < timedelta(minutes=2)


async def test_a_sweep_deletes_what_its_plan_says(place: Place) -> None:
    handle = await place.start({"events": "120d"})

    assert await handle.result() == Swept()


async def test_a_plan_that_cannot_be_meant_fails_the_sweep_with_a_sentence(place: Place) -> None:
    handle = await place.start({"events": "1h"})

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert "events: must be at least 31d, got 1h" in failure.value.cause.message
    assert place.broom.steps == 0


async def test_a_server_without_schedules_is_told_in_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    control = RetentionControl(place.env.client, task_queue=place.queue)

    assert not await control.ensure()

    assert "go on without a schedule: nothing old is deleted" in caplog.text
