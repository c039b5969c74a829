"""The database: one engine per event loop, and a transaction that nested calls join."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeout,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import tables  # noqa: F401  # fills SQLModel.metadata
from domain.errors import InvalidValue, Unavailable
from settings import Settings

# Not the statement's fault: no server, no disk, a lock or a connection that took too long.
LOST = (OperationalError, InterfaceError, InternalError, PoolTimeout)
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
BUSY_TIMEOUT_MS = 5_000  # how long a writer waits for SQLite's lock before it is `Unavailable`
SCHEMA_LOCK = 0x72616D70  # "ramp": one process creates the tables, the others wait


class Database:
    """Hands out transactions. One per process and URL; every manager shares it.

    It may be made outside an event loop, and used from several loops one after the other.
    """

    def __init__(self, url: str) -> None:
        """Take `sqlite:///path`, or `postgresql://user@host/name`.

        Raises:
            InvalidValue: Another kind of database, or not a URL at all.
        """
        self.url = _async_url(url)
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine]
        self._engines = WeakKeyDictionary()
        self._ready: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._ready = WeakKeyDictionary()
        self._created = False
        self._current: ContextVar[tuple[asyncio.Task[Any] | None, AsyncSession] | None]
        self._current = ContextVar("session", default=None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Join the transaction open in this task, or open one that commits on leaving.

        So a manager's method is atomic when called alone, and several are atomic together inside
        an outer `transaction()`. An exception rolls everything back.

        Raises:
            Unavailable: The server, the file or the disk cannot be reached.
        """
        current = self._current.get()
        if current is not None and current[0] is asyncio.current_task():
            yield current[1]
            return
        engine = await self._engine()
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                token = self._current.set((asyncio.current_task(), session))
                try:
                    await self._connect(session)
                    yield session
                finally:
                    self._current.reset(token)
        except LOST as error:
            raise self._unavailable(error) from error
        except DBAPIError as error:  # asyncpg does not class every lost connection
            if not error.connection_invalidated:
                raise
            raise self._unavailable(error) from error

    async def probe(self) -> None:
        """Reach the database once, so that a dead one is told before anything is begun.

        Raises:
            Unavailable: It cannot be reached.
        """
        async with self.transaction():
            pass

    async def dispose(self) -> None:
        """Close the connections of this event loop."""
        engine = self._engines.pop(asyncio.get_running_loop(), None)
        if engine is not None:
            await engine.dispose()

    async def _connect(self, session: AsyncSession) -> None:
        """Begin now, so that only a failure to connect is told as one."""
        try:
            await session.connection()
        except (OSError, DBAPIError) as error:
            raise self._unavailable(error) from error

    async def _engine(self) -> AsyncEngine:
        """Return this loop's engine; the first caller also creates the tables that are missing."""
        loop = asyncio.get_running_loop()
        async with self._ready.setdefault(loop, asyncio.Lock()):
            if loop not in self._engines:
                self._engines[loop] = self._open()
            engine = self._engines[loop]
            if not self._created:
                await self._create(engine)
                self._created = True
        return engine

    def _open(self) -> AsyncEngine:
        if self.url.get_backend_name() == "sqlite":
            if self.url.database and self.url.database != ":memory:":
                try:
                    Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise self._unavailable(error) from error
            engine = create_async_engine(self.url)
            event.listen(engine.sync_engine, "connect", _tune_sqlite)
            event.listen(engine.sync_engine, "begin", _begin_immediate)
            return engine
        return create_async_engine(self.url, pool_pre_ping=True)

    async def _create(self, engine: AsyncEngine) -> None:
        try:
            async with engine.begin() as connection:
                if engine.dialect.name == "postgresql":
                    await connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
                await connection.run_sync(SQLModel.metadata.create_all)
        except (OSError, SQLAlchemyError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> Unavailable:
        cause = str(getattr(error, "orig", None) or error).splitlines()[0]
        return Unavailable(f"database {self.url.render_as_string()} is unavailable: {cause}")


_defaults: dict[str, Database] = {}


def default_database() -> Database:
    """Return the process's database of `RAMPART_DATABASE_URL`, else the embedded SQLite file."""
    url = Settings.from_env().database_url
    return _defaults.setdefault(url, Database(url))


def _async_url(url: str) -> URL:
    try:
        parsed = make_url(url)
        driver = DRIVERS[parsed.get_backend_name()]
    except (SQLAlchemyError, KeyError) as error:
        allowed = "sqlite:///path or postgresql://user@host/name"
        shown = url.partition("://")[0] + "://…" if "://" in url else repr(url)
        raise InvalidValue(f"database URL {shown} is not supported: give {allowed}") from error
    return parsed.set(drivername=driver)


def _tune_sqlite(connection: Any, _record: object) -> None:
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


def _begin_immediate(connection: Connection) -> None:
    """Take SQLite's write lock at once: a later upgrade would lose updates or deadlock."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
