"""What one check costs: the judgement of five guardrails on a block of 10 000 events.

Measured is `domain.evidence.weighing.weigh`, the function that judges in production, from the
counts that the database returned to the verdict: one process of harm and one of safety for the
success rate, and for each threshold of the four numbers.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
from rich.console import Console
from rich.table import Table

from domain.evidence.looks import Arm, Counts, Evidence, Look, Sample
from domain.evidence.weighing import weigh
from domain.guardrail import Guardrail
from domain.policy import Policy
from domain.stats.harm import Block, Harm
from domain.stats.noninferiority import Safety

BLOCK = 10_000  # events between two checks
SPLITS = (0.1, 0.5)
TARGET = 5.0  # ms a check
RATE = 0.95
TIMES = (0.50, 0.75, 0.90, 0.95, 0.99)  # of control's numbers keep to the thresholds
RATINGS = (0.97, 0.92, 0.80, 0.45)  # of control's ratings are above the levels 1 to 4
GUARDRAILS = {
    Guardrail(): (RATE,),
    Guardrail.model_validate({"metric": "response_time"}): TIMES,
    Guardrail.model_validate({"metric": "tokens"}): TIMES,
    Guardrail.model_validate({"metric": "user_rating"}): RATINGS,
    Guardrail.model_validate({"metric": "cost", "direction": "lower_is_better"}): TIMES,
}


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default 1)")
    parser.add_argument("--quick", action="store_true", help="few checks; misses no target")
    given = parser.parse_args()
    found = measure(20 if given.quick else 200, given.seed)
    most = max(times["check_5_guardrails_ms"] for times in found.values())
    met = most <= TARGET
    if given.json:
        about = {"python": platform.python_version(), "numpy": np.__version__, "seed": given.seed}
        print(json.dumps({"by_split": found, "target_ms": TARGET, "met": met, "about": about}))
    else:
        _show(found)
    return 0 if met or given.quick else 1


def measure(checks: int, seed: int) -> dict[str, dict[str, float]]:
    """Return medians by split, in ms of this process's CPU: whatever else runs does not count."""
    return {f"{split:.0%}": _measure(checks, seed, split) for split in SPLITS}


def _measure(checks: int, seed: int, split: float) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    n_t = round(BLOCK * split)
    block = Block(n_t, round(n_t * RATE), BLOCK - n_t, round((BLOCK - n_t) * RATE))
    harm, safety = Harm.begin().look(block), Safety.begin().look(block, margin=0.05)
    everything, rate = list(GUARDRAILS), list(GUARDRAILS)[:1]
    return {
        "harm_look_ms": _median(lambda: harm.look(block), checks),
        "safety_look_ms": _median(lambda: safety.look(block, margin=0.05), checks),
        "check_success_ms": statistics.median(_checks(rate, rng, split=split, checks=checks)),
        "check_5_guardrails_ms": statistics.median(
            _checks(everything, rng, split=split, checks=checks)
        ),
    }


def _checks(
    guardrails: list[Guardrail], rng: np.random.Generator, *, split: float, checks: int
) -> Iterator[float]:
    """Judge one rollout without harm, check after check; yield the processor time of each in ms."""
    policy, evidence = Policy(guardrails=tuple(guardrails)), Evidence()
    seen = {guardrail: [Counts()] * len(GUARDRAILS[guardrail]) for guardrail in guardrails}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1, checks + 1):
        for guardrail, rates in GUARDRAILS.items():
            if guardrail in seen:
                seen[guardrail] = [
                    counts.plus(_arrived(rng, rate, split=split))
                    for counts, rate in zip(seen[guardrail], rates, strict=True)
                ]
        look = Look(
            at=at + timedelta(minutes=5 * number),
            epoch=1,
            share=split,
            samples=tuple(_sample(guardrail, counts) for guardrail, counts in seen.items()),
        )
        started = time.process_time()
        _, evidence = weigh(policy, evidence, look)
        yield 1000 * (time.process_time() - started)


def _arrived(rng: np.random.Generator, rate: float, *, split: float) -> Counts:
    n_t = round(BLOCK * split)
    n_c = BLOCK - n_t
    s_t, s_c = int(rng.binomial(n_t, rate)), int(rng.binomial(n_c, rate))
    return Counts(n_t=n_t, s_t=s_t, n_c=n_c, s_c=s_c)


def _sample(guardrail: Guardrail, counts: list[Counts]) -> Sample:
    arms = [Arm(n=n, mean=RATE, m2=n * 0.05) for n in (counts[0].n_t, counts[0].n_c)]
    return Sample(
        treatment=arms[0],
        control=arms[1],
        counts=tuple(counts),
        near=tuple(counts) if guardrail.slack else (),
        cuts=() if guardrail.is_rate else tuple(range(1, len(counts) + 1)),
    )


def _median(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        started = time.process_time()
        work()
        found.append(1000 * (time.process_time() - started))
    return statistics.median(found)


def _show(found: dict[str, dict[str, float]]) -> None:
    table = Table(title=f"One check of {BLOCK} events, ms of CPU", title_justify="left")
    table.add_column("")
    for split in found:
        table.add_column(f"split {split}", justify="right")
    for name in next(iter(found.values())):
        table.add_row(name, *(f"{times[name]:.2f}" for times in found.values()))
    table.caption = f"target: {TARGET:g} ms for five guardrails"
    Console(width=80).print(table)


if __name__ == "__main__":
    sys.exit(main())
