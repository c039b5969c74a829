"""ABTestManager: splits, sticky users, names, and what is recorded."""

import asyncio
import math
from collections import Counter
from typing import Any

import pytest
from sqlmodel import select

from domain.database import Database
from domain.errors import Conflict, InvalidValue, NotFound, VersioningError
from domain.experiments import ABTestManager
from domain.prompts import PromptExperiment, PromptVariant
from domain.routing import RoutingManager
from domain.tables import ExposureRow

PROMPT = ("greeting", "system")
USERS = [f"user-{n}" for n in range(100)]
HALVES = (PromptVariant("1.0.0", 0.5, "Control"), PromptVariant("1.0.1", 0.5, "Treatment"))


async def create(
    database: Database, *variants: PromptVariant, name: str = "greeting", **extra: Any
) -> PromptExperiment:
    manager = ABTestManager(database)
    return await manager.create_experiment(name, "system", variants or HALVES, **extra)


async def epoch(database: Database) -> int:
    return (await RoutingManager(database).epochs()).get(PROMPT, 0)


async def assign(database: Database, experiment_id: str) -> dict[str, str]:
    manager = ABTestManager(database)
    async with database.transaction():
        return {user: await manager.get_variant_for_user(experiment_id, user) for user in USERS}


@pytest.mark.parametrize(
    ("weights", "split"),
    [
        ((0.5, 0.5), [0.5, 0.5]),
        ((1, 1), [0.5, 0.5]),
        ((0.3, 0.7), [0.3, 0.7]),
        ((30, 70), [0.3, 0.7]),
        ((0.33, 0.33, 0.34), [0.33, 0.33, 0.34]),
        ((1, 1, 1), [1 / 3, 1 / 3, 1 / 3]),
    ],
)
async def test_weights_are_relative_and_normalised_exactly(
    sqlite: Database, weights: tuple[float, ...], split: list[float]
) -> None:
    made = await create(sqlite, *(PromptVariant(f"1.0.{n}", w) for n, w in enumerate(weights)))

    assert list(made.traffic_split.values()) == split


async def test_a_given_split_may_leave_a_variant_without_users(sqlite: Database) -> None:
    made = await create(sqlite, traffic_split={"1.0.1": 0.0, "1.0.0": 1.0})

    assert made.traffic_split == {"1.0.0": 1.0, "1.0.1": 0.0}
    assert set((await assign(sqlite, made.experiment_id)).values()) == {"1.0.0"}


@pytest.mark.parametrize(
    ("split", "refusal"),
    [
        ({"1.0.0": 0.5, "1.0.1": 0.4}, "Traffic split must sum to 1.0"),
        ({"1.0.0": 1.0}, "traffic_split must name"),
        ({"1.0.0": 0.5, "2.0.0": 0.5}, "traffic_split must name"),
        ({"1.0.0": 1.5, "1.0.1": -0.5}, "shares must be"),
        ({"1.0.0": math.nan, "1.0.1": 1.0}, "shares must be"),
    ],
)
async def test_a_split_that_does_not_fit_is_refused_and_nothing_is_written(
    sqlite: Database, split: dict[str, float], refusal: str
) -> None:
    with pytest.raises(InvalidValue, match=refusal):
        await create(sqlite, traffic_split=split)

    assert await ABTestManager(sqlite).list_experiments() == []
    assert await epoch(sqlite) == 0


async def test_an_experiment_needs_two_different_versions(sqlite: Database) -> None:
    with pytest.raises(VersioningError, match="at least 2 variants"):
        await create(sqlite, PromptVariant("1.0.0", 1))
    with pytest.raises(InvalidValue, match="versions of variants must differ"):
        await create(sqlite, PromptVariant("1.0.0", 1), PromptVariant("1.0.0", 2))
    with pytest.raises(InvalidValue, match="finite sum"):
        await create(sqlite, PromptVariant("1.0.0", 1e308), PromptVariant("1.0.1", 1e308))
    with pytest.raises(InvalidValue, match="salt must be"):
        await create(sqlite, salt=2**32)
    with pytest.raises(InvalidValue, match="name must be"):
        await create(sqlite, name="")


async def test_an_experiment_id_given_twice_makes_one_experiment(database: Database) -> None:
    first = await create(database, experiment_id="e-1")

    again = await create(database, experiment_id="e-1")

    assert again == first
    assert await epoch(database) == 1
    with pytest.raises(Conflict, match="'e-1' is taken"):
        await create(database, experiment_id="e-1", name="other")


async def test_everything_given_comes_back_after_a_restart(database: Database) -> None:
    made = await create(database, metadata={"owner": "ada"}, salt=7)
    before = await assign(database, made.experiment_id)
    restarted = Database(database.url.render_as_string(hide_password=False))

    manager = ABTestManager(restarted)
    found = await manager.get_experiment(made.experiment_id)
    after = await assign(restarted, made.experiment_id)
    recorded = await manager.get_experiment_assignments(made.experiment_id)

    await restarted.dispose()
    assert found == made
    assert after == before == recorded


async def test_users_stick_and_spread_as_the_split_says(sqlite: Database) -> None:
    made = await create(sqlite, PromptVariant("a", 3), PromptVariant("b", 1), salt=1)

    first = await assign(sqlite, made.experiment_id)
    second = await assign(sqlite, made.experiment_id)

    assert first == second
    assert Counter(first.values())["b"] == pytest.approx(25, abs=20)


async def test_two_experiments_have_guinea_pigs_of_their_own(sqlite: Database) -> None:
    one, other = await create(sqlite), await create(sqlite, name="farewell")

    chosen = [await assign(sqlite, e.experiment_id) for e in (one, other)]

    both = sum(chosen[0][user] == chosen[1][user] for user in USERS)
    assert both == pytest.approx(50, abs=24)


async def test_exposures_are_recorded_once_and_assignments_are_never_made_by_reading(
    database: Database,
) -> None:
    manager = ABTestManager(database)
    made = await create(database)
    assert await manager.get_user_assignment(made.experiment_id, "ada") is None

    given = await asyncio.gather(
        *(manager.get_variant_for_user(made.experiment_id, "ada") for _ in range(10))
    )

    assert await manager.get_user_assignment(made.experiment_id, "ada") == given[0]
    assert await manager.get_experiment_assignments(made.experiment_id) == {"ada": given[0]}
    async with database.transaction() as session:
        assert len((await session.exec(select(ExposureRow))).all()) == 1


async def test_the_distribution_counts_each_user_in_the_latest_epoch(database: Database) -> None:
    manager = ABTestManager(database)
    made = await create(database)
    await assign(database, made.experiment_id)

    await manager.reallocate(made.experiment_id, {"1.0.1": 1.0})
    await assign(database, made.experiment_id)

    distribution = await manager.get_variant_distribution(made.experiment_id)
    assert distribution == {"1.0.0": 0, "1.0.1": len(USERS)}
    assert await manager.get_user_assignment(made.experiment_id, USERS[0]) == "1.0.1"


@pytest.mark.parametrize("user", [None, 7, "nul \x00", "\ud800"])
async def test_a_user_id_that_cannot_be_kept_is_refused(sqlite: Database, user: Any) -> None:
    made = await create(sqlite)

    with pytest.raises(InvalidValue, match="user_id"):
        await ABTestManager(sqlite).get_variant_for_user(made.experiment_id, user)


async def test_random_variants_follow_the_shares(sqlite: Database) -> None:
    made = await create(sqlite, PromptVariant("a", 9), PromptVariant("b", 1))
    manager = ABTestManager(sqlite)

    drawn = Counter([await manager.get_random_variant(made.experiment_id) for _ in range(200)])

    assert drawn["a"] > 140


async def test_an_unknown_experiment_is_nothing_to_getters_and_not_found_to_actions(
    sqlite: Database,
) -> None:
    manager = ABTestManager(sqlite)

    assert await manager.get_experiment("nobody") is None
    assert await manager.get_user_assignment("nobody", "ada") is None
    assert await manager.get_experiment_assignments("nobody") == {}
    assert await manager.get_variant_distribution("nobody") == {}
    assert await manager.delete_experiment("nobody") is False
    for action in (
        manager.get_variant_for_user("nobody", "ada"),
        manager.get_random_variant("nobody"),
        manager.update_experiment_status("nobody", "stopped"),
        manager.reallocate("nobody", {}),
    ):
        with pytest.raises(NotFound, match="Experiment not found: nobody"):
            await action


async def test_a_name_stands_for_its_one_running_experiment(sqlite: Database) -> None:
    manager = ABTestManager(sqlite)
    made = await create(sqlite, name="greeting_premium")

    variant = await manager.get_variant_for_user("greeting_premium", "ada")
    await manager.update_experiment_status("greeting_premium", "paused")
    await manager.update_experiment_status("greeting_premium", "running")

    assert await manager.get_user_assignment("greeting_premium", "ada") == variant
    found = await manager.get_experiment("greeting_premium")
    assert found == made
    await create(sqlite, name="greeting_premium")
    with pytest.raises(VersioningError, match="2 running experiments are named"):
        await manager.get_variant_for_user("greeting_premium", "ada")
    await manager.update_experiment_status(made.experiment_id, "stopped")
    await manager.get_variant_for_user("greeting_premium", "ada")


async def test_experiments_are_listed_by_name_type_and_status(sqlite: Database) -> None:
    manager = ABTestManager(sqlite)
    first, second = await create(sqlite), await create(sqlite, name="other")
    await manager.update_experiment_status(first.experiment_id, "paused")

    async def listed(*filters: str | None) -> list[str]:
        return [e.experiment_id for e in await manager.list_experiments(*filters)]

    assert await listed() == [first.experiment_id, second.experiment_id]
    assert await listed("other") == [second.experiment_id]
    assert await listed(None, "user") == []
    assert await listed(None, None, "paused") == [first.experiment_id]
    with pytest.raises(InvalidValue, match="running, paused, completed, stopped"):
        await listed(None, None, "ended")


@pytest.mark.parametrize("status", ["paused", "completed", "stopped"])
async def test_only_a_running_experiment_gives_out_variants(sqlite: Database, status: str) -> None:
    manager = ABTestManager(sqlite)
    made = await create(sqlite)
    await manager.update_experiment_status(made.experiment_id, status)

    with pytest.raises(VersioningError, match="not running"):
        await manager.get_variant_for_user(made.experiment_id, "ada")
