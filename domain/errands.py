"""SQLite in a thread of its own, which runs, reads and closes a statement in one errand.

aiosqlite's own cursor goes there four times for each statement, and the way costs more than most
of what is done there.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

Row = tuple[Any, ...]


def connect(database: str, **given: Any) -> "Connection":
    """Return a connection that is opened once it is awaited, as `aiosqlite.connect` does."""
    opened = Connection(partial(sqlite3.connect, database, **given), iter_chunk_size=64)
    opened._thread.daemon = True  # as SQLAlchemy asks of those that it makes
    return opened


class Cursor:
    """What SQLAlchemy asks of a cursor; between statements there is nothing to close."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run
        self._rows: list[Row] = []
        self.description: Sequence[Row] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Iterable[Any] = ()) -> Self:
        """Run a statement, and keep all that it returns."""
        await self._run(self._errand, sqlite3.Cursor.execute, statement, parameters)
        return self

    async def executemany(self, statement: str, parameters: Iterable[Iterable[Any]]) -> Self:
        """Run a statement for each of the parameters."""
        await self._run(self._errand, sqlite3.Cursor.executemany, statement, parameters)
        return self

    async def fetchall(self) -> list[Row]:
        """Hand out what the last statement returned, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: the errand has closed what it opened."""

    def _errand(
        self, connection: "Connection", call: Callable[..., object], *given: object
    ) -> None:
        cursor = connection._conn.cursor()
        try:
            call(cursor, *given)
            self._rows = cursor.fetchall() if cursor.description else []
            self.description, self.rowcount = cursor.description, cursor.rowcount
            self.lastrowid = cursor.lastrowid
        finally:
            cursor.close()


class Connection(aiosqlite.Connection):
    """aiosqlite's, but for its cursors."""

    def cursor(self) -> Cursor:  # type: ignore[override]
        """Return a cursor for one statement after the other."""
        return Cursor(self._on_errand)

    async def _on_errand(self, errand: Callable[..., None], *given: object) -> None:
        await self._execute(errand, self, *given)  # type: ignore[no-untyped-call]
