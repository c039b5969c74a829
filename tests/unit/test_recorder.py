"""A process that assigns from memory: every user it served is recorded, once, and soon."""

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from domain.database import Database
from domain.errors import InvalidValue, Unavailable
from domain.experiments import ABTestManager
from domain.prompts import PromptVariant
from domain.recorder import ExposureRecorder
from domain.routing import Router
from domain.snapshot import Assignment, Reason

PROMPT = ("greeting", "system")
EXPERIMENT = "exp"
USERS = [f"user-{n}" for n in range(1_000)]
NEVER = timedelta(hours=1)
GIVEN = Assignment("v-1", "1.0.0", Reason.SPLIT, 1, EXPERIMENT)


class Flaky(ABTestManager):
    """Away until it is told to come back."""

    away = True

    async def record_exposures(self, experiment_id: str, given: Any) -> int:
        if self.away:
            raise Unavailable("database is away")
        return await super().record_exposures(experiment_id, given)


@pytest_asyncio.fixture
async def manager(database: Database) -> ABTestManager:
    """Of an experiment with two arms of the same size."""
    made = ABTestManager(database)
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await made.create_experiment(*PROMPT, arms, experiment_id=EXPERIMENT, salt=1)
    return made


async def test_users_assigned_from_memory_are_recorded_once_each(
    manager: ABTestManager, database: Database
) -> None:
    router, recorder = Router(database), ExposureRecorder(database)
    await router.refresh()
    given = {user: router.assign(*PROMPT, user) for user in USERS}

    for _ in range(3):
        for user in USERS:
            recorder.note(router.assign(*PROMPT, user), user)
    new = [await recorder.flush(), await recorder.flush()]
    recorder.note(given["user-7"], "user-7")
    again = await recorder.flush()

    assert (new, again, recorder.dropped) == ([1_000, 0], 0, 0)
    assert await manager.get_exposure_counts(EXPERIMENT) == Counter(
        assignment.version for assignment in given.values()
    )


async def test_while_it_is_entered_it_flushes_by_itself_and_once_more_at_the_end(
    manager: ABTestManager,
) -> None:
    async with ExposureRecorder(manager, every=timedelta(milliseconds=10)) as recorder:
        recorder.note(GIVEN, "ada")
        async with asyncio.timeout(30):
            while await manager.get_exposure_counts(EXPERIMENT) != {"1.0.0": 1, "1.0.1": 0}:
                await asyncio.sleep(0)
    async with ExposureRecorder(manager, every=NEVER) as recorder:
        recorder.note(GIVEN, "bob")

    assert await manager.get_exposure_counts(EXPERIMENT) == {"1.0.0": 2, "1.0.1": 0}
    assert recorder.dropped == 0


async def test_an_epoch_later_a_user_is_recorded_again(
    manager: ABTestManager, database: Database
) -> None:
    recorder, router = ExposureRecorder(manager), Router(database)
    await router.refresh()
    recorder.note(router.assign(*PROMPT, "ada"), "ada")
    first = await recorder.flush()

    await manager.reallocate(EXPERIMENT, {"1.0.0": 0, "1.0.1": 1})
    await router.refresh()
    recorder.note(router.assign(*PROMPT, "ada"), "ada")

    assert (first, await recorder.flush()) == (1, 1)
    assert await manager.get_user_assignment(EXPERIMENT, "ada") == "1.0.1"


async def test_what_no_experiment_decided_is_not_an_exposure(sqlite: Database) -> None:
    recorder = ExposureRecorder(sqlite)

    recorder.note(Assignment("v-1", "1.0.0", Reason.DEFAULT, 1), "ada")
    recorder.note(Router(sqlite).assign(*PROMPT, "ada", default="1.0.0"), "ada")

    assert (await recorder.flush(), recorder.dropped) == (0, 0)


async def test_an_outage_keeps_everybody_waiting(sqlite: Database) -> None:
    flaky = Flaky(sqlite)
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await flaky.create_experiment(*PROMPT, arms, experiment_id=EXPERIMENT)
    recorder = ExposureRecorder(flaky)
    recorder.note(GIVEN, "ada")

    with pytest.raises(Unavailable):
        await recorder.flush()
    recorder.note(GIVEN, "bob")
    flaky.away = False

    assert (await recorder.flush(), recorder.dropped) == (2, 0)


async def test_whom_the_database_does_not_take_at_the_end_are_dropped_and_counted(
    sqlite: Database,
) -> None:
    async with ExposureRecorder(Flaky(sqlite), every=NEVER) as recorder:
        recorder.note(GIVEN, "ada")

    assert recorder.dropped == 1


async def test_whom_there_is_no_room_for_are_dropped_and_counted(manager: ABTestManager) -> None:
    recorder = ExposureRecorder(manager, capacity=10)

    for user in USERS[:25]:
        recorder.note(GIVEN, user)
    first = await recorder.flush()
    for user in USERS[10:25]:
        recorder.note(GIVEN, user)

    assert (first, await recorder.flush(), recorder.dropped) == (10, 10, 15 + 5)


async def test_in_an_outage_as_many_wait_as_there_is_room_for(sqlite: Database) -> None:
    flaky = Flaky(sqlite)
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await flaky.create_experiment(*PROMPT, arms, experiment_id=EXPERIMENT)

    async with ExposureRecorder(flaky, capacity=10, every=NEVER) as recorder:
        for batch in (USERS[:10], USERS[10:20]):
            for user in batch:
                recorder.note(GIVEN, user)
            with pytest.raises(Unavailable):
                await recorder.flush()
        dropped = recorder.dropped
        flaky.away = False
        new = await recorder.flush()
        recorder.note(GIVEN, "ada")

    assert (dropped, new, recorder.dropped) == (10, 10, 10)
    assert len(await flaky.get_experiment_assignments(EXPERIMENT)) == 11


async def test_a_user_of_several_experiments_is_recorded_in_each(
    manager: ABTestManager, database: Database
) -> None:
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await manager.create_experiment("farewell", "system", arms, experiment_id="other")
    router = Router(database)
    await router.refresh()

    async with ExposureRecorder(database, every=NEVER) as recorder:
        for _ in range(2):
            for prompt in (PROMPT, ("farewell", "system")):
                for user in USERS[:50]:
                    recorder.note(router.assign(*prompt, user), user)
        new = [await recorder.flush(), await recorder.flush()]

    assert new == [100, 0]
    for name, experiment in ((PROMPT[0], EXPERIMENT), ("farewell", "other")):
        given = {user: router.assign(name, "system", user).version for user in USERS[:50]}
        assert await manager.get_experiment_assignments(experiment) == given


async def test_of_two_epochs_between_two_flushes_both_are_recorded(
    manager: ABTestManager, database: Database
) -> None:
    router = Router(database)
    await router.refresh()

    async with ExposureRecorder(database, every=NEVER) as recorder:
        recorder.note(router.assign(*PROMPT, "ada"), "ada")
        epoch = await manager.reallocate(EXPERIMENT, {"1.0.0": 0, "1.0.1": 1})
        await router.refresh()
        recorder.note(router.assign(*PROMPT, "ada"), "ada")

    counts = [await manager.get_exposure_counts(EXPERIMENT, epoch=e) for e in (epoch - 1, epoch)]
    assert [sum(users.values()) for users in counts] == [1, 1]


@pytest.mark.parametrize("user", ["", "x" * 201, "nul \x00", "\ud800", 7, None, [], {}])
async def test_an_id_that_cannot_be_kept_is_counted_and_keeps_nobody_else_out(
    sqlite: Database, user: Any
) -> None:
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await ABTestManager(sqlite).create_experiment(*PROMPT, arms, experiment_id=EXPERIMENT)
    recorder = ExposureRecorder(sqlite)

    for one in ("ada", user, "bob"):
        recorder.note(GIVEN, one)
    new = await recorder.flush()
    async with recorder:
        for one in ("eve", user, "joe"):
            recorder.note(GIVEN, one)

    assert (new, recorder.dropped) == (2, 2)
    assert len(await ABTestManager(sqlite).get_experiment_assignments(EXPERIMENT)) == 4


async def test_a_deleted_experiment_is_told_in_the_log_and_left_behind(
    sqlite: Database, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = ExposureRecorder(sqlite)
    recorder.note(GIVEN, "ada")

    with caplog.at_level(logging.WARNING):
        told = [await recorder.flush(), await recorder.flush()]

    assert (told, recorder.dropped) == ([0, 0], 1)
    assert caplog.messages == ["1 exposures are not recorded: Experiment not found: exp"]


async def test_threads_that_note_while_it_flushes_lose_nobody(sqlite: Database) -> None:
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await ABTestManager(sqlite).create_experiment(*PROMPT, arms, experiment_id=EXPERIMENT)

    def serve(recorder: ExposureRecorder, thread: int) -> None:
        for n in range(5_000):
            recorder.note(GIVEN, f"{thread}.{n}")

    new = 0
    async with ExposureRecorder(sqlite, every=NEVER) as recorder:
        with ThreadPoolExecutor(4) as pool:
            serving = [pool.submit(serve, recorder, thread) for thread in range(4)]
            while not all(future.done() for future in serving):
                new += await recorder.flush()
        new += await recorder.flush()

    assert (new, recorder.dropped) == (20_000, 0)


async def test_what_it_remembers_is_bounded(manager: ABTestManager) -> None:
    recorder = ExposureRecorder(manager, capacity=100)

    for start in range(0, 1_000, 50):
        for user in USERS[start : start + 50]:
            recorder.note(GIVEN, user)
        await recorder.flush()

    assert len(recorder._told) <= 150
    assert await manager.get_exposure_counts(EXPERIMENT) == {"1.0.0": 1_000, "1.0.1": 0}


@pytest.mark.parametrize(
    ("capacity", "every"), [(0, timedelta(seconds=1)), (1, timedelta(0)), (-1, timedelta(1))]
)
def test_no_room_and_no_pause_are_refused(
    sqlite: Database, capacity: int, every: timedelta
) -> None:
    with pytest.raises(InvalidValue, match="capacity and every must be > 0"):
        ExposureRecorder(sqlite, capacity=capacity, every=every)
