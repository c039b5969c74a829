"""Thousands of sequences, in some processes: `python -m tests.properties.run [--sequences N]`.

Prints how many were played and how long it took; a sequence that breaks something is shrunk to its
shortest form and printed, and the exit code is 1.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from time import monotonic, time_ns

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machine import RolloutMachine
from tests.properties.town import end

SEQUENCES, STEPS = 10_000, 12
PART = 500  # played by one process, which forgets them afterwards


def play(number: int, *, sequences: int) -> None:
    """Play so many, begun from the number; print how many, and their steps.

    Raises:
        AssertionError: One of them broke something.
    """
    seed(number)(RolloutMachine)
    chosen = settings(
        max_examples=sequences,
        stateful_step_count=STEPS,
        database=None,
        deadline=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(RolloutMachine, settings=chosen)
    end()
    print(RolloutMachine.played, RolloutMachine.steps)  # noqa: T201


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.properties.run")
    parser.add_argument("--sequences", type=int, default=SEQUENCES)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, default=time_ns() % 2**32, help="of the first process")
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.part:
        play(given.seed, sequences=given.sequences)
        return 0
    return _share(given.sequences, jobs=given.jobs, first=given.seed)


def _share(sequences: int, *, jobs: int, first: int) -> int:
    """Have processes play parts of them, until enough were played."""
    began, played, steps, number = monotonic(), 0, 0, first
    print(f"seed {first}", file=sys.stderr)  # noqa: T201
    while played < sequences:
        parts = []
        for _ in range(min(jobs, -(-(sequences - played) // PART))):
            parts.append(_part(number, sequences=min(PART, sequences - played)))
            number += 1
        for part in parts:
            said, failed = part.communicate()
            if part.returncode:
                print(said, failed, sep="\n", file=sys.stderr)  # noqa: T201
                return 1
            more, done = map(int, said.split())
            played, steps = played + more, steps + done
    took = monotonic() - began
    print(f"{played} sequences, {steps} steps, nothing broken, in {took:.0f} s")  # noqa: T201
    return 0


def _part(number: int, *, sequences: int) -> "subprocess.Popen[str]":
    words = ["--part", "--seed", str(number), "--sequences", str(sequences)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.properties.run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    sys.exit(main())
