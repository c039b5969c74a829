"""Serving processes, forked, that say by one pipe when each began or ceased to treat users."""

import asyncio
import contextlib
import os
import signal
import struct
import time
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any

from domain import broker
from domain.broadcast.postgres import PostgresUpdates
from domain.broadcast.redis import RedisUpdates
from domain.broadcast.updates import Updates
from domain.database import Database
from domain.routing import Router

PROMPT = ("greeting", "system")
BASELINE, CANDIDATE = "1.0.0", "1.1.0"
USERS = [f"user-{number}" for number in range(50)]  # half of them are treated
BARE_CHANNEL = "bare"
# Which process, whether it treats anybody, and when that began: CLOCK_MONOTONIC, the same for all.
# So short a write to a pipe is never torn by another's.
REPORT = struct.Struct("=H?q")


class Way(StrEnum):
    """How a process comes to know of a change."""

    REDIS = "redis"
    NOTIFY = "notify"
    POLLING = "polling"
    BARE = "bare"  # the limit: a subscriber of redis-py that does nothing with what it hears


class Processes:
    """As many as asked for, until left; they are forked, so that they share what is loaded."""

    def __init__(self, size: int, way: Way, *, database_url: str, redis_url: str) -> None:
        """Fork them. There must be no event loop yet."""
        self.size = size
        self._out, into = os.pipe()
        life, self._alive = os.pipe()  # nothing is written; it ends when we do, however we do
        self._pids = []
        for number in range(size):
            if (pid := os.fork()) == 0:
                os.close(self._alive)
                _live(
                    life, _served(way, number, into, database_url=database_url, redis_url=redis_url)
                )
            self._pids.append(pid)
        os.close(into)
        os.close(life)
        self._treats: dict[int, tuple[bool, int]] = {}
        self._heard = asyncio.Event()

    async def __aenter__(self) -> "Processes":
        os.set_blocking(self._out, False)
        asyncio.get_running_loop().add_reader(self._out, self._read)
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._out)
        self.kill()

    def kill(self) -> None:
        """End them all."""
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids:
            os.waitpid(pid, 0)
        self._pids = []
        os.close(self._out)
        os.close(self._alive)

    async def all_treat(self, treats: bool) -> list[int]:
        """Wait until every process does, or none; return when each began to, in ns."""
        while True:
            at = [when for does, when in self._treats.values() if does is treats]
            if len(at) == self.size:
                return at
            self._heard.clear()
            await self._heard.wait()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while told := os.read(self._out, REPORT.size * 1000):
                for number, treats, at in REPORT.iter_unpack(told):
                    if number not in self._treats or self._treats[number][0] is not treats:
                        self._treats[number] = treats, at
        self._heard.set()


def _live(life: int, served: Coroutine[Any, Any, None]) -> None:
    """Run a child until it is killed, or its parent is gone."""

    async def until_orphaned() -> None:
        asyncio.get_running_loop().add_reader(life, os._exit, 0)
        await served

    try:
        asyncio.run(until_orphaned())
    finally:
        os._exit(1)


async def _served(way: Way, number: int, pipe: int, *, database_url: str, redis_url: str) -> None:
    def report(treats: bool) -> None:
        os.write(pipe, REPORT.pack(number, treats, time.monotonic_ns()))

    if way is Way.BARE:
        await _listen_bare(redis_url, report)
        return
    database = Database(database_url)
    ways: dict[Way, Updates] = {
        Way.REDIS: RedisUpdates(redis_url),
        Way.NOTIFY: PostgresUpdates(database),
    }
    router = Router(database, updates=ways.get(way))
    router.listen(lambda _: report(_treats(router)))
    async with router:
        await asyncio.Event().wait()


def _treats(router: Router) -> bool:
    return any(router.assign(*PROMPT, user).version == CANDIDATE for user in USERS)


async def _listen_bare(redis_url: str, report: Callable[[bool], None]) -> None:
    async with broker.connect(redis_url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(BARE_CHANNEL)
        report(True)
        while True:
            message = await pubsub.get_message(timeout=None)
            if message is not None and message["type"] == "message":
                report(message["data"] == b"1")
