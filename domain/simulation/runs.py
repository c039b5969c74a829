"""Many seeded rollouts of one plan at a time, by the workflow's cadence and the real judgement."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue
from domain.judge import Action
from domain.plan import RolloutPlan
from domain.progress import Told, nobody
from domain.simulation.arrivals import HOUR, Arrivals, Counts, Traffic
from domain.simulation.batch import Batch, Seen
from domain.stats.harm import Floats, Mask

GROWTH, JITTER = 1.5, 0.1  # of waits: as in `workflows`, which a test holds them to
RUNS, MOST_RUNS = 1000, 100_000
DRAWN = 20  # runs whose path is kept, for a picture
PATIENCE = 4  # times the plan's own duration, after which a run is given up


class Fate(StrEnum):
    """How a simulated rollout ended."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    HOLDING = "holding"  # neither, by the horizon


class Path(NamedTuple):
    """The evidence of one run, check by check.

    Attributes:
        hours: Of each check, since the first ramp.
        log_e: Log evidence of harm after it.
        entered: When each stage began; NaN of those that never did.
    """

    hours: Floats
    log_e: Floats
    entered: Floats


@dataclass(frozen=True)
class Simulated:
    """What became of the runs; arrays of shape (runs, ...), times in hours since the first ramp.

    Attributes:
        fate: A `Fate` each.
        hours: When it ended.
        exposed: Different users that got the candidate until then.
        entered: When each stage began, (runs, stages + 1), the final bake last; NaN for never.
        checks: How many there were.
        paths: Of the first runs.
    """

    plan: RolloutPlan
    traffic: Traffic
    horizon: timedelta
    fate: NDArray[np.str_]
    hours: Floats
    exposed: Counts
    entered: Floats
    checks: Counts
    paths: tuple[Path, ...]


def simulate(
    plan: RolloutPlan,
    traffic: Traffic,
    *,
    runs: int = RUNS,
    seed: int = 1,
    horizon: timedelta | None = None,
    told: Told = nobody,
) -> Simulated:
    """Roll out by the plan again and again.

    Approvals are taken to be given at once. The same arguments give the same runs.

    Args:
        plan: Its guardrails on success are judged, as `batch` says.
        traffic: Who comes.
        runs: How many, from 1 to 100 000.
        seed: Of all chance, >= 0.
        horizon: When a rollout that neither ended well nor badly is given up, > 0; by default
            after four times the plan's own duration.
        told: How many of the runs have ended.

    Raises:
        InvalidValue: An argument that is not like that.
        InvalidPlan: The plan guards no success.
    """
    longest = horizon or patience(plan)
    for name, value, allowed, holds in (
        ("runs", runs, f"in [1, {MOST_RUNS}]", 1 <= runs <= MOST_RUNS),
        ("seed", seed, "at least 0", seed >= 0),
        ("horizon", longest.total_seconds(), "more than 0s", longest > timedelta(0)),
    ):
        if not holds:
            raise InvalidValue(f"{name} must be {allowed}, got {value:g}")
    course = _Course(plan, traffic, rng=np.random.default_rng(seed), runs=runs)
    while course.live.any():
        course.check(horizon=longest.total_seconds())
        told(1 - float(course.live.mean()))
    return course.result(longest)


def patience(plan: RolloutPlan) -> timedelta:
    """Return the default horizon: four times what the plan takes at least."""
    own = sum((stage.bake for stage in plan.stages), plan.final_bake)
    return max(PATIENCE * own, 24 * plan.check_max)


class _Course:
    """Where every run stands; times are in seconds, as `workflows.state.State` keeps them."""

    def __init__(
        self, plan: RolloutPlan, traffic: Traffic, *, rng: np.random.Generator, runs: int
    ) -> None:
        good = rng.binomial(traffic.history, traffic.control_rate, runs)
        self.plan, self.traffic, self.rng = plan, traffic, rng
        self.arrivals = Arrivals(traffic, rng, runs)
        self.batch = Batch(plan, np.stack([good, traffic.history - good]))
        self.live = np.ones(runs, dtype=bool)
        self.fate = np.full(runs, Fate.HOLDING.value, dtype="<U11")
        bakes = [stage.bake for stage in plan.stages]
        self.bakes = np.array([bake.total_seconds() for bake in (*bakes, plan.final_bake)])
        self.shares = np.array([plan.share_at(n + 1) / 100 for n in range(len(bakes))])
        self.at, self.since, self.routed = np.zeros(runs), np.zeros(runs), np.zeros(runs)
        self.interval = np.zeros(runs)
        self.stage = np.zeros(runs, dtype=np.int64)
        self.checks = np.zeros(runs, dtype=np.int64)
        self.entered = np.full((runs, len(bakes) + 1), np.nan)
        self.drawn: list[tuple[Floats, Floats, Mask]] = []
        self.enter(self.live)

    def enter(self, where: Mask) -> None:
        """Begin the next stage, where it does; past the last one there is no ramp."""
        self.stage = self.stage + where
        self.since = np.where(where, self.at, self.since)
        self.interval = np.where(where, self.plan.check_min.total_seconds(), self.interval)
        index = np.clip(self.stage - 1, 0, len(self.shares))
        self.entered[where, index[where]] = self.at[where]
        ramped = where & (self.stage <= len(self.shares))
        lag = self.rng.random(len(where)) * self.traffic.lag.total_seconds()
        self.routed = np.where(ramped, self.at + lag, self.routed)
        self.arrivals.ramp(ramped, self.shares[np.minimum(index, len(self.shares) - 1)])

    def check(self, *, horizon: float) -> None:
        """Wait, look and judge, once in every run that lives."""
        self.wait()
        last = len(self.shares)
        index = np.minimum(self.stage, last + 1) - 1
        baked = self.at - self.since
        seen = Seen(
            live=self.live,
            at=self.at,
            baked=baked,
            stage=np.minimum(self.stage, last),
            observed=self.arrivals.observed,
            events=self.arrivals.events,
        )
        action = self.batch.judge(seen)
        self.checks = self.checks + self.live
        self.drawn.append((self.at[:DRAWN], self.batch.log_e[:DRAWN], self.live[:DRAWN]))
        self.end(self.live & (action == Action.ROLL_BACK), Fate.ROLLED_BACK)
        goes_on = self.live & (action == Action.ADVANCE) & (baked >= self.bakes[index])
        self.end(goes_on & (self.stage > last), Fate.PROMOTED)
        self.end(self.live & (self.at >= horizon), Fate.HOLDING)
        if np.any(goes_on & self.live):
            self.enter(goes_on & self.live)

    def wait(self) -> None:
        """Let time pass until the next check: never past the end of the bake, but for jitter."""
        left = self.bakes[np.minimum(self.stage, len(self.bakes)) - 1] - (self.at - self.since)
        pause = np.where((left > 0) & (left < self.interval), left, self.interval)
        pause = pause * (1 + JITTER * self.rng.random(len(pause)))
        before, self.at = self.at, np.where(self.live, self.at + pause, self.at)
        longest = self.plan.check_max.total_seconds()
        self.interval = np.minimum(self.interval * GROWTH, longest)
        served = self.at - np.maximum(before, self.routed)
        self.arrivals.come(np.maximum(served, 0) / HOUR.total_seconds())

    def end(self, where: Mask, fate: Fate) -> None:
        """Write down how it ended, where it did."""
        self.fate = np.where(where, fate.value, self.fate)
        self.live = self.live & ~where

    def result(self, horizon: timedelta) -> Simulated:
        """Return what became of the runs."""
        hour = HOUR.total_seconds()
        ats, log_es, lives = (np.stack(rows) for rows in zip(*self.drawn, strict=True))
        paths = [
            Path(ats[lives[:, run], run] / hour, log_es[lives[:, run], run], entered / hour)
            for run, entered in enumerate(self.entered[:DRAWN])
        ]
        return Simulated(
            plan=self.plan,
            traffic=self.traffic,
            horizon=horizon,
            fate=self.fate,
            hours=self.at / hour,
            exposed=self.arrivals.exposed,
            entered=self.entered / hour,
            checks=self.checks,
            paths=tuple(paths),
        )
