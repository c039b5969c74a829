"""A child process that is kept running, and never left behind."""

import asyncio
import os
import shutil
import signal
import subprocess
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from domain.errors import RampartError

GRACE_S = 12.0  # between the polite and the other signal; a worker gives its activities 10 s
QUICK_S = 5.0  # a life shorter than this was no life
DEATHS = 5  # so many quick ones in a row, and it is given up
FIRST_WAIT_S = 0.5  # after the first quick death; doubled after each further one
LOOK_S = 0.1

Tell = Callable[[str], None]


class StackError(RampartError):
    """The embedded stack cannot start, or cannot go on."""


class Child:
    """Keeps one process running: starts it again when it dies, ends it when told to.

    Its pid is in `<name>.pid`, what it says in `<name>.log`, both in `directory`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        directory: Path,
        environment: Mapping[str, str],
        tell: Tell,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._pid_file = directory / f"{name}.pid"
        self._command = command
        self._environment = environment
        self._tell = tell
        self._process: Process | None = None
        self._spawning: asyncio.Task[Process] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process that runs now, or ran last; 0 before the first start."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start it, and keep it running from now on."""
        self.log.write_bytes(b"")
        process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(process))

    async def given_up(self) -> None:
        """Wait for as long as it can be kept running.

        Raises:
            StackError: It dies at every start.
        """
        if self._keeper is not None:
            await asyncio.shield(self._keeper)

    async def stop(self) -> None:
        """End it, politely first; harmless if it has ended already."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._spawning is not None:
            self._process = await self._spawning
        if self._process is not None:
            await _end(self._process)
        self._pid_file.unlink(missing_ok=True)

    async def _keep(self, process: Process) -> None:
        quick = 0
        while True:
            began = asyncio.get_running_loop().time()
            code = await process.wait()
            lived = asyncio.get_running_loop().time() - began
            quick = quick + 1 if lived < QUICK_S else 0
            if quick >= DEATHS:
                raise StackError(
                    f"the {self.name} dies at every start; {self.log} ends: {last_line(self.log)}"
                )
            self._tell(f"{self.name} {process.pid} {_fate(code)}: starting it again")
            await asyncio.sleep(FIRST_WAIT_S * 2 ** (quick - 1) if quick else 0)
            process = await self._spawn()

    async def _spawn(self) -> Process:
        """Start a process; one that is born while we are cancelled is still known to `stop`."""
        self._spawning = asyncio.create_task(self._run())
        self._process = await asyncio.shield(self._spawning)
        self._pid_file.write_text(f"{self.pid}\n")
        return self._process

    async def _run(self) -> Process:
        with self._appending() as log:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # the terminal's Ctrl-C is ours to hand on, in order
            )

    def _appending(self) -> IO[bytes]:
        return self.log.open("ab")


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(GRACE_S):
            await process.wait()
    except (TimeoutError, ProcessLookupError):
        pass
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def first_of(*waits: Awaitable[object], timeout_s: float | None = None) -> bool:
    """Wait until one of them ends, and leave the others; return whether one did in time.

    Raises:
        Exception: What the one that ended raised.
    """
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()


async def end_leftover(pid_file: Path, *, marker: str, tell: Tell) -> None:
    """End the process of a stack that was killed, if it still lives and is still that process.

    Args:
        pid_file: Written by that stack.
        marker: What its command line holds; the pid may be a stranger's by now.
        tell: Told in one line.
    """
    pid = _pid_in(pid_file)
    if pid is None or marker not in _command_of(pid):
        return
    tell(f"ending {pid_file.stem} {pid}, left over by a stack that was killed")
    loop = asyncio.get_running_loop()
    for number, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        deadline = loop.time() + patience
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        while marker in _command_of(pid) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        if marker not in _command_of(pid):
            return
    raise StackError(f"{pid_file.stem} {pid}, left over by a stack that was killed, does not end")


def last_line(log: Path) -> str:
    """Return the last line of a log, shortened."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "(empty)")


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _command_of(pid: int) -> str:
    """Return the command line of a living process, else nothing."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
        return ""
    ps = shutil.which("ps") or "/bin/ps"
    found = subprocess.run(  # noqa: S603  # a fixed command and a number
        [ps, "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout


def _fate(code: int) -> str:
    return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
