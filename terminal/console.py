"""How the command line speaks: two streams, one line per error, and how it leaves an event loop."""

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

SETTLE_S = 0.05  # leaving at once after Temporal work can crash the interpreter: sdk-python#300
PIPED_WIDTH = 200  # of tables that no terminal limits

Result = TypeVar("Result")


class Usage(Exception):
    """What was typed cannot be meant."""


# What moves a terminal's cursor, sets its title or turns its text around: C0, C1, bidi marks.
UNSEEN = (*range(9), *range(11, 32), *range(127, 160), 0x61C, *range(0x200E, 0x2010),
          *range(0x2028, 0x202F), *range(0x2066, 0x206A))  # fmt: skip
SEEN = dict.fromkeys(UNSEEN, "�")
ESCAPED = {code: f"\\u{code:04x}" for code in UNSEEN if code > 31}


class Screen(Console):
    """A console that shows the texts of others and obeys none of them."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Return what is to be written, with nothing in it that a terminal would do."""
        return harmless(super().render(renderable, options))


def harmless(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield what is to be written, with nothing in its text that a terminal would do."""
    for text, style, control in segments:
        yield Segment(text if control else text.translate(SEEN), style, control)


def _console(*, stderr: bool) -> Console:
    """Take texts as they are: a template may well hold `[bold]` or `:smile:`."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else PIPED_WIDTH
    return Screen(stderr=stderr, markup=False, emoji=False, highlight=False, width=width)


out = _console(stderr=False)
err = _console(stderr=True)


def answers_keys() -> bool:
    """Say whether a person sits at it: keys come in, and pictures go out on both streams."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(each.isatty() for each in streams) and not out.is_dumb_terminal


def say(line: str) -> None:
    """Print one line, however long."""
    out.print(line, soft_wrap=True)


def warn(line: str) -> None:
    """Print one line where errors go."""
    err.print(f"rampart: {' '.join(line.split())}", soft_wrap=True)


def say_json(value: object) -> None:
    """Print JSON: indented for a reader, one line for a pipe."""
    indent = 2 if out.is_terminal else None
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    out.print(text.translate(ESCAPED), soft_wrap=True)


def carry_out(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, or until SIGINT, SIGTERM or SIGHUP cancel it.

    Raises:
        KeyboardInterrupt, asyncio.CancelledError: By these signals, once all is cleaned up.
    """
    return asyncio.run(_settled(work))


async def _settled(work: Coroutine[Any, Any, Result]) -> Result:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    try:
        return await work
    finally:
        await asyncio.sleep(SETTLE_S)


def prompt_of(text: str) -> tuple[str, str]:
    """Return name and type of a flag key.

    Raises:
        Usage: It is none.
    """
    name, _, prompt_type = text.rpartition(".")
    if not (name and prompt_type):
        raise Usage(f"PROMPT must be <name>.<prompt_type>, such as greeting.system, got {text!r}")
    return name, prompt_type


def text_of(file: str) -> str:
    """Return what a file holds; `-` is what is piped in.

    Raises:
        Usage: It cannot be read.
    """
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except OSError as error:
        raise Usage(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Usage(f"cannot read {file}: it is not UTF-8 text") from error
