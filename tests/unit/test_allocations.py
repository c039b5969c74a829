"""ABTestManager: epochs, endings, and who may change what a prompt is routed to."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import select

from domain.assignment import Allocation
from domain.database import Database
from domain.errors import Conflict, Fenced, InvalidValue
from domain.experiments import ABTestManager, conclude
from domain.prompts import ExperimentStatus, PromptExperiment, PromptVariant
from domain.routing import RoutingManager
from domain.tables import AllocationRow, ExposureRow, RolloutRow, RoutingRow

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


async def routed(database: Database) -> str | None:
    async with database.transaction() as session:
        return (await session.get_one(RoutingRow, PROMPT)).experiment_id


async def allocations(database: Database, experiment: PromptExperiment) -> list[AllocationRow]:
    query = select(AllocationRow).where(AllocationRow.experiment_id == experiment.experiment_id)
    async with database.transaction() as session:
        return sorted(await session.exec(query), key=lambda row: row.epoch)


async def assign(database: Database, experiment_id: str) -> dict[str, str]:
    manager = ABTestManager(database)
    async with database.transaction():
        return {user: await manager.get_variant_for_user(experiment_id, user) for user in USERS}


async def start_rollout(database: Database) -> PromptExperiment:
    row = RolloutRow(
        id="r-1",
        key="r-1",
        workflow_id="rollout/greeting.system",
        name="greeting",
        prompt_type="system",
        baseline_id="v-1",
        candidate_id="v-2",
        experiment_id="e-1",
        plan={},
        before={},
        status="live",
        epoch=1,
        opened_at=datetime.now(UTC),
    )
    async with database.transaction() as session:
        session.add(row)
        return await create(database, experiment_id="e-1", rollout_id="r-1")


async def test_the_newest_experiment_is_the_one_the_prompt_is_routed_to(
    sqlite: Database,
) -> None:
    manager = ABTestManager(sqlite)
    first, second = await create(sqlite), await create(sqlite)
    assert await routed(sqlite) == second.experiment_id
    assert await epoch(sqlite) == 2

    await manager.update_experiment_status(first.experiment_id, "stopped")
    assert await epoch(sqlite) == 2

    await manager.update_experiment_status(second.experiment_id, "paused")
    assert await epoch(sqlite) == 3


async def test_ending_sets_the_end_and_closes_the_allocation(sqlite: Database) -> None:
    manager = ABTestManager(sqlite)
    given = datetime(2030, 1, 2, tzinfo=UTC)
    one, other = await create(sqlite), await create(sqlite)

    done = await manager.update_experiment_status(one.experiment_id, "completed")
    dated = await manager.update_experiment_status(other.experiment_id, "stopped", given)
    again = await manager.update_experiment_status(one.experiment_id, "completed")

    assert done.end_date is not None
    assert done.end_date > done.start_date
    assert dated.end_date == given
    assert again == done
    assert (await allocations(sqlite, one))[0].ended_at is not None


async def test_what_has_ended_does_not_go_on(sqlite: Database) -> None:
    manager = ABTestManager(sqlite)
    made = await create(sqlite)
    await manager.update_experiment_status(made.experiment_id, "completed")

    for status in ("running", "paused"):
        with pytest.raises(Conflict, match=f"is completed, cannot be {status} again"):
            await manager.update_experiment_status(made.experiment_id, status)
    with pytest.raises(Conflict, match="is completed, cannot reallocate"):
        await manager.reallocate(made.experiment_id, {"1.0.0": 1.0})
    with pytest.raises(InvalidValue, match="running, paused, completed, stopped"):
        await manager.update_experiment_status(made.experiment_id, "finished")

    stopped = await manager.update_experiment_status(made.experiment_id, "stopped")
    assert stopped.status == "stopped"


async def test_reallocation_moves_the_fewest_users_and_opens_an_epoch(
    database: Database,
) -> None:
    manager = ABTestManager(database)
    variants = [PromptVariant("a", 80), PromptVariant("b", 10), PromptVariant("c", 10)]
    made = await create(database, *variants)
    before = await assign(database, made.experiment_id)

    claimed = await manager.reallocate(made.experiment_id, {"a": 0.4, "b": 0.3, "c": 0.3}, held=1)

    after = await assign(database, made.experiment_id)
    assert claimed == await epoch(database) == 2
    assert {before[user] for user in USERS if before[user] != after[user]} == {"a"}
    first, second = await allocations(database, made)
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.ended_at == second.started_at
    assert second.ended_at is None
    stored = Allocation(tuple(second.starts), tuple(second.arms))
    assert stored.shares() == pytest.approx((0.4, 0.3, 0.3))
    found = await manager.get_experiment(made.experiment_id)
    assert found is not None
    assert found.traffic_split == {"a": 0.4, "b": 0.3, "c": 0.3}


async def test_unchanged_shares_change_nothing(sqlite: Database) -> None:
    made = await create(sqlite)

    claimed = await ABTestManager(sqlite).reallocate(
        made.experiment_id, {"1.0.0": 0.5, "1.0.1": 0.5}
    )

    assert claimed == await epoch(sqlite) == 1
    assert len(await allocations(sqlite, made)) == 1


async def test_a_writer_with_an_old_epoch_cannot_reallocate(sqlite: Database) -> None:
    manager = ABTestManager(sqlite)
    made = await create(sqlite)
    await manager.reallocate(made.experiment_id, {"1.0.1": 1.0}, held=1)

    with pytest.raises(Fenced, match=r"greeting\.system is at epoch 2, this writer holds 1"):
        await manager.reallocate(made.experiment_id, {"1.0.0": 1.0}, held=1)


@pytest.mark.guarantee(14)
async def test_concurrent_writers_of_one_epoch_have_one_winner(database: Database) -> None:
    manager = ABTestManager(database)
    made = await create(database)
    shares = [{"1.0.0": 1 - n / 10, "1.0.1": n / 10} for n in range(6, 10)]

    outcomes = await asyncio.gather(
        *(manager.reallocate(made.experiment_id, share, held=1) for share in shares),
        return_exceptions=True,
    )

    assert outcomes.count(2) == 1
    assert sum(isinstance(outcome, Fenced) for outcome in outcomes) == 3
    still_open = [row for row in await allocations(database, made) if row.ended_at is None]
    assert len(still_open) == 1


@pytest.mark.parametrize(
    ("shares", "refusal"),
    [
        ({"1.0.0": 0.5, "9.9.9": 0.5}, r"no variant has version \['9\.9\.9'\]"),
        ({"1.0.0": 0.5, "1.0.1": 0.4}, "must sum to 1.0, got 0.9"),
        ({"1.0.0": 2.0, "1.0.1": -1.0}, "shares must be"),
    ],
)
async def test_shares_that_do_not_fit_are_refused(
    sqlite: Database, shares: dict[str, float], refusal: str
) -> None:
    made = await create(sqlite)

    with pytest.raises(InvalidValue, match=refusal):
        await ABTestManager(sqlite).reallocate(made.experiment_id, shares)

    assert await epoch(sqlite) == 1


async def test_a_deleted_experiment_is_gone_with_its_users_and_its_route(
    database: Database,
) -> None:
    made = await create(database)
    await assign(database, made.experiment_id)

    assert await ABTestManager(database).delete_experiment(made.experiment_id) is True

    assert await ABTestManager(database).get_experiment(made.experiment_id) is None
    assert await routed(database) is None
    assert await epoch(database) == 2
    async with database.transaction() as session:
        assert (await session.exec(select(ExposureRow))).all() == []
        assert (await session.exec(select(AllocationRow))).all() == []


async def test_a_live_rollout_keeps_its_prompt_and_its_experiment_to_itself(
    database: Database,
) -> None:
    manager = ABTestManager(database)
    owned = await start_rollout(database)

    with pytest.raises(Conflict, match=r"rollout r-1 is live on greeting\.system"):
        await create(database)
    with pytest.raises(Conflict, match="experiment e-1 belongs to live rollout r-1"):
        await manager.update_experiment_status(owned.experiment_id, "stopped")
    with pytest.raises(Conflict, match="experiment e-1 belongs to live rollout r-1"):
        await manager.delete_experiment(owned.experiment_id)
    await create(database, name="farewell")


async def test_a_rollout_concludes_its_experiment_and_routes_back(database: Database) -> None:
    owned = await start_rollout(database)

    async def conclude_once() -> int:
        async with database.transaction() as session:
            status = ExperimentStatus.STOPPED
            return await conclude(session, owned.experiment_id, status, route_to=None)

    assert await conclude_once() == await conclude_once() == await epoch(database) == 2
    assert await routed(database) is None
    assert (await allocations(database, owned))[0].ended_at is not None


async def test_a_conclusion_names_its_winner(sqlite: Database) -> None:
    made = await create(sqlite)

    async with sqlite.transaction() as session:
        with pytest.raises(InvalidValue, match="winner must be one of"):
            await conclude(session, "greeting", ExperimentStatus.COMPLETED, winner="9.9.9")
        await conclude(session, "greeting", ExperimentStatus.COMPLETED, winner="1.0.1")

    found = await ABTestManager(sqlite).get_experiment(made.experiment_id)
    assert found is not None
    assert (found.status, found.metrics) == ("completed", {"winner": "1.0.1"})
    assert await routed(sqlite) == made.experiment_id
