"""What each kind of database is told, so that it keeps what we promise."""

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import InvalidValue

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
BUSY_TIMEOUT_MS = 20_000  # how long a writer waits for SQLite's lock before it is `Unavailable`
# Of PostgreSQL. Less than an attempt of an activity has, so that it tells what it waited for; and
# whoever vanishes in mid-transaction, behind a network that tells nobody, gives its locks back.
ANSWER_S = 8.0
VANISHED_MS = 15_000


def async_url(url: str) -> URL:
    """Read the URL, and name our driver in it.

    Raises:
        InvalidValue: Another kind of database, or not a URL at all.
    """
    try:
        parsed = make_url(url)
        driver = DRIVERS[parsed.get_backend_name()]
    except (SQLAlchemyError, KeyError) as error:
        allowed = "sqlite:///path or postgresql://user@host/name"
        shown = url.partition("://")[0] + "://…" if "://" in url else repr(url)
        raise InvalidValue(f"database URL {shown} is not supported: give {allowed}") from error
    return parsed.set(drivername=driver)


def tune_sqlite(connection: Any, _record: object) -> None:
    """Let readers and the writer work side by side, durably; leave transactions to us."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def tune_postgres(connection: Any, _record: object) -> None:
    """Have the server end whoever vanishes in mid-transaction.

    Not by options of the connection, as poolers refuse those they do not know; and outside of any
    transaction, whose end might undo it.
    """
    told = f"SET idle_in_transaction_session_timeout = {VANISHED_MS}"
    connection.run_async(lambda driver: driver.execute(told))


def ignore_references(connection: Any, _record: object) -> None:
    """Look after no foreign keys on SQLite."""
    connection.execute("PRAGMA foreign_keys = OFF").close()


def begin_sqlite(connection: Connection) -> None:
    """Take SQLite's write lock at once: a later upgrade would lose updates or deadlock."""
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
