"""What the provider tells of itself: changes, outages, and the beginning."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.event import EventDetails, ProviderEvent
from openfeature.exception import ErrorCode, GeneralError
from openfeature.provider import ProviderStatus
from sqlalchemy.engine import make_url

from domain.database import Database
from serving import Serving
from serving.provider import RampartProvider
from tests.house import USERS, House
from tests.serving.clients import DEFAULT, ask, client_of
from tests.serving.stage import EXPERIMENT, FLAG, SOON, split_house, until

Act = Callable[[], Awaitable[None]]


async def test_a_ramp_reaches_the_provider_and_is_announced(database: Database) -> None:
    house = await split_house(database)
    client = client_of(database)
    changes = list[EventDetails]()
    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, changes.append)

    await house.experiments.reallocate(EXPERIMENT, {"1.0.0": 0.0, "1.1.0": 1.0})
    await until(lambda: all(ask(client, user).variant == "1.1.0" for user in USERS[:50]))
    await until(lambda: bool(changes))

    assert [change.flags_changed for change in changes] == [[FLAG]]


async def test_a_version_of_after_the_start_comes_with_its_template(database: Database) -> None:
    house = House(database)
    await house.furnish()
    client = client_of(database)

    await house.version("2.0.0")
    await house.put_in_production("2.0.0")
    seen = set[tuple[str, str | None]]()
    await until(lambda: seen.add(served(client)) or ("Hello 2.0.0", "2.0.0") in seen)  # type: ignore[func-returns-value]

    assert seen <= {("Hello 1.0.0", "1.0.0"), ("Hello 2.0.0", "2.0.0")}


def served(client: OpenFeatureClient) -> tuple[str, str | None]:
    found = ask(client, "ada")
    return found.value, found.variant


async def test_in_an_outage_the_provider_is_stale_and_serves_as_before(postgres: str) -> None:
    async with closable(postgres) as (url, close, reopen):
        database = Database(url)
        await split_house(database)
        await database.dispose()
        client = client_of(Database(url))
        before = {user: ask(client, user) for user in USERS[:50]}
        told = list[str]()
        client.add_handler(ProviderEvent.PROVIDER_STALE, lambda _: told.append("stale"))
        assert client.get_provider_status() is ProviderStatus.READY

        await close()
        await until(lambda: client.get_provider_status() is ProviderStatus.STALE)
        during = {user: ask(client, user) for user in USERS[:50]}
        await reopen()
        await until(lambda: client.get_provider_status() is ProviderStatus.READY)
        await until(lambda: bool(told))

        assert {user: found.value for user, found in during.items()} == {
            user: found.value for user, found in before.items()
        }
        assert {found.reason for found in during.values()} == {"STALE"}
        assert {user: ask(client, user) for user in USERS[:50]} == before
        api.shutdown()


@asynccontextmanager
async def closable(server: str) -> AsyncIterator[tuple[str, Act, Act]]:
    """Make a database; give its URL, what closes it before all who use it, and what reopens it."""
    name = f"closable_{uuid4().hex}"
    connection = await asyncpg.connect(make_url(server).render_as_string(hide_password=False))
    users = f"FROM pg_stat_activity WHERE datname = '{name}'"

    async def close() -> None:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await connection.execute(f"SELECT pg_terminate_backend(pid) {users}")

    async def reopen() -> None:
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    await connection.execute(f"CREATE DATABASE {name}")
    try:
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
        yield url, close, reopen
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


async def test_without_a_database_the_provider_says_so_and_is_ready_when_there_is_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rampart.db"
    file.mkdir()
    database = Database(f"sqlite:///{file}")

    with pytest.raises(GeneralError) as raised:
        client_of(database)
    client = api.get_client()
    before = ask(client, "ada")
    file.rmdir()
    await House(database).furnish()
    await until(lambda: ask(client, "ada").value == "Hello 1.0.0")

    assert str(raised.value.error_message).endswith("unable to open database file; still trying")
    assert (before.value, before.error_code) == (DEFAULT, ErrorCode.PROVIDER_NOT_READY)
    assert client.get_provider_status() is ProviderStatus.READY
    await database.dispose()


async def test_starting_does_not_block_the_loop_that_asks_for_it(sqlite: Database) -> None:
    await House(sqlite).furnish()

    api.set_provider(RampartProvider(Serving(sqlite, poll=SOON)))
    client = api.get_client()
    await until(lambda: client.get_provider_status() is ProviderStatus.READY)

    assert ask(client, "ada").value == "Hello 1.0.0"
    await asyncio.to_thread(api.shutdown)
