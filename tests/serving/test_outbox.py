"""The outbox: what was put is sent until it is taken; for what does not fit there is no room."""

import asyncio
from datetime import timedelta

import pytest

from domain.errors import Unavailable
from domain.intake.intake import Refused
from domain.wire import Event
from serving.outbox import BATCH, Outbox
from tests.serving.stage import SOON, Scripted, overloaded, until

LATE = timedelta(hours=1)


def event(number: int) -> Event:
    return Event(version_id="v-1", event_id=f"e-{number}")


@pytest.mark.parametrize("error", [overloaded(), Unavailable("away"), OSError("gone")])
async def test_what_nobody_takes_is_sent_again_with_the_same_ids(error: Exception) -> None:
    intake = Scripted(error, error)

    async with Outbox(intake, every=SOON) as outbox:
        outbox.put(event(1))
        await until(lambda: outbox.waiting == 0)

    assert intake.asked == [["e-1"]] * 3
    assert [each.event_id for each in intake.taken] == ["e-1"]
    assert outbox.dropped == 0


async def test_an_outbox_that_is_full_refuses_what_comes_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    intake = Scripted()

    async with Outbox(intake, capacity=2, every=LATE) as outbox:
        taken = [outbox.put(event(number)) for number in range(5)]

    assert taken == [True, True, False, False, False]
    assert [each.event_id for each in intake.taken] == ["e-0", "e-1"]
    assert outbox.dropped == 3
    assert caplog.messages == ["3 events dropped: 2 wait already"]


async def test_many_are_sent_in_batches_and_in_order() -> None:
    intake = Scripted()

    async with Outbox(intake, every=LATE) as outbox:
        for number in range(2 * BATCH + 1):
            outbox.put(event(number))
        await outbox.flush()

    assert [len(batch) for batch in intake.asked] == [BATCH, BATCH, 1]
    assert [each.event_id for each in intake.taken] == [f"e-{n}" for n in range(2 * BATCH + 1)]


async def test_leaving_sends_what_waits_even_after_a_failure() -> None:
    intake = Scripted(overloaded(), Unavailable("away"))

    async with Outbox(intake, every=LATE) as outbox:
        outbox.put(event(1))

    assert [each.event_id for each in intake.taken] == ["e-1"]


async def test_what_nobody_takes_in_the_end_is_counted_and_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.outbox.GRACE_S", 0.05)
    intake = Scripted(*[Unavailable("away")] * 1_000)

    async with Outbox(intake, every=LATE) as outbox:
        outbox.put(event(1))

    assert (outbox.waiting, outbox.dropped) == (0, 1)
    assert caplog.messages == ["1 events dropped: nobody took them before the end"]


async def test_what_is_refused_is_dropped_and_the_others_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    intake = Scripted(Refused({"e-1": "too many metrics"}))

    async with Outbox(intake, every=LATE) as outbox:
        outbox.put(event(1))
        outbox.put(event(2))

    assert intake.asked == [["e-1", "e-2"]]
    assert outbox.dropped == 1
    assert "1 events are refused, the first of them 'e-1': too many metrics" in caplog.text


async def test_an_outbox_leaves_no_task_behind() -> None:
    tasks = asyncio.all_tasks()

    async with Outbox(Scripted(), every=SOON):
        pass

    assert asyncio.all_tasks() == tasks
