"""A terminal in memory: a command runs in it, is typed to, is resized, and is looked at."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from settings import child_environment

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0
ESCAPE = "\x1b"
CTRL_C = "\x03"


class Terminal:
    """Runs `rampart …` while entered; all it wrote is kept."""

    def __init__(self, *words: str, columns: int = 120, rows: int = 40, **variables: str) -> None:
        self.written = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._words, self._variables = words, variables

    def __enter__(self) -> Self:
        self._ours, self._theirs = pty.openpty()
        self._before = termios.tcgetattr(self._theirs)
        self._size()
        environment = child_environment(**{"TERM": "xterm-256color"} | self._variables)
        for name in ("COLUMNS", "LINES"):  # of readline, which pytest loads; they would be believed
            environment.pop(name, None)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", *self._words],
            cwd=ROOT,
            env=environment,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def text(self) -> str:
        """What is to be seen, line by line."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def flowing(self) -> str:
        """What is to be seen, wherever its lines break."""
        return " ".join(self.text.split())

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its modes, its own screen, its cursor."""
        on, off = self.written.rfind(b"\x1b[?1049h"), self.written.rfind(b"\x1b[?1049l")
        shown = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self._theirs) == self._before and off > on and shown

    def resize(self, columns: int, rows: int) -> None:
        """Make it so large."""
        self._screen.resize(rows, columns)
        self._size()
        self.signal(signal.SIGWINCH)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._ours, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        """Send the command a signal."""
        self._process.send_signal(number)

    def until(self, *wanted: str, bottom: str = "") -> str:
        """Wait until all of that is to be seen, `bottom` in the last row; return the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._shows(wanted, bottom):
            assert time.monotonic() < deadline, f"no {wanted} {bottom} in:\n{self.text}"
            assert self._read() or self._process.poll() is None, f"it left:\n{self.text}"
        return self.text

    def end(self) -> int:
        """Wait until the command has ended; return its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self._read()
        while self._read():
            pass
        return self._process.returncode

    def _shows(self, wanted: tuple[str, ...], bottom: str) -> bool:
        return bottom in self._screen.display[-1] and all(each in self.flowing for each in wanted)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 0.1)
        if not ready:
            return False
        found = os.read(self._ours, 65536)
        self.written += found
        self._stream.feed(found)
        return True

    def _size(self) -> None:
        size = struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0)
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, size)
