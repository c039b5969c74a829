"""NotificationWorkflow with the real activities, on a server that skips time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from activities.notifications import NotificationActivities
from control.courier import Courier, queue_of
from control.payloads import data_converter
from domain.database import Database
from domain.errors import Undelivered
from domain.notifications.notice import Notice, Receipt, Status
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post
from domain.notifications.targets import Directory, Target
from settings import Settings
from tests.house import House
from worker import RUNNER, _notify, build_notifier
from workflows.notifications.workflow import NotificationWorkflow

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Handle = WorkflowHandle[NotificationWorkflow, Receipt]


class Scripted(Post):
    """Targets `ops`, which asks for everything, and `back`, for rollbacks; some fail.

    Attributes:
        failing: How many more times each fails.
        sent: What arrived where, and whether it may have been sent before.
    """

    def __init__(self) -> None:
        targets = (
            Target.model_validate({"name": "ops", "url": "json://a.example"}),
            Target.model_validate(
                {"name": "back", "url": "json://a.example", "kinds": ["rolled_back"]}
            ),
        )
        super().__init__(Directory(targets=targets))
        self.failing: dict[str, int] = {}
        self.sent: list[tuple[str, str, bool]] = []

    async def send(self, notice: Notice, name: str, *, again: bool = False) -> None:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise Undelivered(f"{name} did not take it: it answered 500")
        self.sent.append((name, notice.kind, again))


class Place:
    """A prompt with a rollout at 10 %, and who is told of it."""

    def __init__(self, env: WorkflowEnvironment, house: House) -> None:
        self.env, self.house = env, house
        self.outbox, self.post = Outbox(house.database), Scripted()
        self.queue = f"queue-{uuid4()}"

    def courier(self, *, wanted: bool = True) -> Courier:
        return Courier(self.env.client, self.outbox, task_queue=self.queue, wanted=wanted)

    async def told(self) -> list[Handle]:
        """Have everything that waits handed on; return the workflows."""
        ids = await self.outbox.waiting()
        await self.courier().carry()
        return [self.handle(each) for each in ids]

    def handle(self, notification_id: str) -> Handle:
        return self.env.client.get_workflow_handle(
            f"notification/{notification_id}", result_type=Receipt
        )

    async def ended(self, handle: Handle) -> Receipt:
        """Let time pass until it has: only handles of workflows that we start do so themselves."""
        while (await handle.describe()).close_time is None:
            await self.env.sleep(HOUR)
        return await handle.result()

    async def counts(self) -> dict[Status, int]:
        return {status: n for status, n in (await self.outbox.standing()).counts.items() if n}

    async def took(self, handle: Handle) -> timedelta:
        found = await handle.describe()
        assert found.close_time
        return found.close_time - found.start_time


@pytest_asyncio.fixture
async def place(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Place]:
    house = House(sqlite)
    await house.furnish()
    await house.ramped(1)
    place = Place(skipping, house)
    hands = NotificationActivities(place.outbox, place.post)
    async with build_notifier(skipping.client, hands, task_queue=place.queue):
        yield place


async def test_everybody_who_asks_is_told_once(place: Place) -> None:
    (rollout,) = await place.house.rollouts.list()
    await place.house.rollouts.roll_back(rollout.id, reason="too slow", by="ana")

    receipts = [await place.ended(handle) for handle in await place.told()]

    assert [receipt.sent for receipt in receipts] == [*[("ops",)] * 3, ("ops", "back")]
    assert sorted(place.post.sent) == [
        ("back", "rolled_back", False),
        ("ops", "opened", False),
        ("ops", "ramped", False),
        ("ops", "rolled_back", False),
        ("ops", "rolling_back", False),
    ]
    assert await place.counts() == {Status.SENT: 4}


async def test_a_target_that_fails_is_tried_until_it_takes_it(place: Place) -> None:
    place.post.failing["ops"] = 8

    handles = await place.told()
    receipts = [await place.ended(handle) for handle in handles]

    assert [receipt.status for receipt in receipts] == [Status.SENT, Status.SENT]
    assert any(again for _, _, again in place.post.sent)
    slowest = max([await place.took(handle) for handle in handles])
    assert timedelta(seconds=60) < slowest < HOUR


async def test_a_target_that_is_down_for_a_day_is_given_up_for_everybody_to_see(
    place: Place,
) -> None:
    place.post.failing["ops"] = 10**9

    handles = await place.told()
    with pytest.raises(WorkflowFailureError) as failure:
        await place.ended(handles[0])

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.message == "ops did not take it: it answered 500"
    assert DAY - timedelta(minutes=11) < await place.took(handles[0]) <= DAY + timedelta(minutes=1)
    (*_, failed) = (await place.outbox.standing()).failures
    assert failed.reasons == {"ops": "ops did not take it: it answered 500"}
    assert (failed.prompt, failed.kind) == ("greeting.system", "opened")


async def test_a_target_that_is_down_keeps_nobody_else_from_being_told(place: Place) -> None:
    (rollout,) = await place.house.rollouts.list()
    await place.house.rollouts.roll_back(rollout.id, reason="too slow")
    place.post.failing["ops"] = 10**9

    *_, last = await place.told()
    while not place.post.sent:
        await place.env.sleep(HOUR)

    assert place.post.sent == [("back", "rolled_back", False)]
    assert (await last.describe()).close_time is None


async def test_what_several_couriers_carry_is_told_once(place: Place) -> None:
    ids = await place.outbox.waiting()
    await place.courier()._hand_on(ids)

    await place.courier()._hand_on(ids)
    for each in ids:
        await place.ended(place.handle(each))

    assert sorted(kind for _, kind, _ in place.post.sent) == ["opened", "ramped"]
    assert await place.outbox.waiting() == []


async def test_without_targets_nothing_is_started(place: Place) -> None:
    carried = await place.courier(wanted=False).carry()

    assert carried == 2
    assert await place.counts() == {Status.UNWANTED: 2}
    assert place.post.sent == []


async def test_what_no_target_asks_for_is_unwanted(place: Place) -> None:
    place.post.targets = {"back": place.post.targets["back"]}

    receipts = [await place.ended(handle) for handle in await place.told()]

    assert [receipt.status for receipt in receipts] == [Status.UNWANTED] * 2
    assert await place.counts() == {Status.UNWANTED: 2}


async def test_what_was_told_and_what_failed_replays(place: Place) -> None:
    place.post.failing["ops"] = 3
    for handle in await place.told():
        await place.ended(handle)

        await Replayer(
            workflows=[NotificationWorkflow],
            data_converter=data_converter(),
            workflow_runner=RUNNER,
        ).replay_workflow(await handle.fetch_history())


@pytest.mark.parametrize("urls", ["hunter2", "nosuch://hunter2", "json://a.example hunter2"])
async def test_a_mistake_in_the_settings_stops_nothing_and_what_waits_goes_on_waiting(
    place: Place, urls: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(notify=urls, task_queue=place.queue)

    await _notify(settings, place.env.client, place.house.database)

    said = [record.getMessage() for record in caplog.records if record.name == "worker"]
    assert len(said) == 1
    assert said[0].startswith("nobody is notified until this is mended: ")
    assert "hunter2" not in said[0] + repr(settings)
    assert await place.counts() == {Status.WAITING: 2}


def test_notifications_have_a_queue_of_their_own() -> None:
    assert queue_of("rampart") == "rampart-notifications"
