"""Where a cell plays: servers that are shared, or its own when they are to be broken."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from temporalio.client import Client

from domain.database import Database
from embedded.ports import HOST
from tests.chaos.processes import Clock
from tests.chaos.proxy import Proxy
from tests.chaos.servers import Postgres, TemporalServer
from tests.house import House
from tests.redis_server import RedisServer

DISK = "16m"


class Need(StrEnum):
    """What a cell cannot share, or needs besides."""

    OWN_TEMPORAL = "own Temporal"
    OWN_POSTGRES = "own PostgreSQL"
    PROXY_TO_TEMPORAL = "a proxy to Temporal"
    PROXY_TO_POSTGRES = "a proxy to PostgreSQL"
    SMALL_DISK = "SQLite on a disk that can be filled"
    CLOCK = "a clock that can be set"
    EMPTY_DATABASE = "a database without tables"


@dataclass(kw_only=True)
class Town:
    """The shared servers."""

    folder: Path
    temporal: TemporalServer
    client: Client
    postgres: Postgres


@asynccontextmanager
async def town(folder: Path) -> AsyncIterator[Town]:
    """Start the shared servers; end them."""
    temporal = TemporalServer(folder / "temporal")
    postgres = Postgres(folder / "postgres")
    try:
        await asyncio.gather(temporal.start(), postgres.furnish())
        client = await temporal.connect()
        yield Town(folder=folder, temporal=temporal, client=client, postgres=postgres)
    finally:
        temporal.kill()
        postgres.end()


class Place:
    """The servers of one cell, and ways to them.

    Attributes:
        database_url: As this process and the gateway reach it; `worker_url` as workers do.
        address: Of Temporal, as workers reach it.
    """

    def __init__(self, town: Town, folder: Path, *, needs: frozenset[Need]) -> None:
        self._town = town
        self._needs = needs
        self._undo = AsyncExitStack()
        self.folder = folder
        self.temporal, self.postgres, self.client = town.temporal, town.postgres, town.client
        self.redis = RedisServer(folder / "redis")
        self.clock = Clock(folder / "clock")
        self.disk = folder / "disk"
        self.queue = folder.name
        self.database_url = self.worker_url = self.address = ""
        self._proxy: Proxy | None = None

    async def __aenter__(self) -> "Place":
        async with AsyncExitStack() as undo:
            await self._open(undo)
            self._undo = undo.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo.aclose()

    @property
    def proxy(self) -> Proxy:
        assert self._proxy, "this place has no proxy"
        return self._proxy

    @property
    def environment(self) -> dict[str, str]:
        """What makes a worker work here."""
        ways = {
            "TEMPORAL_ADDRESS": self.address,
            "RAMPART_DATABASE_URL": self.worker_url,
            "RAMPART_REDIS_URL": self.redis.url,
            "RAMPART_TASK_QUEUE": self.queue,
        }
        return ways | (self.clock.environment if Need.CLOCK in self._needs else {})

    @property
    def room(self) -> int:
        """How many bytes are free on the small disk."""
        return os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize

    async def _open(self, undo: AsyncExitStack) -> None:
        self.redis.start()
        undo.callback(self.redis.kill)
        if Need.OWN_TEMPORAL in self._needs:
            self.temporal = TemporalServer(self.folder / "temporal")
            undo.callback(self.temporal.kill)
            await self.temporal.start()
            self.client = await self.temporal.connect()
        if Need.OWN_POSTGRES in self._needs:
            self.postgres = Postgres(self.folder / "postgres")
            undo.callback(self.postgres.end)
            await self.postgres.furnish()
        self.database_url = self.worker_url = await self._database(undo)
        self.address = self.temporal.address
        if Need.PROXY_TO_TEMPORAL in self._needs:
            self._proxy = await undo.enter_async_context(Proxy(self.address))
            self.address = f"{HOST}:{self._proxy.port}"
        if Need.PROXY_TO_POSTGRES in self._needs:
            self._proxy = await undo.enter_async_context(Proxy(self.postgres.socket))
            self.worker_url = f"postgresql://postgres@{HOST}:{self._proxy.port}/{self.queue}"

    async def _database(self, undo: AsyncExitStack) -> str:
        if Need.EMPTY_DATABASE in self._needs:
            return await self.postgres.empty(self.queue)
        if Need.SMALL_DISK not in self._needs:
            return await self.postgres.copied(self.queue)
        self.disk.mkdir()
        _mount(self.disk)
        undo.callback(subprocess.run, ["umount", "--lazy", str(self.disk)], check=True)
        database = Database(f"sqlite:///{self.disk}/rampart.db")
        await House(database).furnish()
        await database.dispose()
        return f"sqlite:///{self.disk}/rampart.db"


def _mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert mounted.returncode == 0, f"a disk to fill cannot be mounted: {mounted.stderr.strip()}"
