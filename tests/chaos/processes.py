"""Workers as processes: this release's or another's, mortal, or with a clock that can be set."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import libfaketime

from settings import child_environment
from tests.chaos.victims import ROOT

PRELOAD = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
STRUCK_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Strike:
    """At which commit of which activity a worker does what, once; see `mortal`."""

    activity: str
    moment: str
    deed: str
    marker: Path

    @property
    def arguments(self) -> list[str]:
        return [self.activity, self.moment, self.deed, str(self.marker)]

    async def done(self) -> None:
        """Wait until a worker has struck."""
        try:
            async with asyncio.timeout(STRUCK_S):
                while not self.marker.exists():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"no worker came to the commit of {self.activity}") from None

    def release(self) -> None:
        """Let the one that halts go on."""
        self.marker.with_suffix(".go").touch()


class Clock:
    """The wall clock of a process, which can be set while it runs."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Have the process believe that it is so much later, or earlier, than it is."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.rename(self._file)  # never half-written

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(PRELOAD),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


class WorkerProcess:
    """One worker."""

    def __init__(self, log: Path, environment: dict[str, str], *, code: Path = ROOT) -> None:
        self._log = log
        self._environment = child_environment(**environment)
        self._code = code
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, strike: Strike | None = None) -> None:
        arguments = strike.arguments if strike else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.mortal", *arguments],
                cwd=self._code,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    @property
    def identity(self) -> str:
        """What Temporal knows it by."""
        assert self._process
        return f"{self._process.pid}@{os.uname().nodename}"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int | None:
        """What it ended with."""
        return self._process.poll() if self._process else None

    async def died(self) -> None:
        """Wait until it is dead."""
        assert self._process
        await asyncio.to_thread(self._process.wait, STRUCK_S)

    def terminate(self) -> None:
        """Ask it to end."""
        assert self._process
        self._process.terminate()

    def kill(self) -> None:
        """Kill it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
