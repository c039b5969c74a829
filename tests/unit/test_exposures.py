"""Who was exposed to which version: recorded once, counted per arm, told one by one or in bulk."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import select

from domain.attribution import LATENESS
from domain.database import Database
from domain.errors import InvalidValue, NotFound
from domain.experiments import ABTestManager
from domain.prompts import PromptVariant
from domain.tables import AllocationRow, ExposureRow

EXPERIMENT = "exp"
FIRST = 1  # the epoch an experiment begins with


@pytest_asyncio.fixture
async def manager(database: Database) -> ABTestManager:
    """Of an experiment with two arms of the same size."""
    made = ABTestManager(database)
    arms = [PromptVariant("1.0.0", 1), PromptVariant("1.0.1", 1)]
    await made.create_experiment("greeting", "system", arms, experiment_id=EXPERIMENT)
    return made


async def test_first_exposures_are_counted_per_arm(manager: ABTestManager) -> None:
    users = [f"u{n}" for n in range(40)]

    async def serve(user: str) -> str:
        return await manager.get_variant_for_user(EXPERIMENT, user)

    given = await asyncio.gather(*(serve(user) for user in users))
    await asyncio.gather(*(serve(user) for user in users[:20]))

    assert await manager.get_exposure_counts(EXPERIMENT) == Counter(given)


async def test_transactions_that_record_users_of_different_arms_do_not_deadlock(
    manager: ABTestManager,
    database: Database,
) -> None:
    async def serve(n: int) -> None:
        async with database.transaction():
            for k in range(6):
                exposure = (f"u{n}.{k}", f"1.0.{(n + k) % 2}", FIRST)
                await manager.record_exposures(EXPERIMENT, [exposure])

    await asyncio.gather(*(serve(n) for n in range(8)))

    assert await manager.get_exposure_counts(EXPERIMENT) == {"1.0.0": 24, "1.0.1": 24}


async def test_a_process_that_assigns_from_memory_tells_its_exposures_in_batches(
    manager: ABTestManager,
) -> None:
    batch = [("ada", "1.0.0", FIRST), ("bob", "1.0.1", FIRST), ("bob", "1.0.0", FIRST)]

    told = [await manager.record_exposures(EXPERIMENT, batch) for _ in range(2)]
    again = await manager.record_exposures(
        "greeting", [("ada", "1.0.1", FIRST), ("eve", "1.0.1", FIRST)]
    )

    assert [*told, again] == [2, 0, 1]
    assert await manager.get_exposure_counts(EXPERIMENT) == {"1.0.0": 1, "1.0.1": 2}
    assert await manager.get_user_assignment(EXPERIMENT, "bob") == "1.0.1"
    assert await manager.record_exposures(EXPERIMENT, []) == 0


async def test_concurrent_batches_of_exposures_count_every_user_once(
    manager: ABTestManager,
) -> None:
    async def tell(n: int) -> int:
        users = [(n * 100 + k) % 2_000 for k in range(1_500)][:: 1 if n % 2 else -1]
        batch = [(f"u{user}", f"1.0.{user % 2}", FIRST) for user in users]
        return await manager.record_exposures(EXPERIMENT, batch)

    new = await asyncio.gather(*(tell(n) for n in range(6)))

    assert sum(new) == 2_000
    counts = await manager.get_exposure_counts(EXPERIMENT)
    assert counts == {"1.0.0": 1_000, "1.0.1": 1_000}


async def test_exposures_are_counted_in_their_epoch_until_it_has_long_ended(
    manager: ABTestManager, database: Database
) -> None:
    second = await manager.reallocate(EXPERIMENT, {"1.0.0": 0.2, "1.0.1": 0.8})

    both = [("ada", "1.0.0", FIRST), ("ada", "1.0.0", second)]
    told = await manager.record_exposures(EXPERIMENT, both)
    async with database.transaction() as session:
        allocation = await session.get_one(AllocationRow, (EXPERIMENT, FIRST))
        allocation.ended_at = datetime.now(UTC) - LATENESS - timedelta(minutes=1)
    late = await manager.record_exposures(
        EXPERIMENT, [("bob", "1.0.0", FIRST), ("bob", "1.0.1", second)]
    )

    assert (told, late) == (2, 1)
    counts = [await manager.get_exposure_counts(EXPERIMENT, epoch=e) for e in (FIRST, second)]
    assert counts == [{"1.0.0": 1, "1.0.1": 0}, {"1.0.0": 1, "1.0.1": 1}]


@pytest.mark.parametrize(
    ("exposure", "refusal"),
    [
        (("ada", "9.9.9", 1), r"exposure 1: version must be in \['1.0.0', '1.0.1'\], got '9.9.9'"),
        (("ada", "1.0.0", 7), r"exposure 1: epoch must be in \[1\], got 7"),
        (("ada", "1.0.0", True), "exposure 1: epoch must be"),
        (("ada", "1.0.0", "1"), "exposure 1: epoch must be"),
        (("", "1.0.0", 1), "exposure 1: length of user_id must be"),
        (("x" * 201, "1.0.0", 1), "exposure 1: length of user_id must be"),
        ((None, "1.0.0", 1), "exposure 1: user_id must be a text"),
        (("nul \x00", "1.0.0", 1), "exposure 1: user_id must not contain NUL"),
        (("ada", "1.0.0"), "exposure 1: .*epoch"),
        (7, "exposure 1: "),
    ],
)
async def test_one_wrong_exposure_refuses_the_batch(
    manager: ABTestManager, database: Database, exposure: Any, refusal: str
) -> None:
    with pytest.raises(InvalidValue, match=refusal):
        await manager.record_exposures(EXPERIMENT, [("bob", "1.0.0", 1), exposure])

    async with database.transaction() as session:
        assert (await session.exec(select(ExposureRow))).all() == []


async def test_exposures_of_nothing_and_too_many_are_refused(manager: ABTestManager) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        await manager.record_exposures("nowhere", [("ada", "1.0.0", 1)])
    with pytest.raises(InvalidValue, match="at most 10000 exposures, got 10001"):
        await manager.record_exposures(EXPERIMENT, [("ada", "1.0.0", 1)] * 10_001)
    assert await manager.get_exposure_counts("nowhere") == {}


async def test_the_counts_go_with_their_experiment(manager: ABTestManager) -> None:
    await manager.get_variant_for_user(EXPERIMENT, "ada")

    assert await manager.delete_experiment(EXPERIMENT) is True

    assert await manager.get_exposure_counts(EXPERIMENT) == {}


async def test_exposures_told_while_their_experiment_is_deleted_are_counted_or_not_found(
    manager: ABTestManager,
) -> None:
    async def tell(n: int) -> None:
        for k in range(10):
            assert await manager.record_exposures(EXPERIMENT, [(f"u{n}.{k}", "1.0.0", FIRST)])

    *answers, deleted = await asyncio.gather(
        *(tell(n) for n in range(8)),
        manager.delete_experiment(EXPERIMENT),
        return_exceptions=True,
    )

    assert deleted is True
    assert all(answer is None or isinstance(answer, NotFound) for answer in answers)
