"""Somebody who does what a guide says, in order, and looks whether it shows what happens.

`python -m tests.guides.reader DOCUMENT`, in an empty directory, with a stack in the environment.
"""

import ast
import asyncio
import faulthandler
import inspect
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import FunctionType
from typing import Any

import cli
from tests.guides.document import ROOT, Block, Command, blocks, commands, shows

# What a test does not do: it has a checkout, and a stack that is up and that others use too.
DONE = re.compile(r"(git|cd|make|docker|export|kill|\.) |rampart (dev|demo|worker)\b")
LOOKS = re.compile(
    r"rampart (status|why|list|journal|version (list|show))\b"
    r"|rampart (monitor (status|alerts)|experiment (status|journal|list))\b"
    r"|temporal workflow (list|count|describe|query)\b"
)
PIPED = {">", "|"}
USUAL = {"RAMPART_UI_URL": "http://127.0.0.1:8233", "TEMPORAL_ADDRESS": "127.0.0.1:7233"}
PATIENCE_S = 30.0  # until what is looked at is as shown: a reader is slower than a test
LONGEST_S = 100.0  # of a guide, or of one command


class Reader:
    """Types the commands of a guide, saves its files and runs its Python, all where it stands."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        self._runner = asyncio.Runner()

    def read(self, document: Path) -> None:
        """Do all that the document says."""
        for block in blocks(document):
            if block.file:
                Path(block.file).write_text(block.source)
            elif block.language == "python":
                self._execute(block)
            elif block.language == "console":
                for command in commands(block):
                    self._type(command, where=block.where)

    def _execute(self, block: Block) -> None:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(block.source, block.where, "exec", flags=flags)
        result = FunctionType(code, self._names)()
        if inspect.isawaitable(result):
            self._runner.run(_awaited(result))

    def _type(self, command: Command, *, where: str) -> None:
        if DONE.match(command.typed):
            _check(command.typed)
        elif command.typed.endswith("&"):
            subprocess.Popen(shlex.split(command.typed.removesuffix("&")))
        else:
            self._try(command, where=where)

    def _try(self, command: Command, *, where: str) -> None:
        """Type it, and what only looks once more until it looks as shown."""
        deadline = time.monotonic() + PATIENCE_S * bool(LOOKS.match(command.typed))
        while True:
            code, printed = _run(command.typed)
            if shows(command.shown, printed) if command.shown else code == 0:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{where}: $ {command.typed}\n{printed}")
            time.sleep(0.2)


def _run(typed: str) -> tuple[int, str]:
    program, *given = shlex.split(typed)
    here = {"rampart": _rampart, "python": _python}.get(program)
    code, printed = here(typed) if here and not PIPED & {*given} else _shell(typed)
    for variable, usual in USUAL.items():
        printed = printed.replace(os.environ[variable], usual)
    return code, printed


def _rampart(typed: str) -> tuple[int, str]:
    """Run it in this process, which is ten times as fast."""
    before, sys.argv = sys.argv, shlex.split(typed)
    printed = io.StringIO()
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            return cli.main(), printed.getvalue()
    finally:
        sys.argv = before


def _python(typed: str) -> tuple[int, str]:
    """Run a file in this process, which has NumPy loaded."""
    _, file = shlex.split(typed)
    printed = io.StringIO()
    with redirect_stdout(printed):
        runpy.run_path(file, run_name="__main__")
    return 0, printed.getvalue()


def _shell(typed: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", typed], capture_output=True, text=True, check=False, timeout=LONGEST_S
    )
    return done.returncode, done.stdout + done.stderr


def _check(typed: str) -> None:
    """Look whether what is not run could be: the target, or the command and its options."""
    words = shlex.split(typed)
    if words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(), typed
    if words[0] == "rampart":
        code, printed = _rampart(f"{typed} --help")
        assert code == 0, f"{typed}: {printed}"


async def _awaited(result: Any) -> None:
    await result


def main() -> int:
    """Read the document that is named, and print what went wrong."""
    faulthandler.dump_traceback_later(LONGEST_S, exit=True)
    try:
        Reader().read(Path(sys.argv[1]))
    except BaseException:  # noqa: BLE001  # the process ends here, whatever it was
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)  # what a guide left running ends with it, and is not waited for
