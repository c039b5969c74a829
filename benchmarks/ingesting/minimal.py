"""A minimal server, written by hand: what there is to lose by having a product around it.

It does: decode with msgspec, group commit, the same event rows in the same tables with the same
indexes, exactly once by their ids, and counts, means, spreads and extremes per version and metric
in the same transaction; 202 when durable. It does not: judge what it is sent, know experiments,
epochs, observations of users, distributions, tokens, limits, telemetry or other kinds of bodies;
one process writes at a time.

`python -m benchmarks.ingesting.minimal PORT DATABASE_URL [REDIS_URL]` serves;
with `drain` instead of a port it is the consumer that goes with Redis.
"""

import asyncio
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import uvicorn
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

LARGEST = 10_000  # events of a transaction
STREAM, GROUP = "events", "drain"
METRICS = ("success", "response_time", "tokens")
COLUMNS = "id, version_id, user_id, success, response_time, tokens, occurred_at, numbers, details"

INSERT_POSTGRESQL = f"""
    INSERT INTO event ({COLUMNS})
    SELECT *, '{{}}'::json, '{{}}'::json FROM unnest($1::text[], $2::text[], $3::text[],
        $4::bool[], $5::float8[], $6::bigint[], $7::text[]::timestamptz[])
    ON CONFLICT DO NOTHING RETURNING id"""  # noqa: S608
INSERT_SQLITE = f"INSERT OR IGNORE INTO event ({COLUMNS}) VALUES (?,?,?,?,?,?,?,'{{}}','{{}}')"  # noqa: S608
MERGE = """
    INSERT INTO cell (version_id, experiment_id, epoch, shard, histogram,
                      metric, n, mean, m2, min, max)
    VALUES ({0}, '', 0, 0, '{{}}', {1}, {2}, {3}, {4}, {5}, {6})
    ON CONFLICT (version_id, experiment_id, epoch, metric, shard) DO UPDATE SET
        m2 = cell.m2 + excluded.m2 + (excluded.mean - cell.mean) * (excluded.mean - cell.mean)
             * cell.n * excluded.n / (cell.n + excluded.n),
        mean = cell.mean + (excluded.mean - cell.mean) * excluded.n / (cell.n + excluded.n),
        n = cell.n + excluded.n,
        min = CASE WHEN excluded.min < cell.min THEN excluded.min ELSE cell.min END,
        max = CASE WHEN excluded.max > cell.max THEN excluded.max ELSE cell.max END"""


class Event(msgspec.Struct, gc=False):
    """What it is sent."""

    version_id: str
    event_id: str
    user_id: str
    success: bool
    response_time: float
    tokens: int
    occurred_at: str


Events = list[Event]
Write = Callable[[Events], Awaitable[None]]
decode = msgspec.json.Decoder(Events).decode
unpack = msgspec.msgpack.Decoder(Events).decode


def cells(events: Events) -> list[tuple[Any, ...]]:
    """Return version, metric, n, mean, m2, min and max of what is new, in one order."""
    values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        for metric in METRICS:
            values[event.version_id, metric].append(getattr(event, metric))
    rows = []
    for key, found in sorted(values.items()):
        mean = sum(found) / len(found)
        m2 = sum([(value - mean) ** 2 for value in found])
        rows.append((*key, len(found), mean, m2, float(min(found)), float(max(found))))
    return rows


def columns(events: Events) -> list[list[Any]]:
    """Return the columns of the rows, the events in the order of their ids, each once."""
    ordered = sorted({event.event_id: event for event in events}.values(), key=lambda e: e.event_id)
    names = ("event_id", "version_id", "user_id", "success", "response_time", "tokens")
    return [[getattr(event, n) for event in ordered] for n in (*names, "occurred_at")]


class Postgresql:
    """Writes into PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Any = None

    async def write(self, events: Events) -> None:
        """Write what is new, and count it."""
        if self._connection is None:
            self._connection = await asyncpg.connect(self._url)
        async with self._connection.transaction():
            kept = await self._connection.fetch(INSERT_POSTGRESQL, *columns(events))
            new = {row[0] for row in kept}
            unseen = {e.event_id: e for e in events if e.event_id in new}
            merge = MERGE.format("$1", "$2", "$3", "$4", "$5", "$6", "$7")
            await self._connection.executemany(merge, cells(list(unseen.values())))


class Sqlite:
    """Writes into SQLite, in a thread of its own."""

    def __init__(self, path: str) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def write(self, events: Events) -> None:
        """Write what is new, and count it."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._write, events)

    def _write(self, events: Events) -> None:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        (last,) = run("SELECT coalesce(max(rowid), 0) FROM event").fetchone()
        rows = list(zip(*columns(events), strict=True))
        self._connection.executemany(INSERT_SQLITE, rows)
        new = {row[0] for row in run("SELECT id FROM event WHERE rowid > ?", (last,))}
        unseen = {e.event_id: e for e in events if e.event_id in new}
        self._connection.executemany(MERGE.format(*"???????"), cells(list(unseen.values())))
        run("COMMIT")


class Stream:
    """Appends to a stream in Redis, one entry a batch, without group commit: it needs none."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)

    async def write(self, events: Events) -> None:
        """Append."""
        await self._redis.xadd(STREAM, {"e": msgspec.msgpack.encode(events)})


class Group:
    """Requests that come during a write share the next one."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[tuple[Events, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, events: Events) -> None:
        """Return when they are written."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        await done

    async def _run(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await self._write([event for events, _ in group for event in events])
            for _, done in group:
                done.set_result(None)


def application(write: Write) -> Starlette:
    """Return the server."""

    async def take(request: Request) -> Response:
        events = decode(await request.body())
        await write(events)
        return Response(b'{"accepted":%d}' % len(events), 202)

    return Starlette(routes=[Route("/v1/events", take, methods=["POST"])])


async def drain(redis: Redis, write: Write) -> None:
    """Bring what is in the stream into the database, for ever."""
    with suppress(ResponseError):  # it is there
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    while True:
        found: Any = await redis.xreadgroup(GROUP, "one", {STREAM: ">"}, count=100, block=200)
        entries = found[0][1] if found else []
        events = [event for _, entry in entries for event in unpack(entry[b"e"])]
        if events:
            await write(events)
            ids = [id_ for id_, _ in entries]
            await redis.xack(STREAM, GROUP, *ids)
            await redis.xdel(STREAM, *ids)


def main(port: str, database: str, redis: str = "") -> None:
    """Serve, or drain."""
    path = database.removeprefix("sqlite:///")
    store = Sqlite(path) if path != database else Postgresql(database)
    if port == "drain":
        uvloop.run(drain(Redis.from_url(redis), store.write))
    write = Stream(redis).write if redis else Group(store.write).write
    uvicorn.run(application(write), port=int(port), loop="uvloop", http="httptools",
                access_log=False, log_level="warning")  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
