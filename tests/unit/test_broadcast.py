"""Telling serving processes what has changed: at once, in order, and whatever goes away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from domain import broker
from domain.broadcast.board import Board
from domain.broadcast.postgres import PostgresUpdates
from domain.broadcast.publisher import Publisher
from domain.broadcast.redis import RedisUpdates
from domain.broadcast.source import updates_of
from domain.database import Database
from domain.errors import InvalidValue
from domain.routing import Reason, Router, RoutingManager, claim_epoch
from domain.snapshot import RoutingSnapshot, Served
from domain.versions import VersionManager
from tests.redis_server import RedisServer
from tests.torrent import DEADLINE, until

PROMPT = ("greeting", "system")
NEVER, OFTEN = timedelta(hours=1), timedelta(milliseconds=20)
ALL = frozenset({PROMPT})


def snapshot(epoch: int, *, version: str = "1.0.0", name: str = "greeting") -> RoutingSnapshot:
    default = Served(version_id=None, version=version)
    return RoutingSnapshot(name=name, prompt_type="system", epoch=epoch, default=default)


async def decide(database: Database) -> None:
    """Let the prompt serve its first version, at epoch 1."""
    versions = VersionManager(database)
    await versions.create_version(*PROMPT, "Hello", tags=["production"])
    await versions.create_version(*PROMPT, "Hi")


async def change(database: Database, version: str) -> None:
    versions = VersionManager(database)
    found = await versions.get_version(*PROMPT, version=version)
    assert found is not None
    await versions.tag_version(found.version_id, "production")


async def change_nothing(database: Database) -> None:
    """Claim an epoch, of a prompt that serves nothing."""
    async with database.transaction() as session:
        await claim_epoch(session, "farewell", "system")


def served(router: Router) -> str | None:
    return router.assign(*PROMPT, "ada").version


class Hearing(Router):
    """A router that counts how often it has asked the database."""

    asked = 0

    async def refresh(self) -> None:
        await super().refresh()
        self.asked += 1


@asynccontextmanager
async def published(
    url: str, database: Database, *, patience: float = 5
) -> AsyncIterator[tuple[Redis, Publisher]]:
    async with (
        broker.connect(url, timeout=patience) as client,
        Publisher(client, database, every=NEVER) as publisher,
    ):
        yield client, publisher


async def subscribed(client: Redis, *, by: int) -> None:
    """Wait until so many follow the board."""
    async with asyncio.timeout(DEADLINE):
        while (await client.pubsub_numsub(Board(client).channel))[0][1] < by:
            await asyncio.sleep(0.005)


async def test_a_change_reaches_a_router_that_never_asks(
    database: Database, redis_url: str
) -> None:
    await decide(database)
    updates = RedisUpdates(redis_url)
    async with (
        published(redis_url, database) as (client, _),
        Hearing(database, poll=NEVER, updates=updates) as router,
    ):
        assert served(router) == "1.0.0"
        await subscribed(client, by=1)

        await change(database, "1.0.1")
        await until(lambda: served(router) == "1.0.1")

    assert router.asked == 1


async def test_an_older_epoch_never_takes_the_place_of_a_newer_one(redis_url: str) -> None:
    async with broker.connect(redis_url) as client:
        board = Board(client)

        hung = [await board.hang([snapshot(epoch)]) for epoch in (5, 4, 5, 7)]
        racing = [board.hang([snapshot(n, version=f"1.0.{n}")]) for n in (9, 30, 8, 29, 28)]
        await asyncio.gather(*racing)

        assert hung == [1, 0, 0, 1]
        assert await board.epochs() == {PROMPT: 30}
        assert await board.snapshots() == [snapshot(30, version="1.0.30")]


async def test_what_is_called_out_in_a_wrong_order_is_served_in_the_right_one(
    sqlite: Database, redis_url: str
) -> None:
    heard: list[int] = []
    async with broker.connect(redis_url) as client:
        board = Board(client)
        router = Router(sqlite, poll=NEVER, updates=RedisUpdates(redis_url))
        router.listen(lambda snapshot: heard.append(snapshot.epoch))
        async with router:
            await subscribed(client, by=1)
            for epoch in (3, 2, 5, 4):
                await client.publish(board.channel, snapshot(epoch).model_dump_json())
            await client.publish(board.channel, "no snapshot")
            await board.hang([snapshot(6)])
            await until(lambda: 6 in heard)

    assert heard == [3, 5, 6]


async def test_postgresql_tells_without_redis(database: Database) -> None:
    await decide(database)
    updates = updates_of(database)
    if database.url.get_backend_name() == "sqlite":
        assert updates is None
        return
    async with Hearing(database, poll=NEVER, updates=updates) as router:
        await until(lambda: router.asked >= 2)  # once it listens, it asks again
        assert served(router) == "1.0.0"

        await change(database, "1.0.1")
        await until(lambda: served(router) == "1.0.1")


async def test_a_change_that_is_rolled_back_is_told_to_nobody(
    database: Database, redis_url: str
) -> None:
    await decide(database)
    async with published(redis_url, database) as (client, publisher):
        await publisher.reconcile()
        board = Board(client)

        with suppress(InvalidValue):
            async with database.transaction() as session:
                await claim_epoch(session, *PROMPT)
                raise InvalidValue("changed my mind")

        assert await board.epochs() == await RoutingManager(database).epochs()


async def test_a_router_listens_again_when_postgresql_hung_up(postgres: str) -> None:
    database = Database(postgres)
    ours = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    listening = f"{ours} AND query LIKE 'LISTEN%' AND datname = current_database()"

    async def listeners() -> list[int]:
        async with database.reading() as session:
            found = await (await session.connection()).execute(text(listening))
            return [row[0] for row in found]

    async with Hearing(database, poll=NEVER, updates=PostgresUpdates(database)) as router:
        await until(lambda: router.asked >= 2)
        [first] = await listeners()
        async with database.transaction() as session:
            end = text("SELECT pg_terminate_backend(:pid)")
            await (await session.connection()).execute(end, {"pid": first})
        async with asyncio.timeout(DEADLINE):
            while await listeners() in ([], [first]):
                await asyncio.sleep(0.01)
        asked = router.asked
        await change_nothing(database)
        await until(lambda: router.asked > asked)

    await database.dispose()


async def test_without_the_database_a_router_starts_from_redis(
    tmp_path: Path, redis_url: str
) -> None:
    (tmp_path / "rampart.db").mkdir()
    away = Database(f"sqlite:///{tmp_path}/rampart.db")
    async with broker.connect(redis_url) as client:
        await Board(client).hang([snapshot(7)])

        async with Router(away, updates=RedisUpdates(redis_url)) as router:
            found = router.assign(*PROMPT, "ada")
            await subscribed(client, by=1)
            await Board(client).hang([snapshot(8, version="1.0.8")])
            await until(lambda: served(router) == "1.0.8")

    assert (found.version, found.epoch) == ("1.0.0", 7)


async def test_without_redis_a_router_starts_from_the_database_and_polls(
    sqlite: Database, tmp_path: Path
) -> None:
    await decide(sqlite)
    nobody = RedisServer(tmp_path / "redis").url

    async with Router(sqlite, poll=OFTEN, updates=RedisUpdates(nobody)) as router:
        assert served(router) == "1.0.0"
        await change(sqlite, "1.0.1")
        await until(lambda: served(router) == "1.0.1")


async def test_a_commit_is_not_failed_or_held_up_by_a_redis_that_is_away(
    sqlite: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = RedisServer(tmp_path / "redis").url
    async with published(nobody, sqlite):
        await decide(sqlite)

    found = await RoutingManager(sqlite).snapshot(*PROMPT)
    assert found is not None
    assert "publisher.untold" in [record.message for record in caplog.records]


async def test_a_redis_that_does_not_answer_holds_a_commit_up_for_a_moment_only(
    sqlite: Database,
) -> None:
    over = asyncio.Event()

    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with published(f"redis://127.0.0.1:{port}", sqlite, patience=0.2) as (_, publisher):
        began = monotonic()
        await publisher.announce(ALL)  # knows nothing of the prompt yet, and asks no one
        await decide(sqlite)
        held_up = monotonic() - began

    over.set()
    server.close()
    assert held_up < DEADLINE
    assert await RoutingManager(sqlite).epochs() == {PROMPT: 1}


async def test_a_wiped_board_is_healed_by_a_publisher(database: Database, redis_url: str) -> None:
    await decide(database)
    async with broker.connect(redis_url) as client:
        publisher = Publisher(client, database)

        healed = [await publisher.reconcile() for _ in range(2)]
        await client.flushall()
        healed += [await publisher.reconcile() for _ in range(2)]

        assert healed == [1, 0, 1, 0]
        assert await Board(client).epochs() == {PROMPT: 1}


async def test_a_board_that_is_ahead_of_a_restored_database_is_put_back(
    database: Database, redis_url: str
) -> None:
    await decide(database)
    async with broker.connect(redis_url) as client:
        publisher = Publisher(client, database)
        await Board(client).hang([snapshot(40, version="9.9.9"), snapshot(3, name="unknown")])
        async with Router(database, poll=OFTEN, updates=RedisUpdates(redis_url)) as router:
            await until(lambda: served(router) == "1.0.0")

        assert await publisher.reconcile() == 1
        hung = await Board(client).epochs()

    assert hung == {PROMPT: 1, ("unknown", "system"): 3}


async def test_a_redis_that_was_killed_and_comes_back_empty_is_followed_again(
    sqlite: Database, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path / "redis", durable=False)
    server.start()
    await decide(sqlite)
    updates = RedisUpdates(server.url)
    async with (
        broker.connect(server.url) as client,
        Publisher(client, sqlite, every=OFTEN),
        Hearing(sqlite, poll=NEVER, updates=updates) as router,
    ):
        await subscribed(client, by=1)
        server.wipe()
        await change(sqlite, "1.0.1")
        server.start()
        await until(lambda: served(router) == "1.0.1")
        await subscribed(client, by=1)
        asked = router.asked
        await change(sqlite, "1.0.0")
        await until(lambda: served(router) == "1.0.0")
        asked_since = router.asked - asked

    server.kill()
    assert asked_since == 0


async def test_entering_and_leaving_at_any_moment_leaves_nothing_behind(
    database: Database, redis_url: str
) -> None:
    await decide(database)
    tasks = asyncio.all_tasks()

    for pause in range(8):
        async with asyncio.timeout(DEADLINE):
            for updates in (updates_of(database, redis_url=redis_url), updates_of(database)):
                async with Router(database, poll=timedelta(0), updates=updates) as router:
                    await asyncio.sleep(pause / 1000)
                    assert router.assign(*PROMPT, "ada").reason is Reason.DEFAULT

    assert asyncio.all_tasks() == tasks
