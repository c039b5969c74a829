"""How a thousand live rollouts fare on one worker, and what they cost.

The rollouts follow the preset `standard`, checked after 5 s, each wait half as long again up to
5 min. They run on Temporal's dev server with a database file, on PostgreSQL and one worker process
(`fleet/live.py`); meanwhile users come and are counted. What a stage of seven days costs is counted
from the history of a real one on the server that skips time (`fleet/week.py`), and held against the
least that a loop of one check each 60 s could do. Exit code 1 when a target is missed.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version

import numpy as np
from rich.console import Console
from rich.table import Table

import benchmarks.fleet.unshadow  # noqa: F401  # before `workflows` is looked for
from benchmarks.fleet.live import Late, Lives, Size, watch
from benchmarks.fleet.week import Week, stage_of

FULL = Size(rollouts=1000, watch_s=120.0, signals=150)
QUICK = Size(rollouts=50, watch_s=15.0, signals=20)
DAYS = 7.0
QUICK_DAYS = 1.0
TARGETS = {  # at most
    "lateness_p99_over_interval": 2.0,
    "signal_p99_ms": 200.0,
    "actions_over_fixed_60s": 0.25,
}
PACKAGES = ("temporalio", "asyncpg", "sqlalchemy", "rampart-rollouts")

Summary = dict[str, float]


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument(
        "--quick", action="store_true", help="50 rollouts, a stage of one day; misses no target"
    )
    parser.add_argument("--rollouts", type=int, help=f"how many (default {FULL.rollouts})")
    given = parser.parse_args()
    started = time.perf_counter()
    size = QUICK if given.quick else FULL
    if given.rollouts:
        size = Size(rollouts=given.rollouts, watch_s=size.watch_s, signals=size.signals)
    week = asyncio.run(stage_of(QUICK_DAYS if given.quick else DAYS))
    lives = asyncio.run(watch(size))
    found = summary(lives, week)
    wrong = [] if given.quick else missed(found)
    about = {
        "quick": given.quick,
        "cores": os.cpu_count(),
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    if given.json:
        judged = {"summary": found, "targets": TARGETS, "missed": wrong, "about": about}
        told = {"by_interval": by_interval(lives.checks), "stage": asdict(week)}
        print(json.dumps(judged | told, indent=1))
    else:
        show(found, by_interval(lives.checks), wrong)
        Console(width=120).print(about)
    return 1 if wrong else 0


def summary(lives: Lives, week: Week) -> Summary:
    """Return the figures that the targets are about, and some to judge them by."""
    late = [check.lateness_s for check in lives.checks]
    over = [check.over_interval for check in lives.checks]
    before, after = lives.worker_mb
    rollouts = lives.size.rollouts
    return {
        "rollouts": rollouts,
        "start_s": lives.open_s,
        "opening_p99_s": quantile(lives.openings_s, 0.99),
        "checks": len(lives.checks),
        "lateness_p50_s": quantile(late, 0.5),
        "lateness_p99_s": quantile(late, 0.99),
        "lateness_p50_over_interval": quantile(over, 0.5),
        "lateness_p99_over_interval": quantile(over, 0.99),
        "signals": len(lives.signals_s),
        "signals_unanswered": lives.unanswered,
        "signal_p50_ms": 1000 * quantile(lives.signals_s, 0.5),
        "signal_p99_ms": 1000 * quantile(lives.signals_s, 0.99),
        "worker_mb_idle": before,
        "worker_mb": after,
        "worker_mb_per_rollout": (after - before) / rollouts,
        **{f"{name}_cores": cores for name, cores in lives.cpu.items()},
        "user_events": lives.events,
        "history_events_per_rollout_and_hour": week.events / week.days / 24,
        "history_events_per_check": week.events / week.checks,
        "actions_per_rollout_and_day": sum(week.actions.values()) / week.days,
        "actions_of_the_stage": sum(week.actions.values()),
        "actions_fixed_60s": week.fixed,
        "actions_over_fixed_60s": week.over_fixed,
    }


def by_interval(checks: Sequence[Late]) -> list[dict[str, float]]:
    """Return lateness by the wait that was due, jitter left out: 5 s, 7.5 s and so on."""
    steps = 5.0 * 1.5 ** np.arange(11)
    found = []
    for low, high in zip(steps, [*steps[1:], np.inf], strict=True):
        late = [check.lateness_s for check in checks if low <= check.interval_s < high]
        if late:
            found.append(
                {
                    "interval_s": float(low),
                    "checks": len(late),
                    "lateness_p50_s": quantile(late, 0.5),
                    "lateness_p99_s": quantile(late, 0.99),
                }
            )
    return found


def quantile(values: Sequence[float], q: float) -> float:
    """Return the quantile; not a number when there are none."""
    return float(np.quantile(values, q)) if values else float("nan")


def missed(found: Summary) -> list[str]:
    """Return the targets that were not reached; a figure that is not a number reaches none."""
    wrong = [name for name, target in TARGETS.items() if not found[name] <= target]
    return wrong + (["signals_unanswered"] if found["signals_unanswered"] else [])


def show(found: Summary, steps: list[dict[str, float]], wrong: list[str]) -> None:
    """Print the tables."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title="Live rollouts on one worker", title_justify="left")
    for head, side in (("", "left"), ("found", "right"), ("target", "right")):
        table.add_column(head, justify="right" if side == "right" else "left")
    for name, value in found.items():
        target = f"≤ {TARGETS[name]:g}" if name in TARGETS else ""
        table.add_row(name.replace("_", " "), f"{value:,.4g}", target)
    table.caption = f"missed: {', '.join(wrong)}" if wrong else "every target was reached"
    console.print(table)
    late = Table(title="How late a check is, by the wait it ends", title_justify="left")
    for head in ("wait s", "checks", "p50 s", "p99 s"):
        late.add_column(head, justify="right")
    for step in steps:
        late.add_row(*(f"{value:,.4g}" for value in step.values()))
    console.print(late)


if __name__ == "__main__":
    sys.exit(main())
