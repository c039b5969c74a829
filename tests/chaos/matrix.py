"""The matrix: whatever is killed, cut or filled, and whenever, each rollout ends as it should.

`python -m tests.chaos.matrix [--json] [--only PATTERN] [--jobs N] [--keep]`; exit code 1 if a cell
is red. A cell that cannot be set up is red too.
"""

import argparse
import asyncio
import json
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

from tests.chaos.cells import CELLS, COLUMNS, Cell
from tests.chaos.place import Place, Town, town
from tests.chaos.scene import Scene

JOBS = 4  # a cell mostly waits: for a timeout of an activity, as a rule
LIMIT_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a cell went; `reason` says why it is red."""

    row: str
    column: str
    reason: str = ""
    seconds: float = 0.0

    @property
    def green(self) -> bool:
        return not self.reason


async def play(cell: Cell, town: Town, *, folder: Path) -> None:
    """Play one cell.

    Raises:
        AssertionError: It did not end as it should.
    """
    folder.mkdir()
    async with (
        asyncio.timeout(LIMIT_S),
        Place(town, folder, needs=cell.needs) as place,
        Scene(place) as scene,
    ):
        await cell.play(scene)
        await scene.ended(cell.ending, story=cell.story)


async def result_of(cell: Cell, town: Town, *, folder: Path) -> Result:
    """Play one cell; whatever it raises is why it is red."""
    began = monotonic()
    task = asyncio.create_task(play(cell, town, folder=folder))
    await asyncio.wait([task])
    error = task.exception()
    reason = "" if error is None else " ".join(f"{type(error).__name__}: {error}".split())
    seconds = round(monotonic() - began, 1)
    return Result(row=cell.row, column=cell.column, reason=reason, seconds=seconds)


async def play_all(cells: Sequence[Cell], *, jobs: int, folder: Path) -> list[Result]:
    """Play them, some at a time, and tell of each on stderr as it ends."""
    turn = asyncio.Semaphore(jobs)

    async def take(number: int, cell: Cell) -> Result:
        async with turn:
            result = await result_of(cell, servers, folder=folder / f"cell_{number}")
        print(_line(result), file=sys.stderr, flush=True)  # noqa: T201
        return result

    async with town(folder) as servers:
        return await asyncio.gather(*(take(number, cell) for number, cell in enumerate(cells)))


def drawn(results: Sequence[Result]) -> str:
    """Return the matrix as text, and under it why each red cell is red."""
    rows = list(dict.fromkeys(result.row for result in results))
    found = {(result.row, result.column): "✓" if result.green else "✗" for result in results}
    width = max(map(len, rows), default=0)
    head = " " * width + "".join(f"  {column}" for column in COLUMNS)
    body = [
        f"{row:{width}}"
        + "".join(f"  {found.get((row, column), ''):^{len(column)}}" for column in COLUMNS)
        for row in rows
    ]
    red = [
        f"✗ {result.row}, {result.column}: {result.reason}" for result in results if result.reason
    ]
    green = len(results) - len(red)
    return "\n".join(
        [head, *map(str.rstrip, body), "", *red, f"{len(results)} cells, {green} green"]
    )


def data(results: Sequence[Result]) -> str:
    """Return the same as JSON."""
    cells = [asdict(result) | {"green": result.green} for result in results]
    green = sum(result.green for result in results)
    return json.dumps({"cells": cells, "green": green, "red": len(results) - green}, indent=2)


def main(words: Sequence[str] | None = None) -> int:
    """Play the cells that are asked for, and print what became of them."""
    given = _options().parse_args(words)
    cells = [cell for cell in CELLS if re.search(given.only, cell.name)]
    if not cells:
        print(f"no cell is named like {given.only!r}", file=sys.stderr)  # noqa: T201
        return 2
    folder = Path(tempfile.mkdtemp(prefix="rampart-chaos-"))
    logging.basicConfig(filename=folder / "matrix.log")  # of clients whose servers are killed
    results = asyncio.run(play_all(cells, jobs=given.jobs, folder=folder))
    print(data(results) if given.json else drawn(results))  # noqa: T201
    red = not all(result.green for result in results)
    if red or given.keep:
        print(f"logs are in {folder}", file=sys.stderr)  # noqa: T201
    else:
        shutil.rmtree(folder)
    return int(red)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.matrix")
    parser.add_argument("--json", action="store_true", help="print data")
    parser.add_argument("--only", default="", help="play the cells whose name matches")
    parser.add_argument("--jobs", type=int, default=JOBS, help="so many cells at a time")
    parser.add_argument("--keep", action="store_true", help="keep the logs of green cells too")
    return parser


def _line(result: Result) -> str:
    said = "✓" if result.green else f"✗ {result.reason}"
    return f"{result.seconds:6.1f} s  {result.row}, {result.column}: {said}"


if __name__ == "__main__":
    sys.exit(main())
