"""The database: one engine per event loop, and a transaction that nested calls join."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import event
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
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import schema
from domain.drivers import (
    ANSWER_S,
    async_url,
    begin_sqlite,
    ignore_references,
    tune_postgres,
    tune_sqlite,
)
from domain.errors import Unavailable
from settings import Settings

# Not the statement's fault: no server, no disk, a lock or a connection that took too long.
LOST = (OperationalError, InterfaceError, InternalError, PoolTimeout)
CHANGED = "changed prompts"
READING: dict[str, dict[str, Any]] = {
    "sqlite": {"reading": True},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}

Prompt = tuple[str, str]
Announce = Callable[[frozenset[Prompt]], Awaitable[None]]  # of prompts whose serving has changed


class _Open(NamedTuple):
    task: asyncio.Task[Any] | None
    session: AsyncSession
    reading: bool


class Database:
    """Hands out transactions. One per process and URL; every manager shares it.

    It may be made outside an event loop, and used from several loops one after the other.
    """

    def __init__(self, url: str) -> None:
        """Take `sqlite:///path`, or `postgresql://user@host/name`.

        Raises:
            InvalidValue: Another kind of database, or not a URL at all.
        """
        self.url = async_url(url)
        self._announce: Announce | None = None
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncEngine]
        self._engines = WeakKeyDictionary()
        self._ready: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._ready = WeakKeyDictionary()
        self._checked = False
        self._current: ContextVar[_Open | None] = ContextVar("session", default=None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Join the transaction open in this task, or open one that commits on leaving.

        So a manager's method is atomic when called alone, and several are atomic together inside
        an outer `transaction()`. An exception rolls everything back.

        Raises:
            Unavailable: The server, the file or the disk cannot be reached.
        """
        current = self._joined()
        if current is None:
            async with self._begin(reading=False) as session:
                yield session
            await self._tell(session)
        elif current.reading:
            raise RuntimeError("a transaction cannot join what was opened for reading only")
        else:
            yield current.session

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Join what is open in this task, or read one consistent state. Not for writing.

        It waits for no writer and keeps none waiting.

        Raises:
            Unavailable: As for `transaction`.
        """
        current = self._joined()
        if current is None:
            async with self._begin(reading=True) as session:
                yield session
        else:
            yield current.session

    def announce_to(self, announce: Announce) -> None:
        """Have `announce` awaited after each commit that changed what prompts serve.

        It must not raise, and what it cannot tell is found by polling the epochs.
        """
        self._announce = announce

    async def probe(self) -> None:
        """Reach the database once, so that a dead one is told before anything is begun.

        Raises:
            Unavailable: It cannot be reached.
        """
        async with self.reading():
            pass

    @property
    def name(self) -> str:
        """How people are told which one it is: the URL, without its password."""
        return self.url.render_as_string()

    @asynccontextmanager
    async def administered(self, *, reading: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction on tables of any revision, to look at the tables or change them.

        On SQLite, foreign keys are not looked after, or a table that is made anew would take along
        what refers to it.

        Raises:
            Unavailable: As for `transaction`.
        """
        engine = self._open(poolclass=NullPool)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", ignore_references)
        try:
            async with _bare(engine, reading=reading) as connection:
                yield connection
        except (OSError, SQLAlchemyError) as error:
            raise self._unavailable(error) from error
        finally:
            await engine.dispose()

    async def dispose(self) -> None:
        """Close the connections of this event loop."""
        engine = self._engines.pop(asyncio.get_running_loop(), None)
        if engine is not None:
            await engine.dispose()

    def _joined(self) -> "_Open | None":
        """Return what is open in this very task; a child task begins on its own."""
        current = self._current.get()
        return current if current and current.task is asyncio.current_task() else None

    @asynccontextmanager
    async def _begin(self, *, reading: bool) -> AsyncIterator[AsyncSession]:
        engine = await self._engine()
        options = READING[engine.dialect.name] if reading else {}
        try:
            async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                token = self._current.set(_Open(asyncio.current_task(), session, reading))
                try:
                    await self._connect(session, options)
                    yield session
                finally:
                    self._current.reset(token)
        except TimeoutError as error:  # a connection that is dead, as all others then may be
            await engine.dispose(close=False)
            raise self._unavailable(error) from error
        except LOST as error:
            raise self._unavailable(error) from error
        except DBAPIError as error:  # asyncpg does not class every lost connection
            if not error.connection_invalidated:
                raise
            raise self._unavailable(error) from error

    async def _tell(self, session: AsyncSession) -> None:
        changed = frozenset(session.info.get(CHANGED, ()))
        if changed and self._announce is not None:
            await self._announce(changed)

    async def _connect(self, session: AsyncSession, options: dict[str, Any]) -> None:
        """Begin now, so that only a failure to connect is told as one."""
        try:
            await session.connection(execution_options=options)
        except TimeoutError:
            raise
        except (OSError, DBAPIError) as error:
            raise self._unavailable(error) from error

    async def _engine(self) -> AsyncEngine:
        """Return this loop's engine; the first caller also makes the tables, or refuses others'."""
        loop = asyncio.get_running_loop()
        async with self._ready.setdefault(loop, asyncio.Lock()):
            if loop not in self._engines:
                self._engines[loop] = self._open()
            engine = self._engines[loop]
            if not self._checked:
                try:
                    await self._check(engine)
                except Unavailable:  # nobody will use, or close, what was opened
                    await self.dispose()
                    raise
                self._checked = True
        return engine

    def _open(self, **options: Any) -> AsyncEngine:
        if self.url.get_backend_name() == "sqlite":
            if self.url.database and self.url.database != ":memory:":
                try:
                    Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise self._unavailable(error) from error
            engine = create_async_engine(self.url, **options)
            event.listen(engine.sync_engine, "connect", tune_sqlite)
            event.listen(engine.sync_engine, "begin", begin_sqlite)
            return engine
        patient = "poolclass" in options  # whoever changes tables may take long
        limits = {} if patient else {"command_timeout": ANSWER_S, "timeout": ANSWER_S}
        engine = create_async_engine(
            self.url, **{"pool_pre_ping": True, "connect_args": limits} | options
        )
        event.listen(engine.sync_engine, "connect", tune_postgres)
        return engine

    async def _check(self, engine: AsyncEngine) -> None:
        """Make the tables of an empty database; refuse those of another release."""
        try:
            async with _bare(engine, reading=True) as connection:
                revision = await connection.run_sync(schema.revision_of)
            if revision is None:
                async with _bare(engine, reading=False) as connection:
                    revision = await connection.run_sync(schema.make)
        except (OSError, SQLAlchemyError) as error:
            raise self._unavailable(error) from error
        schema.refuse_other(revision, where=self.name)

    def _unavailable(self, error: Exception) -> Unavailable:
        said = str(getattr(error, "orig", None) or error) or f"no answer in {ANSWER_S:g} s"
        cause = said.splitlines()[0]
        return Unavailable(f"database {self.name} is unavailable: {cause}")


def note_change(session: AsyncSession, prompt: Prompt) -> None:
    """Have the prompt announced once the transaction of the session is committed."""
    session.info.setdefault(CHANGED, set()).add(prompt)


_defaults: dict[str, Database] = {}


def default_database() -> Database:
    """Return the process's database of `RAMPART_DATABASE_URL`, else the embedded SQLite file."""
    url = Settings.from_env().database_url
    return _defaults.setdefault(url, Database(url))


@asynccontextmanager
async def _bare(engine: AsyncEngine, *, reading: bool) -> AsyncIterator[AsyncConnection]:
    """Open a transaction without a session."""
    async with engine.connect() as connection:
        if reading:
            await connection.execution_options(**READING[engine.dialect.name])
        async with connection.begin():
            yield connection
