"""Retention: what is old goes, a little at a time; what is counted stays, and counts once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, text, update
from sqlmodel import SQLModel

from domain import MetricEvent
from domain.database import Database
from domain.errors import InvalidPlan, InvalidValue, NotFound
from domain.evidence.looks import METHOD
from domain.prompts import PromptVariant
from domain.retention import manager as retention_manager
from domain.retention.manager import RetentionManager
from domain.retention.plan import Retention, Swept
from tests.finished import tell
from tests.house import House

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
TABLES = SQLModel.metadata.tables
COUNTED = ("event", "exposure", "observation", "evidence", "decision", "cell", "exposure_count")


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_manager, "BATCH", 3)
    monkeypatch.setattr(retention_manager, "BREATH_S", 0)


async def rows(database: Database, name: str) -> int:
    async with database.reading() as session:
        found = await (await session.connection()).execute(
            select(func.count()).select_from(TABLES[name])
        )
    return int(found.scalar_one())


async def census(database: Database) -> dict[str, int]:
    return {name: await rows(database, name) for name in COUNTED}


async def run(database: Database, statement: Any) -> None:
    async with database.transaction() as session:
        await (await session.connection()).execute(statement)


async def happened(database: Database, *ages: int, version_id: str = "v-1") -> None:
    """Have events, counted in their time, that are so many days old now."""
    house = House(database)
    ids = [f"{version_id}-{age}-{number}" for number, age in enumerate(ages)]
    await house.metrics.record_events([MetricEvent(version_id, NOW, event_id=one) for one in ids])
    event = TABLES["event"]
    for one, age in zip(ids, ages, strict=True):
        is_one = event.columns.id == one
        await run(database, update(event).where(is_one).values(occurred_at=NOW - age * DAY))


async def ended(database: Database, name: str, *, days_ago: int) -> str:
    """Have an experiment with three users, each seen and observed, that ended so long ago."""
    house = House(database, name=name)
    await house.furnish()
    variants = [PromptVariant("1.0.0", 50), PromptVariant("1.1.0", 50)]
    made = await house.experiments.create_experiment(name, "system", variants)
    for user in ("ana", "ben", "cem"):
        number = await house.experiments.get_variant_for_user(made.experiment_id, user)
        version = await house.get(number)
        await house.metrics.record_event(version.version_id, user_id=user)
    then = NOW - days_ago * DAY
    await house.experiments.update_experiment_status(made.experiment_id, "completed", then)
    return made.experiment_id


async def concluded(database: Database, table: str, id_: str, *, days_ago: int) -> None:
    of = TABLES[table]
    then = NOW - days_ago * DAY
    await run(database, update(of).where(of.columns.id == id_).values(concluded_at=then))


async def test_old_events_go_and_what_they_counted_stays(database: Database) -> None:
    await happened(database, 1, 89, 91, 300)
    await happened(database, 95, version_id="v-2")

    swept = await RetentionManager(database).sweep(now=NOW)

    assert swept == Swept(events=3)
    metrics = House(database).metrics
    assert [e.event_id for e in await metrics.get_events("v-1")] == ["v-1-1-0", "v-1-89-1"]
    assert (await metrics.get_metrics("v-1")).total_events == 4
    assert (await metrics.get_metrics("v-2")).total_events == 1


@pytest.mark.usefixtures("small_batches")
async def test_what_goes_goes_in_small_transactions(database: Database) -> None:
    await happened(database, *[100] * 8)
    manager = RetentionManager(database)

    steps = [swept.events async for swept in manager.batches(Retention(), now=NOW)]

    assert steps == [3, 3, 2]


@pytest.mark.usefixtures("small_batches")
async def test_a_sweep_that_is_broken_off_is_gone_on_with(database: Database) -> None:
    await happened(database, *[100] * 8)
    manager = RetentionManager(database)
    async for _ in manager.batches(Retention(), now=NOW):
        break

    swept = await manager.sweep(now=NOW)

    assert swept.events == 5
    assert await manager.sweep(now=NOW) == Swept()


@pytest.mark.usefixtures("small_batches")
async def test_sweeps_and_writers_at_the_same_time_do_not_disturb_each_other(
    database: Database,
) -> None:
    await happened(database, *[100] * 30)
    manager, metrics = RetentionManager(database), House(database).metrics

    sweeps = asyncio.gather(*(manager.sweep(now=NOW) for _ in range(2)))
    await asyncio.gather(*(metrics.record_event("v-1") for _ in range(10)))
    swept = [*await sweeps, await manager.sweep(now=NOW)]  # for a row of the other's, none waits

    assert sum(each.events for each in swept) == 30
    assert await rows(database, "event") == 10
    assert (await metrics.get_metrics("v-1")).total_events == 40


async def test_users_of_an_experiment_go_when_it_is_long_over(database: Database) -> None:
    over = await ended(database, "old", days_ago=91)
    recent = await ended(database, "recent", days_ago=89)
    experiments = House(database).experiments
    counts = await experiments.get_exposure_counts(over)

    swept = await RetentionManager(database).sweep(now=NOW)

    assert swept == Swept(observations=3, exposures=3)
    assert await experiments.get_exposure_counts(over) == counts
    assert len(await experiments.get_experiment_assignments(recent)) == 3


async def test_users_of_a_live_experiment_stay_however_long_it_lives(database: Database) -> None:
    over = await ended(database, "old", days_ago=500)
    experiment = TABLES["experiment"]
    alive = {"status": "running", "end_date": None}
    await run(database, update(experiment).where(experiment.columns.id == over).values(alive))

    assert await RetentionManager(database).sweep(now=NOW) == Swept()


async def test_observations_of_a_deleted_experiment_go_too(database: Database) -> None:
    over = await ended(database, "old", days_ago=1)
    await House(database).experiments.delete_experiment(over)

    assert await RetentionManager(database).sweep(now=NOW) == Swept(observations=3)


async def test_nobody_is_told_that_nobody_was_there(database: Database) -> None:
    over = await ended(database, "old", days_ago=91)
    await RetentionManager(database).sweep(now=NOW)
    experiments = House(database).experiments

    for ask in (
        experiments.get_variant_distribution(over),
        experiments.get_experiment_assignments(over),
        experiments.get_user_assignment(over, "ana"),
    ):
        with pytest.raises(NotFound, match=f"exposures of experiment {over} were deleted on"):
            await ask


async def test_evidence_goes_and_the_journal_stays(database: Database) -> None:
    house = House(database)
    await house.furnish()
    rollout = await tell(house, "harmed at 10 %")
    before = await census(database)
    await concluded(database, "rollout", rollout.id, days_ago=366)

    swept = await RetentionManager(database).sweep(now=NOW)

    assert swept.evidence == before["evidence"] > 0
    assert await rows(database, "decision") == before["decision"]
    assert (await house.rollouts.decisions(rollout.id))[-1].kind == "rolled_back"
    with pytest.raises(NotFound, match=r"was deleted on .* its journal is kept"):
        await house.rollouts.checks(rollout.id)


async def test_evidence_of_a_live_rollout_stays(database: Database) -> None:
    house = House(database)
    await house.furnish()
    rollout = await tell(house, "harmed at 10 %")
    live = {"status": "live", "concluded_at": None, "opened_at": NOW - 500 * DAY}
    of = TABLES["rollout"]
    await run(database, update(of).where(of.columns.id == rollout.id).values(live))

    assert (await RetentionManager(database).sweep(now=NOW)).evidence == 0
    assert await house.rollouts.checks(rollout.id)


async def test_looks_of_a_trial_go_when_it_is_long_concluded(database: Database) -> None:
    trial = {
        "workflow_id": "", "name": "greeting", "prompt_type": "system", "plan": {}, "epoch": 1,
        "stopped": [], "by": "", "reason": "", "opened_at": NOW - 400 * DAY,
    }  # fmt: skip
    look = {"arm": "1.1.0", "number": 1, "method": METHOD, "policy": "", "look": {}, "evidence": {}}
    for id_, status, at in (
        ("old", "completed", NOW - 366 * DAY),
        ("recent", "completed", NOW - 364 * DAY),
        ("live", "live", None),
    ):
        more = {"id": id_, "key": id_, "status": status, "concluded_at": at}
        await run(database, insert(TABLES["trial"]).values(trial | more))
        await run(database, insert(TABLES["trial_evidence"]).values(look | {"trial_id": id_}))

    assert await RetentionManager(database).sweep(now=NOW) == Swept(evidence=1)
    assert await rows(database, "trial_evidence") == 2


async def test_what_is_kept_for_ever_stays(database: Database) -> None:
    await happened(database, 10_000)
    await ended(database, "old", days_ago=10_000)
    for_ever = Retention(events=None, users=None, evidence=None)

    assert await RetentionManager(database).sweep(for_ever, now=NOW) == Swept()


async def test_an_event_whose_row_is_gone_is_too_old_to_be_counted_again(
    database: Database,
) -> None:
    shortest = Retention(events=timedelta(days=31))
    await happened(database, 31)
    again = MetricEvent("v-1", NOW - 31 * DAY, event_id="v-1-31-0")
    metrics = House(database).metrics
    await RetentionManager(database).sweep(shortest, now=NOW + timedelta(minutes=1))

    with pytest.raises(InvalidValue, match="timestamp must be an instant"):
        await metrics.record_events([again])

    assert (await metrics.get_metrics("v-1")).total_events == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"events": "30d"}, "events: must be at least 31d, got 30d: events up to 30d old are"),
        ({"users": "23h"}, "users: must be at least 1d, got 23h"),
        ({"evidence": "366d"}, "evidence: must be between 0s and 365d"),
        (
            {"journal": "1d"},
            "unknown field 'journal': allowed are events, users, evidence, notifications",
        ),
        ("90d", "must be a valid dictionary"),
    ],
)
def test_a_plan_that_cannot_be_meant_says_what_can(given: Any, said: str) -> None:
    with pytest.raises(InvalidPlan) as refusal:
        Retention.parse(given)

    assert said in str(refusal.value)


def test_a_plan_reads_as_it_is_written() -> None:
    plan = Retention.parse({"events": "31d", "users": None})

    assert str(plan) == "events 31d, users for ever, evidence 365d, notifications 30d"
    assert Retention.parse(plan.model_dump(mode="json")) == plan
    assert Retention.parse(None) == Retention()


@pytest.fixture
async def partitioned(kept: Any) -> AsyncIterator[Database]:
    """A PostgreSQL database whose table of events somebody has partitioned by hand."""
    database: Database = kept("postgresql")
    await database.probe()
    await _partition(database, TABLES["event"], parts=4)
    yield database
    async with database.administered() as connection:
        await connection.execute(text("DROP TABLE event"))
        await connection.run_sync(TABLES["event"].create)


async def _partition(database: Database, table: Table, *, parts: int) -> None:
    """Make the table anew in parts, with what is in it; our code is not told."""
    async with database.administered() as connection:
        for statement in (
            "DROP TABLE IF EXISTS event_old",
            "ALTER TABLE event RENAME TO event_old",
            "CREATE TABLE event (LIKE event_old INCLUDING ALL) PARTITION BY HASH (id)",
            *(
                f"CREATE TABLE event_{part} PARTITION OF event"
                f" FOR VALUES WITH (MODULUS {parts}, REMAINDER {part})"
                for part in range(parts)
            ),
            f"INSERT INTO {table.name} SELECT * FROM event_old",  # noqa: S608
            "DROP TABLE event_old",
        ):
            await connection.execute(text(statement))


async def test_events_may_be_partitioned_by_their_id(partitioned: Database) -> None:
    metrics = House(partitioned).metrics
    await metrics.reset_metrics("v-1")
    batch = [MetricEvent("v-1", NOW, event_id=f"e-{number}") for number in range(50)]

    new = [await metrics.record_events(batch), await metrics.record_events(batch)]
    await happened(partitioned, *[100] * 20)
    swept = await RetentionManager(partitioned).sweep(now=NOW)

    assert new == [50, 0]
    assert swept.events == 20
    assert len(await metrics.get_events("v-1")) == 50
    assert (await metrics.get_metrics("v-1")).total_events == 70
    async with partitioned.reading() as session:
        parts = await (await session.connection()).execute(
            text("SELECT count(DISTINCT tableoid) FROM event")
        )
    assert parts.scalar_one() == 4
