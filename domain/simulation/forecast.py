"""What to expect of a plan: simulated rollouts, summed up in the numbers people ask for."""

from datetime import timedelta
from typing import Self

import numpy as np

from domain.duration import spell
from domain.plan import RolloutPlan
from domain.simulation.runs import Fate, Simulated
from domain.stats.harm import Floats
from domain.value import Frozen

CONFIDENCE = 0.95


class Chance(Frozen):
    """How often something happened, and where its probability lies with 95 % confidence.

    The exact interval of Clopper & Pearson, Biometrika 26 (1934).
    """

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, simulated: Simulated, fate: Fate) -> Self:
        """Count how many runs ended so."""
        from scipy.stats import binomtest  # a second to load, and asked once

        runs = len(simulated.fate)
        found = binomtest(int(np.sum(simulated.fate == fate)), runs)
        interval = found.proportion_ci(CONFIDENCE, method="exact")
        return cls(share=found.k / runs, low=float(interval.low), high=float(interval.high))


class Spread(Frozen):
    """Where most of some numbers lie: the middle one, and what nine of ten do not exceed.

    Attributes:
        p05: And `p95`: nine of ten lie between these.
    """

    median: float
    p90: float
    p05: float
    p95: float

    @classmethod
    def of(cls, values: Floats) -> Self | None:
        """Sum the numbers up; None when there are none."""
        if not len(values):
            return None
        median, p90, p05, p95 = (float(q) for q in np.quantile(values, [0.5, 0.9, 0.05, 0.95]))
        return cls(median=median, p90=p90, p05=p05, p95=p95)


class Scene(Frozen):
    """What became of a candidate of one quality.

    Attributes:
        effect: What it adds to control's rate.
        rolled_back: Of a healthy candidate, the chance of a false rollback.
        promoted: Of a harmful candidate, the chance of a miss.
        holding: Neither, by the horizon.
        hours: From the first ramp until the rollback; None if there was none.
        exposed: Different users that got the candidate until then.
        hours_to_promotion: From the first ramp until everybody has it; None if that never was.
    """

    effect: float
    rolled_back: Chance
    promoted: Chance
    holding: Chance
    hours: Spread | None
    exposed: Spread | None
    hours_to_promotion: Spread | None

    @classmethod
    def of(cls, simulated: Simulated) -> Self:
        """Sum up the runs."""
        back = simulated.fate == Fate.ROLLED_BACK
        promoted = simulated.fate == Fate.PROMOTED
        return cls(
            effect=simulated.traffic.effect,
            rolled_back=Chance.of(simulated, Fate.ROLLED_BACK),
            promoted=Chance.of(simulated, Fate.PROMOTED),
            holding=Chance.of(simulated, Fate.HOLDING),
            hours=Spread.of(simulated.hours[back]),
            exposed=Spread.of(simulated.exposed[back].astype(float)),
            hours_to_promotion=Spread.of(simulated.hours[promoted]),
        )


class Entry(Frozen):
    """One line of the calendar: when a stage begins, in hours since the first ramp; median."""

    what: str
    hours: float


class Forecast(Frozen):
    """What to expect of a plan with such traffic.

    Attributes:
        asked: Of the candidate of the effect asked for.
        healthy: Of one that is as good as the baseline.
        calendar: Of those healthy ones that are promoted; empty if none is.
        not_simulated: The plan's guardrails that do not watch success.
        approvals: Whether the plan waits for people, which is not simulated.
    """

    plan: str
    alpha: float
    users_per_hour: float
    users: int | None
    control_rate: float
    runs: int
    seed: int
    horizon_hours: float
    asked: Scene
    healthy: Scene
    calendar: tuple[Entry, ...]
    not_simulated: tuple[str, ...]
    approvals: bool

    @classmethod
    def of(cls, asked: Simulated, healthy: Simulated, *, seed: int) -> Self:
        """Sum up both; of a plan and traffic that differ in nothing but the effect."""
        plan, traffic = asked.plan, asked.traffic
        return cls(
            plan=plan.name,
            alpha=plan.alpha,
            users_per_hour=traffic.users_per_hour,
            users=traffic.users,
            control_rate=traffic.control_rate,
            runs=len(asked.fate),
            seed=seed,
            horizon_hours=asked.horizon / timedelta(hours=1),
            asked=Scene.of(asked),
            healthy=Scene.of(healthy),
            calendar=_calendar(healthy),
            not_simulated=not_simulated(plan),
            approvals=any(stage.approval for stage in plan.stages),
        )


def not_simulated(plan: RolloutPlan) -> tuple[str, ...]:
    """Return the guardrails that a simulation of success rates says nothing of."""
    return tuple(guardrail.name for guardrail in plan.guardrails if not guardrail.is_rate)


def _calendar(healthy: Simulated) -> tuple[Entry, ...]:
    promoted = healthy.fate == Fate.PROMOTED
    if not promoted.any():
        return ()
    begun = np.median(healthy.entered[promoted], axis=0)
    stages = [f"{stage.percent:g} %" for stage in healthy.plan.stages]
    named = [*stages, f"promoted, watched for {spell(healthy.plan.final_bake)}", "complete"]
    hours = [*begun, np.median(healthy.hours[promoted])]
    return tuple(
        Entry(what=what, hours=float(hour)) for what, hour in zip(named, hours, strict=True)
    )
