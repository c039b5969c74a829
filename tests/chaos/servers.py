"""What rampart runs on: shared by cells that leave it alone, a cell's own where it is killed."""

import asyncio
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client
from temporalio.service import RPCError

from control.payloads import data_converter
from domain.database import Database
from embedded.ports import HOST, free_port
from tests.chaos.victims import PostgresServer
from tests.house import House
from workflows.publication import ATTRIBUTES

BIN = str(Path(sys.executable).parent)
START_S = 60.0
FURNISHED = "furnished"


class TemporalServer:
    """The dev server with a persistent file, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._log = folder / "temporal.log"
        options = {
            "--db-filename": str(folder / "temporal.db"),
            "--ip": HOST,
            "--port": str(self.port),
            "--log-level": "error",
        }
        pairs = [*options.items()]
        pairs += [("--sqlite-pragma", each) for each in ("journal_mode=WAL", "synchronous=1")]
        for key in ATTRIBUTES:
            pairs += [("--search-attribute", f"{key.name}={key.indexed_value_type.name.title()}")]
        temporal = str(shutil.which("temporal", path=BIN))
        flags = [part for pair in pairs for part in pair]
        self._command = [temporal, "server", "start-dev", "--headless", *flags]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    async def start(self) -> None:
        """Start it and return when it answers."""
        self._process = self._started()
        async with asyncio.timeout(START_S):
            while True:
                with suppress(RuntimeError, RPCError):
                    await self.connect()
                    return
                await asyncio.sleep(0.1)

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log)

    async def connect(self) -> Client:
        return await Client.connect(self.address, data_converter=data_converter())

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Postgres:
    """A PostgreSQL with a furnished database, of which each cell gets a copy."""

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder)
        self._alone = asyncio.Lock()  # a copy is made of what nobody uses

    async def furnish(self) -> None:
        """Make the tables, a prompt and its versions, once."""
        await self._run(f"CREATE DATABASE {FURNISHED}")
        database = Database(self.url(FURNISHED))
        await House(database).furnish()
        await database.dispose()

    async def copied(self, name: str) -> str:
        """Return the URL of a furnished database of that name."""
        async with self._alone:
            await self._run(f"CREATE DATABASE {name} TEMPLATE {FURNISHED}")
        return self.url(name)

    async def empty(self, name: str) -> str:
        """Return the URL of an empty database of that name."""
        await self._run(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        url = make_url(self._server.url).set(database=name)
        return url.render_as_string(hide_password=False)

    @property
    def socket(self) -> str:
        """The path of the Unix socket it listens at."""
        return f"{make_url(self._server.url).query['host']}/.s.PGSQL.5432"

    async def kill(self) -> None:
        """Kill every process of it."""
        await self._server.kill()

    async def start(self) -> None:
        """Start it again."""
        await self._server.start()

    def end(self) -> None:
        self._server.end()

    async def _run(self, statement: str) -> None:
        url = make_url(self._server.url).set(drivername="postgresql+asyncpg")
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()
