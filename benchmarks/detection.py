"""How soon harm is found, and how often nothing is called harm: ours and its peers.

Ours is the code that decides in production (`domain.stats.harm`, `domain.stats.noninferiority`);
every method watches the same simulated events and looks every 20 of them. Exit code 1 when a target
is missed. Scenarios: `trials/grid.py`. Peers: `trials/peers.py`.
"""

import argparse
import json
import platform
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
from rich.console import Console

from benchmarks.trials.exactness import Audit, enumeration_error, sample_ratio
from benchmarks.trials.figures import TARGETS, Report, Summary, merged, missed, report, summary
from benchmarks.trials.grid import FULL, QUICK, Scenario, Sizes, jobs, scenarios, work
from benchmarks.trials.race import Results
from benchmarks.trials.tables import show

PROCESSES = 2
PACKAGES = ("numpy", "scipy", "gbstats", "rampart-rollouts")


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print all cells as JSON, nothing else")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument(
        "--quick", action="store_true", help="few runs of fewer scenarios; misses no target"
    )
    given = parser.parse_args()
    started = time.perf_counter()
    cells, found = measure(QUICK if given.quick else FULL, given.seed)
    about = {
        "seed": given.seed,
        "quick": given.quick,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    wrong = [] if given.quick else missed(found)
    if given.json:
        judged = {"summary": found, "targets": TARGETS, "missed": wrong, "about": about}
        print(json.dumps({**judged, **asdict(cells)}, indent=1))
    else:
        console = Console(width=None if sys.stdout.isatty() else 180)
        show(cells, found, wrong, console)
        console.print(about)
    return 1 if wrong else 0


def measure(sizes: Sizes, seed: int) -> tuple[Report, Summary]:
    """Simulate everything; return all cells and the summary."""
    planned = scenarios(sizes)
    parts: dict[Scenario, list[list[Results]]] = {scenario: [] for scenario in planned}
    audit = Audit()
    todo = jobs(planned, seed)
    with ProcessPoolExecutor(PROCESSES) as pool:
        for job, (found, audited) in zip(todo, pool.map(work, todo), strict=True):
            parts[job.scenario].append(found)
            audit += audited
    cells = report(
        (scenario, [merged(of_kind) for of_kind in zip(*found, strict=True)])
        for scenario, found in parts.items()
    )
    ratio = sample_ratio(np.random.SeedSequence([seed, len(todo)]))
    return cells, summary(cells, audit, ratio, enumeration_error())


if __name__ == "__main__":
    sys.exit(main())
