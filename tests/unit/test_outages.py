"""A full disk, a server that goes away: told in one line, and nothing half-written."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from domain import MetricEvent, MetricsCollector
from domain.database import Database
from domain.errors import Unavailable

ROOM = 12  # pages of 4 KiB that are left


async def fill(database: Database) -> str:
    """Record events until the disk is full; return what is told."""
    collector = MetricsCollector(database)
    await collector.record_event("v-1")
    async with database.transaction() as session:
        pages = (await session.exec(text("PRAGMA page_count"))).scalar_one()  # type: ignore[call-overload]
        await session.exec(text(f"PRAGMA max_page_count = {pages + ROOM}"))  # type: ignore[call-overload]
    long = {"note": "x" * 500}
    for _ in range(100):
        try:
            await collector.record_events([MetricEvent("v-1", datetime.now(UTC), metadata=long)])
        except Unavailable as told:
            return str(told)
    raise AssertionError("the disk was never full")


async def test_a_full_disk_is_told_in_one_line_and_counts_nothing_half(own_file: Database) -> None:
    told = await fill(own_file)

    assert "is unavailable: database or disk is full" in told
    assert "\n" not in told
    metrics = await MetricsCollector(own_file).get_metrics("v-1")
    events = await MetricsCollector(own_file).get_events("v-1")
    assert metrics.total_events == len(events) > 1


async def test_a_server_that_goes_away_is_told_and_found_again(postgres: str) -> None:
    database = Database(postgres)
    collector = MetricsCollector(database)
    await collector.record_event("v-gone")
    end_all = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    other = Database(postgres)

    async def lose_the_server() -> None:
        async with database.transaction() as session:
            async with other.transaction() as killer:
                await killer.exec(end_all)  # type: ignore[call-overload]
            await session.exec(text("SELECT 1"))  # type: ignore[call-overload]

    for _ in range(5):  # the driver notices in more than one way
        with pytest.raises(Unavailable, match="is unavailable"):
            await lose_the_server()

    assert (await collector.record_event("v-gone")).version_id == "v-gone"
    await collector.reset_metrics("v-gone")
    await other.dispose()
    await database.dispose()
