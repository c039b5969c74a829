"""Counting: exactly once, all or nothing, whoever writes at the same time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.database import Database
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent
from domain.stats.moments import Moments

NOON = (datetime.now(UTC) - timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def metrics(database: Database) -> MetricsCollector:
    return MetricsCollector(database)


def at(minutes: float, **fields: Any) -> MetricEvent:
    return MetricEvent("v1", NOON + timedelta(minutes=minutes), **fields)


async def test_what_was_counted_survives_a_restart(database: Database) -> None:
    await MetricsCollector(database).record_event("v1", user_rating=4)
    reborn = Database(database.url.render_as_string(hide_password=False))

    found = await MetricsCollector(reborn).get_metrics("v1")
    await reborn.dispose()

    assert (found.total_uses, found.avg_rating) == (1, 4.0)


async def test_a_retried_event_is_counted_once_and_stays_as_it_was(
    metrics: MetricsCollector,
) -> None:
    first = await metrics.record_event("v1", True, 0.25, metadata={"try": 1}, event_id="e1")

    second = await metrics.record_event("v1", False, 9.0, metadata={"try": 2}, event_id="e1")

    assert second == first
    assert await metrics.get_events("v1") == [first]
    assert (await metrics.get_metrics("v1")).success_rate == 1.0


async def test_a_batch_counts_what_is_new_also_within_itself(metrics: MetricsCollector) -> None:
    await metrics.record_events([at(0, event_id="a"), at(1, event_id="b")])

    new = await metrics.record_events(
        [at(0, event_id="b"), at(2, event_id="c"), at(3, event_id="c"), at(4), at(4)]
    )

    assert new == 3
    assert (await metrics.read_cell("v1")).n == 5
    assert await metrics.record_events([]) == 0


async def test_regrouped_retries_of_concurrent_writers_are_counted_once(
    metrics: MetricsCollector,
) -> None:
    events = [at(n, event_id=f"e{n:03}", response_time=1.0) for n in range(200)]
    batches = [events[n : n + 150][:: 1 if n % 2 else -1] for n in range(0, 40)]

    counted = await asyncio.gather(*(metrics.record_events(batch) for batch in batches))

    assert sum(counted) == (await metrics.read_cell("v1")).n
    assert await metrics.record_events(events) == 200 - sum(counted)
    assert (await metrics.read_cell("v1", metric="response_time")).moments == Moments(
        200, 1.0, 0.0, 1.0, 1.0
    )


async def test_one_event_sent_by_many_at_once_is_counted_once(metrics: MetricsCollector) -> None:
    sent = await asyncio.gather(
        *(metrics.record_event("v1", tokens=n, event_id="e1") for n in range(20))
    )

    assert len({event.tokens for event in sent}) == 1
    assert (await metrics.get_metrics("v1")).total_uses == 1


async def test_concurrent_batches_that_share_cells_neither_deadlock_nor_lose_an_event(
    metrics: MetricsCollector,
) -> None:
    versions = ["v1", "V2", "ü", "v_3", "v-4"]  # collations disagree about their order

    async def send(n: int) -> None:
        mixed = (versions[n % 5 :] + versions[: n % 5])[:: 1 if n % 2 else -1]
        await metrics.record_events(
            [MetricEvent(v, NOON, numbers={f"n{n % 7}": 1.0, "cost": 1.0}) for v in mixed * 3]
        )

    await asyncio.gather(*(send(n) for n in range(40)))

    found = await metrics.compare_variants(versions)
    assert [found[v].total_uses for v in versions] == [120] * 5


async def test_a_reset_among_writers_leaves_cells_that_agree_with_the_events(
    metrics: MetricsCollector,
) -> None:
    async def act(n: int) -> None:
        await metrics.record_events([at(n, tokens=1), at(n, numbers={"cost": 1.0})])
        if n % 4 == 0:
            await metrics.reset_metrics("v1")

    await asyncio.gather(*(act(n) for n in range(20)))

    left = await metrics.get_events("v1")
    assert (await metrics.read_cell("v1")).n == len(left)
    assert (await metrics.read_cell("v1", metric="tokens")).n == len(left) / 2


async def test_a_reset_forgets_everything_and_says_whether_there_was_anything(
    metrics: MetricsCollector,
) -> None:
    await metrics.record_event("v1", user_rating=3, numbers={"cost": 1.0})
    await metrics.record_event("v2")

    assert await metrics.reset_metrics("v1") is True
    assert await metrics.reset_metrics("v1") is False
    assert await metrics.get_events("v1") == []
    assert await metrics.read_cells(["v1"]) == {}
    assert (await metrics.get_metrics("v2")).total_uses == 1


async def test_an_outer_transaction_that_fails_counts_nothing(database: Database) -> None:
    metrics = MetricsCollector(database)

    async def fail() -> None:
        async with database.transaction():
            await metrics.record_event("v1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert (await metrics.get_metrics("v1")).total_uses == 0
    assert await metrics.get_events("v1") == []
