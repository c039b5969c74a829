"""MonitorWorkflow with the real activities and a real SQLite file, on a server that skips time."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.monitors import LookOrder, MonitorActivities
from activities.rollouts import RolloutActivities
from domain.database import Database
from domain.errors import Unavailable
from domain.monitors.alerts import Look, Notice
from domain.monitors.manager import MonitorManager
from domain.rollouts import RolloutManager
from tests.house import House
from tests.workflows.conftest import DAY
from worker import build_worker
from workflows.monitors.state import MonitorOutcome, MonitorProgress, Phase
from workflows.monitors.workflow import MonitorWorkflow

HOUR = timedelta(hours=1)
Handle = WorkflowHandle[MonitorWorkflow, MonitorOutcome]


class Phone:
    """A notifier that keeps what it is told; it can be out of order."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.broken = False

    async def notify(self, notice: Notice) -> None:
        if self.broken:
            raise ConnectionError("nobody picks up")
        self.notices.append(notice)

    @property
    def said(self) -> list[str]:
        return [("cleared " if n.cleared else "raised ") + n.alert.condition for n in self.notices]


class Eyes(MonitorActivities):
    """The real activities, with users who come just before each look, and faults on demand.

    Attributes:
        crowd: Good and bad events by the number of the look, counted from 1; nobody comes else.
        unreadable: Looks by number that cannot be taken.
    """

    def __init__(self, house: House, phone: Phone) -> None:
        super().__init__(MonitorManager(house.database), notifier=phone)
        self.house = house
        self.crowd: Callable[[int], tuple[int, int]] = lambda _: (0, 0)
        self.unreadable: set[int] = set()
        self.looks = 0
        self._last = ""

    @activity.defn
    async def look_at_versions(self, order: LookOrder) -> Look:
        if activity.info().activity_id != self._last:
            self._last = activity.info().activity_id
            self.looks += 1
            good, bad = self.crowd(self.looks)
            await self.house.events("1.1.0", good=good, bad=bad)
        if self.looks in self.unreadable:
            raise Unavailable("database sqlite is unavailable: disk I/O error")
        return await super().look_at_versions(order)


class Post:
    """Where monitors are started and looked after."""

    def __init__(self, env: WorkflowEnvironment, house: House) -> None:
        self.env, self.house = env, house
        self.phone = Phone()
        self.eyes = Eyes(house, self.phone)
        self.queue = f"queue-{uuid4()}"

    async def start(self, **more: JsonValue) -> Handle:
        """Start it, and wait until it has begun: before, the server's clock would run away."""
        version = await self.house.get("1.1.0")
        handle = await self.start_raw({"versions": [version.version_id], "window": "30m", **more})
        await self.progress(handle)
        return handle

    async def start_raw(self, given: JsonValue) -> Handle:
        return await self.env.client.start_workflow(
            MonitorWorkflow.run, given, id=f"monitor/{uuid4()}", task_queue=self.queue
        )

    async def sleep(self, duration: timedelta) -> None:
        await self.env.sleep(duration)

    async def progress(self, handle: Handle) -> MonitorProgress:
        return await handle.query(MonitorWorkflow.progress)

    async def until(
        self, handle: Handle, reached: Callable[[MonitorProgress], bool]
    ) -> MonitorProgress:
        """Let time pass, 200 steps at most: in one, the clock would run past a busy worker."""
        for _ in range(200):
            if reached(found := await self.progress(handle)):
                return found
            await self.sleep(HOUR / 4)
        raise AssertionError(f"never reached: {await self.progress(handle)}")

    async def took(self, handle: Handle) -> timedelta:
        first = self.env.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
        closed = (await handle.describe()).close_time
        assert closed
        return closed - (await first.describe()).start_time


@asynccontextmanager
async def manned(env: WorkflowEnvironment, database: Database) -> AsyncIterator[Post]:
    """Furnish a house, and have a worker look after it."""
    house = House(database)
    await house.furnish()
    post = Post(env, house)
    hands = RolloutActivities(RolloutManager(database))
    async with build_worker(env.client, hands, post.eyes, task_queue=post.queue):
        yield post


@pytest_asyncio.fixture
async def post(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Post]:
    async with manned(skipping, sqlite) as post:
        yield post


def good_but(bad: set[int]) -> Callable[[int], tuple[int, int]]:
    """Return a crowd that fails at these looks and is served well at the others."""
    return lambda look: (0, 30) if look in bad else (30, 0)


def round_(duration: timedelta) -> timedelta:
    """Return it in whole minutes: a look takes its time."""
    return timedelta(minutes=round(duration / timedelta(minutes=1)))


async def test_24_hours_of_half_hourly_looks_raise_once_clear_and_raise_again(post: Post) -> None:
    post.eyes.crowd = good_but({5, 6, 7, 20})
    handle = await post.start()

    outcome = await handle.result()

    assert (outcome.outcome, outcome.looks) == (Phase.COMPLETED, 49)
    assert DAY <= await post.took(handle) < DAY + timedelta(minutes=5)
    first, second = outcome.alerts
    assert first.message.startswith("greeting.system 1.1.0: success_rate 0.0 % (30 events in 30m)")
    assert first.cleared_at
    assert round_(first.cleared_at - first.at) == 3 * HOUR / 2
    assert second.cleared_at
    assert round_(second.cleared_at - second.at) == HOUR / 2
    condition = "success_rate below 0.5"
    assert post.phone.said == [f"raised {condition}", f"cleared {condition}"] * 2


async def test_an_idle_version_is_silent_unless_idleness_is_asked_for(post: Post) -> None:
    idle: JsonValue = [{"metric": "idle", "above": "2h"}]
    post.eyes.crowd = lambda look: (100, 0) if look in {2, 12} else (0, 0)

    asked = await (await post.start(duration="6h", conditions=idle)).result()
    silent = await (await post.start(duration="6h")).result()

    assert silent.alerts == ()
    (alert,) = asked.alerts
    assert ": idle 2h" in alert.message
    assert alert.cleared_at
    assert post.phone.said == ["raised idle above 7200", "cleared idle above 7200"]


async def test_what_cannot_be_read_is_one_alert_until_it_can_and_ends_nothing(post: Post) -> None:
    post.eyes.crowd = good_but(set())
    post.eyes.unreadable = {4, 5, 6}

    outcome = await (await post.start(duration="6h")).result()

    (alert,) = outcome.alerts
    assert alert.message == ("cannot be measured: database sqlite is unavailable: disk I/O error")
    assert alert.cleared_at
    assert alert.cleared_at - alert.at >= 3 * HOUR / 2
    assert post.phone.said == ["raised measurable", "cleared measurable"]


async def test_nobody_picking_up_the_phone_holds_up_no_look(post: Post) -> None:
    post.eyes.crowd = good_but({3, 5})
    post.phone.broken = True
    handle = await post.start(duration="6h")

    outcome = await handle.result()

    assert (len(outcome.alerts), outcome.untold) == (2, 4)
    assert await post.took(handle) < 6 * HOUR + timedelta(minutes=10)
    told = await post.progress(handle)
    assert told.untold_why == "nobody picks up"


async def test_a_person_stops_it_and_has_its_alerts(post: Post) -> None:
    post.eyes.crowd = good_but({3})  # the window of the second reaches back to the first
    handle = await post.start()

    progress = await post.until(handle, lambda seen: seen.looks > 4)
    answer = await handle.execute_update("stop", {"by": "ana", "reason": "enough"})
    outcome = await handle.result()

    assert (progress.phase, progress.alerts, progress.open) == (Phase.WATCHING, 1, ())
    assert (await handle.query(MonitorWorkflow.alerts)) == list(outcome.alerts)
    assert answer == {"accepted": True, "said": "stopped: it raised 1 alert"}
    assert (outcome.outcome, outcome.by, outcome.reason) == (Phase.STOPPED, "ana", "enough")
    memo = await (await handle.describe()).memo()
    assert (memo["watched"], memo["alerts"]) == ("greeting.system 1.1.0", 1)


@pytest.mark.parametrize("given", [(), ("lunch",), ({"reson": 3},), (1, 2)])
async def test_any_stop_signal_is_followed(post: Post, given: tuple[JsonValue, ...]) -> None:
    handle = await post.start()

    await handle.signal("stop", args=given)

    assert (await handle.result()).outcome is Phase.STOPPED


async def test_a_cancelled_monitor_shows_as_cancelled(post: Post) -> None:
    handle = await post.start()
    await post.sleep(HOUR)

    await handle.cancel()

    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, CancelledError)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, 'monitor must be an object like {"versions"'),
        ("greeting", "monitor must be an object like"),
        ([1, 2], "monitor must be an object like"),
        ({}, "monitor: give either versions or experiment, got neither"),
        ({"versions": "v1"}, "monitor: versions: must be a valid tuple, got 'v1'"),
        ({"versions": ["v1"], "interval": 0}, "interval: must be at least 500ms, got 0s"),
        ({"experiment": "summer"}, "experiment 'summer' does not exist"),
        ({"carried": {"looks": "x"}}, "unknown field 'carried'"),
    ],
)
async def test_a_wrong_request_fails_with_a_sentence(
    post: Post, given: JsonValue, why: str
) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await (await post.start_raw(given)).result()

    assert isinstance(failed.value.cause, ApplicationError)
    assert why in failed.value.cause.message
