"""How soon a rollback that is committed is served by the last of 50 processes.

Real rollbacks (`RolloutManager.roll_back`) on a real PostgreSQL; each process is a `Router` of its
own that is told through Redis, told by PostgreSQL, or polls. Timed from the commit's return to the
moment after which no user of any process is treated. The limit is bare redis-py pub/sub to as many
processes; peers are quoted, not run: they poll. Exit code 1 when a target is missed.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.spreading.processes import Processes, Way
from benchmarks.spreading.rollbacks import Operator, Spread, spread, spread_bare
from benchmarks.spreading.servers import postgres, redis
from domain.database import Database

PROCESSES = 50
TIMES = {Way.REDIS: 200, Way.NOTIFY: 200, Way.POLLING: 60, Way.BARE: 200}
QUICK = {Way.REDIS: 10, Way.NOTIFY: 10, Way.POLLING: 3, Way.BARE: 10}
TARGETS = {"p99_ms_redis": 100.0, "p99_ms_notify": 3000.0, "p99_ms_polling": 3000.0}
QUOTED = {"GrowthBook, its cache's time to live": 60_000, "Unleash, its refresh interval": 15_000}
PACKAGES = ("redis", "asyncpg", "rampart-rollouts")


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument("--quick", action="store_true", help="few rollbacks; misses no target")
    parser.add_argument(
        "--processes", type=int, default=PROCESSES, help=f"that serve (default {PROCESSES})"
    )
    given = parser.parse_args()
    started = time.perf_counter()
    times = QUICK if given.quick else TIMES
    found = measure(times, processes=given.processes)
    figures = summary(found)
    missed = [name for name, most in TARGETS.items() if not figures[name] <= most]
    wrong = [] if given.quick else missed
    about = {
        "processes": given.processes,
        "rollbacks": {str(way): many for way, many in times.items()},
        "cores": os.cpu_count(),
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    if given.json:
        print(json.dumps(figures | {"targets": TARGETS, "missed": wrong, "about": about}, indent=1))
    else:
        show(found, wrong)
        Console(width=120).print(about)
    return 1 if wrong else 0


def measure(times: Mapping[Way, int], *, processes: int) -> dict[Way, Spread]:
    """Return how rollbacks spread in each way, one way after the other."""
    found = {}
    with TemporaryDirectory(prefix="rampart-") as folder:
        path = Path(folder)
        with postgres(path / "postgres") as database_url, redis(path / "redis") as redis_url:
            asyncio.run(_furnish(database_url))
            for way, many in times.items():
                forked = Processes(processes, way, database_url=database_url, redis_url=redis_url)
                if way is Way.BARE:
                    run = spread_bare(forked, times=many, redis_url=redis_url)
                else:
                    run = spread(
                        forked, way, times=many, database_url=database_url, redis_url=redis_url
                    )
                found[way] = asyncio.run(run)
    return found


async def _furnish(database_url: str) -> None:
    database = Database(database_url)
    await Operator(database).furnish()
    await database.dispose()


def summary(found: Mapping[Way, Spread]) -> dict[str, float]:
    """Return the quantiles over rollbacks of the time to the last process."""
    return {
        f"p{percent}_ms_{way}": round(quantile(of.last_ms, percent), 2)
        for way, of in found.items()
        for percent in (50, 99)
    }


def quantile(values: Sequence[float], percent: int) -> float:
    """Return the quantile."""
    return float(np.quantile(values, percent / 100))


def show(found: Mapping[Way, Spread], missed: Sequence[str]) -> None:
    """Print a table."""
    table = Table(title="ms from a rollback's commit until it is served")
    table.add_column("told by")
    for column in ("one process p50", "p99", "the last p50", "p99", "most", "target"):
        table.add_column(column, justify="right")
    for way, of in found.items():
        cells = [quantile(values, p) for values in (of.each_ms, of.last_ms) for p in (50, 99)]
        target = TARGETS.get(f"p99_ms_{way}")
        mark = " missed" if f"p99_ms_{way}" in missed else ""
        shown = [f"{cell:.1f}" for cell in (*cells, max(of.last_ms))]
        name = "redis-py alone (limit)" if way is Way.BARE else str(way)
        table.add_row(name, *shown, f"{target:.0f}{mark}" if target else "")
    for name, most in QUOTED.items():
        table.add_row(name, "", "", "", "", f"{most:.0f}", "quoted", style="dim")
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
