"""Statements on SQLite: one errand of its thread each, and all that sqlite3 says of them."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.database import Database
from domain.errands import Connection


async def counted(connection: AsyncConnection, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return what fills with the errands of the connection."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    execute, errands = driver._execute, list[object]()
    assert isinstance(driver, Connection)

    async def noted(*given: Any) -> object:
        errands.append(given)
        return await execute(*given)

    monkeypatch.setattr(driver, "_execute", noted)
    return errands


async def test_a_statement_is_run_read_and_closed_in_one_errand(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sqlite.administered() as connection:
        errands = await counted(connection, monkeypatch)

        found = (await connection.execute(text("SELECT 1 AS n UNION SELECT 2"))).all()

        assert found == [(1,), (2,)]
        assert len(errands) == 1


async def test_what_was_changed_is_counted_and_what_was_refused_is_raised(sqlite: Database) -> None:
    async with sqlite.administered() as connection:
        await connection.execute(text("CREATE TABLE thing (id INTEGER PRIMARY KEY)"))
        many = [{"id": number} for number in (1, 2, 3)]

        await connection.execute(text("INSERT INTO thing VALUES (:id)"), many)
        deleted = await connection.execute(text("DELETE FROM thing WHERE id > 1"))
        with pytest.raises(IntegrityError, match="UNIQUE constraint failed"):
            await connection.execute(text("INSERT INTO thing VALUES (1)"))

        assert deleted.rowcount == 2
        assert (await connection.execute(text("SELECT id FROM thing"))).all() == [(1,)]
