"""Database: transactions that join, tables that appear, servers that are not there."""

import asyncio
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlmodel import select

from domain.database import Database
from domain.errors import InvalidValue, Unavailable
from domain.tables import RoutingRow
from tests.chaos.proxy import Outage, Proxy

THEN = datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1)))


def row(name: str) -> RoutingRow:
    return RoutingRow(name=name, prompt_type="system", epoch=1, changed_at=THEN)


async def names(database: Database) -> set[str]:
    async with database.transaction() as session:
        return {found.name for found in await session.exec(select(RoutingRow))}


async def test_nested_transactions_commit_together(database: Database) -> None:
    async with database.transaction() as outer:
        outer.add(row("a"))
        async with database.transaction() as inner:
            inner.add(row("b"))

            assert inner is outer

    assert await names(database) == {"a", "b"}


async def test_an_error_in_the_outer_transaction_undoes_the_inner_one(database: Database) -> None:
    async def fail_after_writing() -> None:
        async with database.transaction() as outer:
            async with database.transaction() as inner:
                inner.add(row("a"))
            await outer.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()

    assert await names(database) == set()


async def test_concurrent_tasks_have_transactions_of_their_own(database: Database) -> None:
    async def increment() -> None:
        async with database.transaction() as session:
            query = select(RoutingRow).where(RoutingRow.name == "a").with_for_update()
            found = (await session.exec(query)).one()
            found.epoch += 1
            session.add(found)

    async with database.transaction() as session:
        session.add(row("a"))

    await asyncio.gather(*(increment() for _ in range(100)))

    async with database.transaction() as session:
        assert (await session.exec(select(RoutingRow.epoch))).one() == 101


async def test_instants_come_back_aware_and_in_utc(database: Database) -> None:
    async with database.transaction() as session:
        session.add(row("a"))

    async with database.transaction() as session:
        found = (await session.exec(select(RoutingRow))).one()

    assert found.changed_at.isoformat() == "2026-01-02T03:04:05+00:00"


def test_one_database_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/deep/rampart.db")

    async def write(name: str) -> set[str]:
        async with database.transaction() as session:
            session.add(row(name))
        found = await names(database)
        await database.dispose()
        return found

    assert asyncio.run(write("a")) == {"a"}
    assert asyncio.run(write("b")) == {"a", "b"}


async def test_a_server_that_is_not_there_is_named_in_one_line_without_its_password() -> None:
    database = Database("postgresql://rampart:secret@127.0.0.1:1/rampart")

    with pytest.raises(Unavailable) as refusal:
        await names(database)

    assert "\n" not in str(refusal.value)
    assert "127.0.0.1:1" in str(refusal.value)
    assert "secret" not in str(refusal.value)


async def test_a_path_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    database = Database(f"sqlite:///{tmp_path}/file/rampart.db")

    with pytest.raises(Unavailable, match="is unavailable"):
        await names(database)


@pytest.mark.parametrize("url", ["mysql://host/db", "nonsense", ""])
def test_an_unsupported_url_says_what_is_supported(url: str) -> None:
    with pytest.raises(InvalidValue, match="sqlite:///path or postgresql://"):
        Database(url)


async def test_whoever_vanishes_in_mid_transaction_gives_its_locks_back(postgres: str) -> None:
    database = Database(postgres)

    for read in (database.transaction, database.reading):
        async with read() as session:
            said = await session.exec(text("SHOW idle_in_transaction_session_timeout"))  # type: ignore[call-overload]
            assert said.scalar_one() == "15s"
    await database.dispose()


async def test_a_database_that_does_not_answer_is_unavailable_and_left_alone(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("domain.database.ANSWER_S", 0.5)
    async with Proxy(f"{make_url(postgres).query['host']}/.s.PGSQL.5432") as network:
        database = Database(f"postgresql://postgres@127.0.0.1:{network.port}/postgres")
        await database.probe()

        await network.fail(Outage.BLACK_HOLE)
        with pytest.raises(Unavailable, match="no answer in"):
            await database.probe()
        await network.heal()

        await database.probe()
        await database.dispose()
