"""Many rows at a time, by the column: one statement each, on either database.

SQLAlchemy would bind row by row; this is five to ten times as fast. A writer on SQLite is alone, so
there what is held need only be read. How columns travel to PostgreSQL: `domain.arrays`.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiosqlite
import msgspec
from sqlalchemy import Table
from sqlalchemy.exc import OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import arrays
from domain.tables import UtcDateTime

Row = Sequence[Any]  # the values of a table's columns, in their order; JSON as text
UNSAID = {None: "NULL", "{}": "'{}'"}


async def insert_new(
    session: AsyncSession, table: Table, columns: Sequence[Sequence[Any]], *, key: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Keep the rows whose key is not taken, in the order given, and return their keys.

    Args:
        session: Of a transaction.
        table: Its first columns are its key.
        columns: What the rows have in each column of the table; no key twice.
        key: The names of the table's key.
    """
    keys = list(zip(*columns[: len(key)], strict=True))
    if not keys:
        return []
    if is_postgresql(session):
        statement, arguments = arrays.insert_new(table, columns, key=key)
        found = await _on_postgresql(session, statement, arguments)
        new = [tuple(row[1:]) for row in found if row[1] is not None]
        return keys if not new and found[0][0] else new
    if table.dialect_options["sqlite"]["with_rowid"]:
        return await _insert_numbered(session, table, columns, keys=keys)
    rows = list(zip(*_for_sqlite(table, columns), strict=True))
    taken = {tuple(row) for row in await _select(session, table, keys, key, key)}
    if taken:
        rows = [row for row, its in zip(rows, keys, strict=True) if its not in taken]
        keys = [its for its in keys if its not in taken]
    if rows:
        await _write_on_sqlite(session, f"INSERT {_values(table)}", rows)
    return keys


async def put(session: AsyncSession, table: Table, rows: Sequence[Row]) -> None:
    """Write the rows, in the order given, over those of the same keys."""
    columns = list(zip(*rows, strict=True))
    if is_postgresql(session):
        await _on_postgresql(session, *arrays.upsert(table, columns))
        return
    encoded = list(zip(*_for_sqlite(table, columns), strict=True))
    await _write_on_sqlite(session, f"INSERT OR REPLACE {_values(table)}", encoded)


async def hold(
    session: AsyncSession, table: Table, keys: Sequence[Row], *, empty: Row
) -> list[list[Any]]:
    """Return the rows of the keys, and keep all other writers from them until the end.

    On PostgreSQL one statement makes what is missing, locks and reads, in the order given: callers
    that keep to one order do not deadlock.

    Args:
        session: Of a transaction.
        table: Its first columns are its key.
        keys: No key twice.
        empty: What a row that has to be made has in the other columns.
    """
    if is_postgresql(session):
        columns = list(zip(*[(*its, *empty) for its in keys], strict=True))
        made = arrays.touch(table, columns, keys=len(columns) - len(empty))
        return [list(row) for row in await _on_postgresql(session, *made)]
    names = [column.name for column in table.columns]
    key = names[: len(names) - len(empty)]
    instants = [i for i, c in enumerate(table.columns) if isinstance(c.type, UtcDateTime)]
    rows = [list(row) for row in await _select(session, table, keys, key, names)]
    for row in rows:
        for i in instants:
            row[i] = row[i] and datetime.fromisoformat(row[i]).replace(tzinfo=UTC)
    return rows


def is_postgresql(session: AsyncSession) -> bool:
    """Return whether the session is of PostgreSQL; else it is of SQLite."""
    return session.get_bind().dialect.name == "postgresql"


async def _on_postgresql(
    session: AsyncSession, statement: str, arguments: Sequence[Any]
) -> Sequence[Any]:
    connection = await session.connection()
    found = await connection.exec_driver_sql(statement, tuple(arguments))
    return found.all() if found.returns_rows else ()


async def _insert_numbered(
    session: AsyncSession,
    table: Table,
    columns: Sequence[Sequence[Any]],
    *,
    keys: list[tuple[Any, ...]],
) -> list[tuple[Any, ...]]:
    """Keep what is new in a table whose rows SQLite numbers: the new ones are those after the last.

    So nothing need be looked for beforehand, which costs as much as the insert. What nobody said is
    written into the statement: to bind it row by row would cost a third of the insert.
    """
    unsaid = tuple(_unsaid(values) for values in columns)
    said = [
        values for values, text in zip(_for_sqlite(table, columns), unsaid, strict=True) if not text
    ]
    rows = list(zip(*said, strict=True))
    names = ", ".join(column.name for column in table.primary_key)
    ask_last = f"SELECT coalesce(max(rowid), 0) FROM {table.name}"  # noqa: S608
    ask_new = f"SELECT {names} FROM {table.name} WHERE rowid > ?"  # noqa: S608
    insert = f"INSERT {_values(table, unsaid)} ON CONFLICT DO NOTHING"
    async with _sqlite(session, insert) as connection:
        ((last,),) = await connection.execute_fetchall(ask_last)
        kept = await connection.executemany(insert, rows)
        if kept.rowcount == len(rows):
            return keys
        return [tuple(row) for row in await connection.execute_fetchall(ask_new, (last,))]


async def _select(
    session: AsyncSession,
    table: Table,
    keys: Iterable[Row],
    key: Sequence[str],
    wanted: Sequence[str],
) -> Iterable[Any]:
    """Return columns of those rows that are there; on SQLite."""
    asked = msgspec.json.encode([its[0] if len(key) == 1 else its for its in keys]).decode()
    statement = _selection(table, tuple(key), tuple(wanted))
    async with _sqlite(session, statement) as connection:
        found: Iterable[Any] = await connection.execute_fetchall(statement, (asked,))
    return found


async def _write_on_sqlite(session: AsyncSession, statement: str, rows: Sequence[Row]) -> None:
    async with _sqlite(session, statement) as connection:
        await connection.executemany(statement, rows)


@asynccontextmanager
async def _sqlite(session: AsyncSession, statement: str) -> AsyncIterator[aiosqlite.Connection]:
    """Give the driver's connection: SQLAlchemy would change threads four times a statement."""
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    try:
        yield driver
    except sqlite3.OperationalError as error:  # as SQLAlchemy tells it
        raise OperationalError(statement, None, error) from error


@lru_cache
def _selection(table: Table, key: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    names = ", ".join(f"{table.name}.{name}" for name in wanted)
    if len(key) == 1:
        same = f"{table.name}.{key[0]} = asked.value"
    else:
        same = " AND ".join(
            f"{table.name}.{name} = json_extract(asked.value, '$[{i}]')"
            for i, name in enumerate(key)
        )
    return f"SELECT {names} FROM json_each(?) AS asked CROSS JOIN {table.name} ON {same}"  # noqa: S608  # our own names


@lru_cache
def _values(table: Table, unsaid: tuple[str, ...] = ()) -> str:
    names = ", ".join(column.name for column in table.columns)
    marks = ", ".join(text or "?" for text in unsaid or [""] * len(table.columns))
    return f"INTO {table.name} ({names}) VALUES ({marks})"


def _unsaid(values: Sequence[Any]) -> str:
    """Return SQL for a column that is empty in every row; empty if it is not."""
    text = UNSAID.get(values[0]) if isinstance(values[0], str | None) else None
    return text if text and values.count(values[0]) == len(values) else ""


def _for_sqlite(table: Table, columns: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
    return [
        _instants(values) if isinstance(column.type, UtcDateTime) else values
        for column, values in zip(table.columns, columns, strict=True)
    ]


def _instants(values: Sequence[datetime | None]) -> list[str | None]:
    """Write instants as SQLAlchemy does; many of them by numpy, in a third of the time."""
    known = [at for at in values if at is not None]
    if len(known) < len(values) or len(known) < arrays.LONG:
        return [None if at is None else _instant(at) for at in values]
    import numpy as np

    micros = np.rint(np.array([at.timestamp() for at in known]) * 1e6).astype("datetime64[us]")
    written = np.datetime_as_string(micros).tolist()
    return [*"\n".join(written).replace("T", " ").split("\n")]


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(" ", "microseconds")[:26]
