"""How many users a thread assigns in a second, and how many of them a growing ramp moves.

A flag of two variants, half each, answered from memory: ours, the bare hash, and the peers, in
turn, round after round; seconds are those the thread had the processor. Ratios are medians of
rounds. `rampart + exposures` has every user noted for the first time; writing them to the database,
once per user and epoch, is the flush's and not timed. Exit code 1 when a target is missed.
Contenders: `assigning/contenders.py`. Ramps: `assigning/ramps.py`.

    uv run python benchmarks/assignment.py --json
"""

import argparse
import json
import platform
import random
import statistics
import sys
import time
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from benchmarks.assigning.contenders import Serve, contenders
from benchmarks.assigning.ramps import flips

POPULATION = 10_000  # so that it is the code that is timed, and not the memory
ROUND_S = 0.02  # of each contender, at most
PACKAGES = ("mmh3", "growthbook", "unleashclient", "eppo-server-sdk", "openfeature-sdk")
AT_LEAST = {
    "ours_over_mmh3": 0.45,
    "with_exposure_over_mmh3": 0.3,
    "ours_over_growthbook": 40.0,
}
AT_MOST = {"flipped_percent": 0.0}
RATIOS = {
    "ours_over_mmh3": ("rampart", "mmh3"),
    "with_exposure_over_mmh3": ("rampart + exposures", "mmh3"),
    "with_known_exposure_over_mmh3": ("rampart + exposures, seen before", "mmh3"),
    "ours_over_eppo": ("rampart", "eppo"),
    "ours_over_openfeature": ("rampart", "openfeature in-memory"),
    "ours_over_growthbook": ("rampart", "growthbook"),
    "ours_over_unleash": ("rampart", "unleash"),
}

Rates = dict[str, list[float]]  # calls a second, in each round


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument("--quick", action="store_true", help="a few rounds; misses no target")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    given = parser.parse_args()
    started = time.perf_counter()
    rates = race(rounds=5 if given.quick else 60, seed=given.seed)
    users = [f"user-{number}" for number in range(500 if given.quick else 2_000)]
    moved = flips(users, ramps=1 if given.quick else 5, seed=given.seed)
    found = summary(rates) | {"flipped_percent": max(moved["rampart"].values())}
    wrong = [] if given.quick else missed(found)
    about = {
        "quick": given.quick,
        "seed": given.seed,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
    if given.json:
        medians = {name: round(statistics.median(rates[name])) for name in rates}
        judged = {"targets": {"at_least": AT_LEAST, "at_most": AT_MOST}, "missed": wrong}
        rest = {"calls_per_second": medians, "flipped": moved, "about": about}
        print(json.dumps(found | judged | rest, indent=1))
    else:
        show(rates, moved, wrong)
        print(about)
    return 1 if wrong else 0


def race(*, rounds: int, seed: int) -> Rates:
    """Let all contenders serve in turn, in another order each round."""
    chance = random.Random(seed)  # noqa: S311  # reproducible, and guards no secret
    users = [f"user-{number}" for number in range(POPULATION)]
    chance.shuffle(users)
    making = contenders()
    served = {name: _enough(make(), users) for name, make in making.items()}
    rates: Rates = {name: [] for name in making}
    for _ in range(rounds):
        for name in chance.sample([*making], len(making)):
            some = users[: served[name]]
            rates[name].append(len(some) / _seconds(making[name](), some))
    return rates


def summary(rates: Rates) -> dict[str, float]:
    """Return the median of each ratio, taken round by round: so a slow moment hits both alike."""
    return {
        key: round(
            statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True)), 3
        )
        for key, (one, other) in RATIOS.items()
    }


def missed(found: dict[str, float]) -> list[str]:
    """Return the targets that were not met, in words."""
    low = [
        f"{key} {found[key]:g} < {least:g}" for key, least in AT_LEAST.items() if found[key] < least
    ]
    high = [
        f"{key} {found[key]:g} > {most:g}" for key, most in AT_MOST.items() if found[key] > most
    ]
    return low + high


def show(rates: Rates, moved: dict[str, dict[int, float]], wrong: list[str]) -> None:
    """Print what was found as two tables."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    speed = Table("assigns", "calls/s, median", "of bare mmh3", title="A flag of two variants")
    limit = statistics.median(rates["mmh3"])
    for name in sorted(rates, key=lambda name: -statistics.median(rates[name])):
        median = statistics.median(rates[name])
        speed.add_row(name, f"{median:,.0f}", f"{median / limit:.3f}")
    console.print(speed)
    flipped = Table("assigns", title="Treated users moved by a ramp in which every arm grows, %")
    for arms in moved["rampart"]:
        flipped.add_column(f"{arms} arms", justify="right")
    for name, percents in moved.items():
        flipped.add_row(name, *(f"{percent:g}" for percent in percents.values()))
    console.print(flipped)
    console.print(f"missed: {'; '.join(wrong)}" if wrong else "no target is missed")


def _enough(serve: Serve, users: list[str]) -> int:
    """Return how many users take about a round's time, at most all."""
    some = users[:2_000]
    serve(some)
    return min(len(users), int(len(some) * ROUND_S / _seconds(serve, some)))


def _seconds(serve: Serve, users: list[str]) -> float:
    started = time.thread_time()
    serve(users)
    return time.thread_time() - started


if __name__ == "__main__":
    sys.exit(main())
