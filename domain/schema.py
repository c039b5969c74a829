"""Which revision the tables are at, and how they come to the one this release needs.

An empty database is made at once from `domain.tables`; only an older one needs `domain.migrations`,
and only then is Alembic loaded. A test holds the two ways against each other.
"""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

from domain import tables  # noqa: F401  # fills SQLModel.metadata
from domain.errors import Conflict, WrongRevision
from domain.progress import Told, nobody

if TYPE_CHECKING:
    from domain.database import Database

HEAD = "0004"  # what this release needs: the latest of `migrations/versions`
UNNAMED = ""  # of tables made before 0.3, which kept no revision
BEFORE = ("0002", "0001")  # what such tables may be: those of 0.2 and of 0.1
LOCK = 0x72616D70  # "ramp": one process makes or changes the tables, the others wait
LOCK_TIMEOUT_S = 60  # how long PostgreSQL lets an upgrade wait, and others behind it
KEPT = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)

Shape = dict[str, frozenset[str]]  # the columns of each table


class Upgrade(NamedTuple):
    """What an upgrade found, and what the tables are at now; `before` is None of an empty one."""

    before: str | None
    after: str


def revision_of(connection: Connection) -> str | None:
    """Return what the tables are at: `UNNAMED` before revisions were kept, None without tables."""
    names = set(inspect(connection).get_table_names())
    if KEPT.name in names:
        found: str | None = connection.scalar(select(KEPT.columns.version_num))
        if found:
            return found
    return UNNAMED if names & SQLModel.metadata.tables.keys() else None


def make(connection: Connection) -> str:
    """Make the tables where there are none; return the revision that is there then.

    Whoever comes second waits, and finds them.
    """
    _claim(connection)
    found = revision_of(connection)
    if found is not None:
        return found
    SQLModel.metadata.create_all(connection, checkfirst=False)
    KEPT.create(connection, checkfirst=True)
    connection.execute(insert(KEPT).values(version_num=HEAD))
    return HEAD


def refuse_other(revision: str, *, where: str) -> None:
    """Refuse tables that this release cannot work with.

    Args:
        revision: What they are at.
        where: The database, as people name it.

    Raises:
        WrongRevision: They are not at `HEAD`.
    """
    if revision == HEAD:
        return
    if revision > HEAD:
        ours = f"at revision {revision}, which is newer than this release (it needs {HEAD})"
        raise WrongRevision(f"database {where} is {ours}: upgrade rampart")
    at = f"is at revision {revision}" if revision else "was made before release 0.3"
    raise WrongRevision(
        f"database {where} {at}, this release needs {HEAD}: run `rampart db upgrade`"
    )


async def upgrade(database: "Database", *, told: Told = nobody) -> Upgrade:
    """Bring the tables, with what is in them, to `HEAD`; all of it happens, or nothing.

    It may be repeated, and run by several processes at once: whoever comes second finds nothing to
    do. One process upgrades one database at a time, for Alembic's sake.

    Raises:
        WrongRevision: They are newer than this release.
        Conflict: They are not what any release made.
        Unavailable: The database does not answer, or others keep its tables too long.
    """
    async with database.administered() as connection:
        return await connection.run_sync(_upgrade, database.name, told)


async def current(database: "Database") -> str | None:
    """Return what the tables are at, as `revision_of` does; nothing is refused or made.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.administered(reading=True) as connection:
        return await connection.run_sync(revision_of)


def migrate(
    connection: Connection, revision: str, *, since: str | None = None, told: Told = nobody
) -> None:
    """Run the migrations up to a revision, on tables at `since` if they do not say so."""
    from alembic import command

    config = _config(connection, _steps(told, since or revision_of(connection), revision))
    if since is not None:
        command.stamp(config, since, purge=True)
    command.upgrade(config, revision)


def _upgrade(connection: Connection, where: str, told: Told) -> Upgrade:
    _claim(connection)
    before = revision_of(connection)
    if before is None:
        return Upgrade(before, make(connection))
    if before > HEAD:
        refuse_other(before, where=where)
    if before != HEAD:
        since = _recognised(connection, where) if before == UNNAMED else None
        _be_patient(connection)
        migrate(connection, HEAD, since=since, told=told)
    return Upgrade(before, HEAD)


def _claim(connection: Connection) -> None:
    """Let nobody else make or change tables until the transaction ends."""
    if connection.dialect.name == "postgresql":  # SQLite's lock is taken with BEGIN
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))


def _be_patient(connection: Connection) -> None:
    """Limit how long we wait for tables: everybody else waits behind us."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))


def _steps(told: Told, before: str | None, after: str) -> Callable[..., None]:
    """Return what counts the migrations that were run; their revisions are numbers."""
    steps, taken = int(after) - int(before or 0), count(1)
    return lambda **_: told(next(taken) / steps)


def _config(connection: Connection, applied: Callable[..., None]) -> Any:
    from alembic.config import Config

    config = Config(attributes={"connection": connection, "applied": applied})
    here = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(here).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _recognised(connection: Connection, where: str) -> str:
    """Return the revision of tables that keep none, by their columns.

    Raises:
        Conflict: No release made them so.
    """
    made = {revision: _made_by(revision) for revision in BEFORE}
    latest = made[BEFORE[0]]
    there = {name: columns for name, columns in _shape(connection).items() if name in latest}
    for revision, shape in made.items():
        if there == shape:
            return revision
    odd = min(_names(there) ^ _names(latest))
    raise Conflict(
        f"database {where} has tables that no release of rampart made ({odd} is not as in 0.2):"
        " it is left as it is"
    )


def _made_by(revision: str) -> Shape:
    """Return what the migrations make, tried in memory."""
    engine = create_engine("sqlite://", poolclass=NullPool)
    with engine.begin() as connection:
        migrate(connection, revision)
        return _shape(connection)


def _shape(connection: Connection) -> Shape:
    """Return the columns of the tables that are called as ours."""
    found = inspect(connection).get_multi_columns(filter_names=[*SQLModel.metadata.tables])
    return {
        name: frozenset(column["name"] for column in columns)
        for (_, name), columns in found.items()
    }


def _names(shape: Shape) -> set[str]:
    return {f"{table}.{column}" for table, columns in shape.items() for column in columns}
