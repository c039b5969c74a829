"""What counts as evidence: the first outcome of a user in an epoch, kept exactly once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlmodel import col, select, update

from domain.attribution import LATENESS
from domain.database import Database
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent, PromptVariant
from domain.stats.moments import Moments
from domain.tables import AllocationRow, ObservationRow
from domain.versions import VersionManager

EXPERIMENT = "exp"
HALVES = {"1.0.0": 0.5, "1.0.1": 0.5}


class Trial:
    """An experiment on two versions, and what is observed in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.metrics = MetricsCollector(database)
        self.manager = ABTestManager(database)
        self.ids: list[str] = []

    async def begin(self) -> None:
        versions = VersionManager(self.database)
        for number in HALVES:
            made = await versions.create_version("greeting", "system", f"Hi {number}", number)
            self.ids.append(made.version_id)
        await self.manager.create_experiment(
            "greeting", "system", [PromptVariant(v, w) for v, w in HALVES.items()],
            experiment_id=EXPERIMENT,
        )  # fmt: skip

    def event(
        self, user: str | None, arm: int = 0, *, after: float = 0, **fields: Any
    ) -> MetricEvent:
        """Return an event that happens some milliseconds after now."""
        at = datetime.now(UTC) + timedelta(milliseconds=after)
        return MetricEvent(self.ids[arm], at, user_id=user, **fields)

    async def record(self, *events: MetricEvent) -> int:
        return await self.metrics.record_events(events)

    async def epoch(self) -> int:
        """Return the current epoch."""
        async with self.database.transaction() as session:
            query = select(AllocationRow.epoch).order_by(col(AllocationRow.epoch).desc())
            return (await session.exec(query)).first() or 0

    async def observed(
        self, metric: str = "success", *, arm: int = 0, epoch: int | None = None
    ) -> Moments:
        wanted = await self.epoch() if epoch is None else epoch
        found = await self.metrics.read_observed(self.ids, experiment_id=EXPERIMENT, epoch=wanted)
        cells = {(key.version_id, key.metric): cell for key, cell in found.items()}
        cell = cells.get((self.ids[arm], metric))
        return cell.moments if cell else Moments()

    async def end_epoch(self, epoch: int, *, ago: timedelta) -> None:
        """Let the epoch have ended some time ago, an hour after it began."""
        ended = datetime.now(UTC) - ago
        times = {"started_at": ended - timedelta(hours=1), "ended_at": ended}
        async with self.database.transaction() as session:
            await session.exec(
                update(AllocationRow).where(col(AllocationRow.epoch) == epoch).values(times)
            )


@pytest_asyncio.fixture
async def trial(database: Database) -> AsyncIterator[Trial]:
    begun = Trial(database)
    await begun.begin()
    yield begun


async def test_a_user_who_retries_fifty_times_is_one_observation_its_first_outcome(
    trial: Trial,
) -> None:
    await trial.record(trial.event("ada", success=False))

    for _ in range(7):
        await trial.record(*(trial.event("ada", success=True) for _ in range(7)))

    assert await trial.observed() == Moments(1, 0.0, 0.0, 0.0, 0.0)
    assert (await trial.metrics.read_cell(trial.ids[0])).n == 50


async def test_a_retried_event_is_observed_once(trial: Trial) -> None:
    batch = [trial.event(f"u{n}", event_id=f"e{n}") for n in range(5)]
    anonymous = trial.event(None, event_id="nobody")

    counted = [await trial.record(*batch, anonymous, anonymous) for _ in range(3)]

    assert counted == [6, 0, 0]
    assert (await trial.observed()).n == 6


async def test_in_a_batch_the_first_to_happen_counts_wherever_it_stands(trial: Trial) -> None:
    events = [
        trial.event("ada", after=3, success=True),
        trial.event("ada", after=1, success=False),
        trial.event("ada", after=2, success=True),
    ]
    same_instant = trial.event("bob").timestamp
    ties = [
        MetricEvent(trial.ids[1], same_instant, success=n == "a", user_id="bob", event_id=n)
        for n in ("b", "a", "c")
    ]

    await trial.record(*ties, *events)

    assert (await trial.observed()).mean == 0.0
    assert await trial.observed(arm=1) == Moments(1, 1.0, 0.0, 1.0, 1.0)


async def test_what_was_observed_stays_when_something_earlier_arrives_later(trial: Trial) -> None:
    await trial.record(trial.event("ada", after=5, success=True))

    await trial.record(trial.event("ada", after=1, success=False))

    assert await trial.observed() == Moments(1, 1.0, 0.0, 1.0, 1.0)


async def test_each_metric_has_a_first_of_its_own(trial: Trial) -> None:
    await trial.record(trial.event("ada", success=False))
    await trial.record(trial.event("ada", response_time=2.0, numbers={"cost": 0.5}))
    await trial.record(trial.event("ada", response_time=9.0, tokens=7, numbers={"cost": 0.1}))

    seen = {m: await trial.observed(m) for m in ("success", "response_time", "tokens", "cost")}

    assert {metric: (found.n, found.mean) for metric, found in seen.items()} == {
        "success": (1, 0.0), "response_time": (1, 2.0), "tokens": (1, 7.0), "cost": (1, 0.5)
    }  # fmt: skip


async def test_the_tail_of_an_observed_metric_can_be_read(trial: Trial) -> None:
    await trial.record(*(trial.event(f"u{n}", response_time=n + 1.0) for n in range(100)))

    found = await trial.metrics.read_observed(
        trial.ids, experiment_id=EXPERIMENT, epoch=await trial.epoch()
    )

    cell = next(cell for key, cell in found.items() if key.metric == "response_time")
    assert cell.quantile(0.95) == pytest.approx(95, rel=0.01)
    assert cell.last_at is not None


async def test_events_without_a_user_count_singly(trial: Trial) -> None:
    await trial.record(*(trial.event(None, success=n > 0) for n in range(4)), trial.event("ada"))

    found = await trial.observed()
    assert found.n == 5
    assert found.total == pytest.approx(4)


async def test_a_new_epoch_observes_its_users_anew(trial: Trial) -> None:
    await trial.record(trial.event("ada", success=False))
    first = await trial.epoch()

    await trial.manager.reallocate(EXPERIMENT, {"1.0.0": 0.2, "1.0.1": 0.8})
    await trial.record(trial.event("ada"), trial.event("ada", success=False, after=1))

    assert await trial.epoch() > first
    assert (await trial.observed(epoch=first)).mean == 0.0
    assert await trial.observed() == Moments(1, 1.0, 0.0, 1.0, 1.0)


async def test_late_events_are_observed_in_their_own_epoch_or_not_at_all(trial: Trial) -> None:
    first = await trial.epoch()
    await trial.manager.reallocate(EXPERIMENT, {"1.0.0": 0.2, "1.0.1": 0.8})
    minute = timedelta(minutes=1)

    await trial.end_epoch(first, ago=minute)
    await trial.record(MetricEvent(trial.ids[0], datetime.now(UTC) - 2 * minute, user_id="late"))
    await trial.end_epoch(first, ago=LATENESS + minute)
    too_late = datetime.now(UTC) - LATENESS - 2 * minute
    await trial.record(MetricEvent(trial.ids[0], too_late, user_id="too late"))

    assert (await trial.observed(epoch=first)).n == 1
    assert (await trial.observed()).n == 0
    assert (await trial.metrics.read_cell(trial.ids[0])).n == 2


async def test_outside_of_experiments_nothing_is_observed(trial: Trial, database: Database) -> None:
    await trial.metrics.record_event("unregistered", user_id="ada")
    await trial.manager.update_experiment_status(EXPERIMENT, "completed")
    await trial.end_epoch(await trial.epoch(), ago=LATENESS + timedelta(minutes=1))
    await trial.record(trial.event("ada"))

    async with database.transaction() as session:
        assert (await session.exec(select(ObservationRow))).all() == []


async def test_concurrent_writers_of_the_same_users_observe_each_exactly_once(trial: Trial) -> None:
    async def send(n: int) -> None:
        users = [f"u{(n * 7 + k) % 60}" for k in range(40)][:: 1 if n % 2 else -1]
        await trial.record(
            *(trial.event(user, arm=int(user[1:]) % 2, response_time=1.0) for user in users)
        )

    await asyncio.gather(*(send(n) for n in range(24)))

    counted = [await trial.observed(m, arm=a) for m in ("success", "response_time") for a in (0, 1)]
    assert [found.n for found in counted] == [30] * 4
    assert counted[2] == Moments(30, 1.0, 0.0, 1.0, 1.0)


async def test_users_who_are_seen_in_both_arms_at_once_are_observed_in_one(trial: Trial) -> None:
    async def send(n: int) -> None:
        users = [f"u{k:04}" for k in range(1_200)][:: 1 if n % 2 else -1]
        await trial.record(*(trial.event(user, arm=n % 2) for user in users))

    await asyncio.gather(*(send(n) for n in range(4)))

    assert (await trial.observed(arm=0)).n + (await trial.observed(arm=1)).n == 1_200


async def test_a_reset_forgets_the_observations_of_its_version_alone(trial: Trial) -> None:
    await trial.record(trial.event("ada", success=False), trial.event("bob", arm=1))

    await trial.metrics.reset_metrics(trial.ids[0])

    assert (await trial.observed()).n == 0
    assert (await trial.observed(arm=1)).n == 1
    await trial.record(trial.event("ada"), trial.event("bob", arm=1, success=False))
    assert await trial.observed() == await trial.observed(arm=1) == Moments(1, 1.0, 0.0, 1.0, 1.0)


async def test_a_reset_among_writers_leaves_as_many_observations_as_users(trial: Trial) -> None:
    async def send(n: int) -> int:
        return await trial.record(*(trial.event(f"u{k}") for k in range(n, n + 40)))

    for _ in range(10):
        await send(0)
        await asyncio.gather(send(0), trial.metrics.reset_metrics(trial.ids[0]), send(20))

        users = {event.user_id for event in await trial.metrics.get_events(trial.ids[0])}
        assert (await trial.observed()).n == len(users)


async def test_an_outer_transaction_that_fails_observes_nobody(trial: Trial) -> None:
    async def fail() -> None:
        async with trial.database.transaction():
            await trial.record(trial.event("ada", success=False))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    await trial.record(trial.event("ada"))
    assert (await trial.observed()).mean == 1.0
