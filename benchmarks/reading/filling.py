"""Versions with 1 000 to 10 million events each: the events by bulk SQL, their cells by arithmetic.

Event i of a version took one of a thousand times, in turn, so that what its cells must say is known
without counting. On PostgreSQL every cell lies in all the parts that writers at a time may make.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import asyncpg
from sqlalchemy.engine import URL

from domain.cells import SHARDS, Cell
from domain.database import Database
from domain.tables import CellRow

TIMES = [0.05 * 1.006**k for k in range(1_000)]  # seconds: 50 ms to 20 s
TURN = len(TIMES)
BEGUN = datetime(2026, 11, 1, tzinfo=UTC)
SECOND_INDEXES = ("event_of_version", "event_with_rating")

MAKE_TIMES = "CREATE TEMPORARY TABLE times (k integer PRIMARY KEY, seconds double precision)"
COLUMNS = "id, version_id, success, response_time, user_rating, numbers, details, occurred_at"
ROWS_SQLITE = f"""
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :events)
    INSERT INTO event ({COLUMNS})
    SELECT :version || printf('-%08d', i), :version, i % 10 < 9, seconds,
           CASE WHEN i % 50 = 0 THEN 4.0 END, '{{}}', '{{}}',
           strftime('%Y-%m-%d %H:%M:%f000', 1793491200 + i / 20.0, 'unixepoch')
    FROM n CROSS JOIN times ON k = i % 1000"""  # noqa: S608  # no value is of anybody else
ROWS_POSTGRESQL = f"""
    INSERT INTO event ({COLUMNS})
    SELECT $1 || '-' || lpad(i::text, 8, '0'), $1, i % 10 < 9, seconds,
           CASE WHEN i % 50 = 0 THEN 4.0 END, '{{}}', '{{}}',
           timestamptz '2026-11-01 00:00+00' + i * interval '50 ms'
    FROM generate_series(0, $2::int - 1) AS n(i) JOIN times ON k = i % 1000"""  # noqa: S608  # no value is of anybody else


def version_of(size: int) -> str:
    """Return the id of the version with so many events."""
    return f"v{size}"


async def fill(database: Database, sizes: Sequence[int]) -> None:
    """Fill an empty database; its secondary indexes are made last, as `pg_restore` does."""
    await database.probe()
    if database.url.get_backend_name() == "sqlite":
        _fill_sqlite(str(database.url.database), sizes)
    else:
        await _fill_postgresql(database.url, sizes)
    async with database.transaction() as session:
        session.add_all(row for size in sizes for row in _cells(database, size))


def _fill_sqlite(path: str, sizes: Sequence[int]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        made = [
            connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
            for name in SECOND_INDEXES
        ]
        for name in SECOND_INDEXES:
            connection.execute(f"DROP INDEX {name}")
        connection.execute(MAKE_TIMES)
        connection.executemany("INSERT INTO times VALUES (?, ?)", enumerate(TIMES))
        for size in sizes:
            connection.execute(ROWS_SQLITE, {"events": size, "version": version_of(size)})
        for (statement,) in made:
            connection.execute(statement)
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _fill_postgresql(url: URL, sizes: Sequence[int]) -> None:
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    made = [
        await connection.fetchval("SELECT indexdef FROM pg_indexes WHERE indexname = $1", name)
        for name in SECOND_INDEXES
    ]
    for name in SECOND_INDEXES:
        await connection.execute(f"DROP INDEX {name}")
    await connection.execute(MAKE_TIMES)
    await connection.executemany("INSERT INTO times VALUES ($1, $2)", list(enumerate(TIMES)))
    for size in sizes:
        await connection.execute(ROWS_POSTGRESQL, version_of(size), size)
    for statement in made:
        await connection.execute(statement)
    await connection.execute("VACUUM ANALYZE event")
    await connection.execute("CHECKPOINT")
    await connection.close()


def _cells(database: Database, size: int) -> list[CellRow]:
    """Return the rows that counting the events would have written."""
    parts = SHARDS if database.url.get_backend_name() == "postgresql" else 1
    last_at = BEGUN + timedelta(milliseconds=50) * (size - 1)
    rows = []
    for shard in range(parts):
        mine = range(shard, TURN, parts)
        said = {
            "success": [float(k % 10 < 9) for k in mine],
            "response_time": [TIMES[k] for k in mine],
            "user_rating": [4.0 for k in mine if k % 50 == 0],
        }
        rows += [
            _row(size, metric, shard, Cell.of(metric, values, last_at=last_at))
            for metric, values in said.items()
            if values
        ]
    return rows


def _row(size: int, metric: str, shard: int, once: Cell) -> CellRow:
    """Return the row of a cell after as many turns as the events take."""
    turns, moments = size // TURN, once.moments
    return CellRow(
        version_id=version_of(size),
        experiment_id="",
        epoch=0,
        metric=metric,
        shard=shard,
        n=moments.n * turns,
        mean=moments.mean,
        m2=moments.m2 * turns,
        min=moments.min,
        max=moments.max,
        histogram={str(k): count * turns for k, count in once.histogram.counts.items()},
        last_at=once.last_at,
    )
