"""Killed under load, each in turn: what was acknowledged is stored, and counted once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlmodel import col, select

from dev import Stack
from domain import MetricsCollector, broker
from domain.database import Database
from domain.intake.direct import DirectIntake
from domain.intake.stream import Stream
from domain.intake.streaming import StreamIntake
from domain.tables import EventRow
from embedded.ports import free_port
from tests.chaos.feeder import Feeder
from tests.chaos.victims import Drains, GatewayProcess, PostgresServer
from tests.redis_server import RedisServer
from tests.torrent import VERSION

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

KILLS = 3
SOME = 2_000  # events between two kills
AWAY_S = 0.7
DOCUMENTED_S = 2.0  # how late `everysec` may be: redis.io/docs, "persistence", and its source
DEADLINE_S = 90


@pytest.fixture
def postgres_server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / "postgres")
    yield server
    server.end()


@pytest_asyncio.fixture
async def database(postgres_server: PostgresServer) -> AsyncIterator[Database]:
    fresh = Database(postgres_server.url)
    await fresh.probe()
    yield fresh
    await fresh.dispose()


@pytest.fixture(params=["always", "everysec"])
def redis_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path / "redis", fsync=request.param)
    server.start()
    yield server
    server.kill()


async def stored(database: Database) -> set[str]:
    async with database.reading() as session:
        return set(await session.exec(select(col(EventRow.id))))


async def counted(database: Database) -> int:
    return (await MetricsCollector(database).get_metrics(VERSION)).total_events


async def empty(client: Redis) -> None:
    """Wait until everything in the stream is counted."""
    async with asyncio.timeout(DEADLINE_S):
        while (backlog := await Stream(client).backlog()).entries:
            await asyncio.sleep(0.05)
    assert backlog.aside == 0


def intake(client: Redis, database: Database) -> StreamIntake:
    return StreamIntake(client, DirectIntake(MetricsCollector(database)))


async def test_a_killed_redis(
    redis_server: RedisServer, postgres_server: PostgresServer, database: Database
) -> None:
    drains = Drains(2, database_url=postgres_server.url, redis_url=redis_server.url)
    kills = []
    async with broker.connect(redis_server.url) as client:
        async with Feeder(intake(client, database).accept) as feeder:
            for _ in range(KILLS):
                await feeder.more(SOME)
                redis_server.kill()
                kills.append(monotonic())
                await asyncio.sleep(AWAY_S)
                await asyncio.to_thread(redis_server.start)
            await feeder.more(SOME)
        await empty(client)
    codes = drains.end()

    found = await stored(database)
    lost = feeder.acknowledged.keys() - found
    late = [feeder.acknowledged[event_id] for event_id in lost]
    assert found <= feeder.acknowledged.keys()
    assert all(any(0 <= kill - at <= DOCUMENTED_S for kill in kills) for at in late)
    assert await counted(database) == len(found) > KILLS * SOME
    assert feeder.failures == 0  # the database took over
    assert codes == [0, 0]


async def test_killed_drains(
    redis_server: RedisServer, postgres_server: PostgresServer, database: Database
) -> None:
    drains = Drains(2, database_url=postgres_server.url, redis_url=redis_server.url)
    async with broker.connect(redis_server.url, timeout=10) as client:
        async with Feeder(intake(client, database).accept) as feeder:
            for _ in range(KILLS * 2):
                await feeder.more(SOME)
                drains.kill_one()
        await empty(client)
    codes = drains.end()

    assert await stored(database) == feeder.acknowledged.keys()
    assert await counted(database) == len(feeder.acknowledged)
    assert codes == [0, 0]


@pytest.mark.parametrize("way", ["redis", "direct"])
async def test_a_killed_postgresql(
    way: str, tmp_path: Path, postgres_server: PostgresServer, database: Database
) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    drains = Drains(2, database_url=postgres_server.url, redis_url=redis.url)
    async with broker.connect(redis.url, timeout=10) as client:
        straight = DirectIntake(MetricsCollector(database))
        accept = straight.accept if way == "direct" else intake(client, database).accept
        async with Feeder(accept) as feeder:
            for _ in range(KILLS):
                await feeder.more(SOME)
                await postgres_server.kill()
                await asyncio.sleep(AWAY_S)
                await postgres_server.start()
            await feeder.more(SOME)
        await empty(client)
    codes = drains.end()
    redis.kill()

    assert await stored(database) == feeder.acknowledged.keys()
    assert await counted(database) == len(feeder.acknowledged)
    assert (feeder.failures > 0) is (way == "direct")
    assert codes == [0, 0]


@pytest.mark.parametrize("way", ["redis", "direct"])
async def test_a_killed_gateway(
    way: str, tmp_path: Path, postgres_server: PostgresServer, database: Database
) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    drains = Drains(1, database_url=postgres_server.url, redis_url=redis.url)
    gateway = GatewayProcess(
        tmp_path,
        database_url=postgres_server.url,
        redis_url=redis.url if way == "redis" else "",
    )
    await gateway.start()
    async with broker.connect(redis.url, timeout=10) as client, gateway:
        async with Feeder(gateway.accept) as feeder:
            for _ in range(KILLS):
                await feeder.more(SOME)
                gateway.kill()
                await gateway.start()
            await feeder.more(SOME)
        await empty(client)
    codes = drains.end()
    redis.kill()

    assert await stored(database) == feeder.acknowledged.keys()
    assert await counted(database) == len(feeder.acknowledged)
    assert feeder.failures > 0
    assert codes == [0]


async def test_a_killed_worker(
    tmp_path: Path,
    postgres_server: PostgresServer,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis = RedisServer(tmp_path / "redis")
    redis.start()
    monkeypatch.setenv("RAMPART_REDIS_URL", redis.url)
    url = postgres_server.url
    async with (
        broker.connect(redis.url, timeout=10) as client,
        Stack(tmp_path / "stack", port=free_port(), database_url=url) as stack,
    ):
        async with Feeder(intake(client, database).accept) as feeder:
            for _ in range(KILLS):
                await feeder.more(SOME)
                os.kill(killed := stack.worker_pid, signal.SIGKILL)
                async with asyncio.timeout(DEADLINE_S):
                    while stack.worker_pid == killed:
                        await asyncio.sleep(0.05)
            await feeder.more(SOME)
        await empty(client)
    redis.kill()

    assert await stored(database) == feeder.acknowledged.keys()
    assert await counted(database) == len(feeder.acknowledged)
    assert feeder.failures == 0
