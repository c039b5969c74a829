"""Which arm is best, asked once at the end of a trial; and what may be looked at until then. Pure.

The tests at the end hold because nobody chose the end by its outcome. The intervals hold at every
look.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import exp

from domain.evidence.looks import Arm
from domain.stats.arms import holm
from domain.stats.intervals import difference_interval, mean_difference_interval, rate_interval
from domain.stats.significance import Interval, Rate
from domain.stats.strata import compare_means_within, compare_rates_within
from domain.trials.plan import ExperimentPlan
from domain.value import Frozen

TIMES = ("response_time",)  # compared by their logarithms: one slow call in a thousand decides less
NARROW = 0.05  # of control's mean: the difference of means for which intervals are narrow


class Tally(Frozen):
    """What one arm did for the goal in one epoch.

    Attributes:
        seen: The observations of the goal; of a rate, success counts 1.
        logs: The same of their logarithms, where the goal is a time.
    """

    epoch: int
    seen: Arm = Arm()
    logs: Arm = Arm()

    @property
    def rate(self) -> Rate:
        """Successes among observations."""
        return Rate(round(self.seen.mean * self.seen.n), self.seen.n)


Rates = tuple[float | None, float | None]
Span = tuple[float, float]
Found = tuple[float, str | None, Rates, Span | None]  # p-value, who is ahead, rates, interval
Tallies = Mapping[str, Sequence[Tally]]  # by version; each the same epochs, oldest first


class ArmResult(Frozen):
    """One arm against control at the end: what the seed's document prints, and more.

    Attributes:
        significant: As the seed means it, at alpha, whatever the number of arms.
        p_value: Two-sided, not adjusted; `adjusted_p` is, by Holm over all pairs of arms.
        winner: Who is ahead, significant or not: A is control, B this arm; None without data.
        rate_a: Of control, `rate_b` of this arm: of a rate, successes per observation; of a number,
            the mean; of a time, the geometric mean. None without observations.
        interval: Of rate_b - rate_a, at confidence 1 - alpha, asked once.
        always_valid: The interval of the same at every look.
        stopped: Whether it was stopped early.
        is_rate: Whether the goal is a rate.
    """

    version: str
    control: str
    significant: bool
    p_value: float
    adjusted_p: float
    winner: str | None
    n_a: int
    n_b: int
    rate_a: float | None
    rate_b: float | None
    difference: float | None
    interval: Span | None
    always_valid: Span | None = None
    stopped: bool = False
    is_rate: bool = True


class Duel(Frozen):
    """Two arms, compared once."""

    a: str
    b: str
    p_value: float
    ahead: str | None
    rates: Rates
    interval: Span | None


def decide(
    plan: ExperimentPlan, tallies: Tallies, *, stopped: Sequence[str] = ()
) -> tuple[str | None, tuple[ArmResult, ...]]:
    """Return the arm that beats every other arm, if any does, and every arm against control.

    Every pair of arms is tested, two-sided, and the p-values adjusted for their number by Holm: the
    chance that any two equal arms are called different is at most `plan.alpha`. An arm that was
    stopped stays in the family of tests, so that stopping it makes nothing easier for the others;
    it cannot win, and the others need not beat it.
    """
    duels = [_duel(plan, a, b, tallies=tallies) for a, b in combinations(plan.arms, 2)]
    adjusted = holm([duel.p_value for duel in duels])
    judged = list(zip(duels, adjusted, strict=True))
    beaten = {
        (duel.ahead, duel.a if duel.ahead == duel.b else duel.b)
        for duel, p in judged
        if duel.ahead and p < plan.alpha
    }
    live = [arm for arm in plan.arms if arm not in stopped]
    winners = (one for one in live if all((one, o) in beaten for o in live if o != one))
    best = next(winners, None) if len(live) > 1 else None
    results = [
        _result(plan, duel, p, tallies=tallies, stopped=stopped)
        for duel, p in judged
        if duel.a == plan.baseline
    ]
    return best, tuple(results)


def observed(tallies: Sequence[Tally]) -> int:
    """Return how many observations there are in all epochs."""
    return sum(tally.seen.n for tally in tallies)


def mean_of(tallies: Sequence[Tally]) -> float | None:
    """Return the mean over all epochs, of a rate the share of successes."""
    n = observed(tallies)
    return sum(tally.seen.n * tally.seen.mean for tally in tallies) / n if n else None


def shift_of(control: Sequence[Tally], arm: Sequence[Tally]) -> float | None:
    """Return arm minus control within epochs, weighted as the tests weight them."""
    pairs = [(a.seen, b.seen) for a, b in zip(control, arm, strict=True) if a.seen.n and b.seen.n]
    weights = [a.n * b.n / (a.n + b.n) for a, b in pairs]
    if not pairs:
        return None
    shifts = [w * (b.mean - a.mean) for w, (a, b) in zip(weights, pairs, strict=True)]
    return sum(shifts) / sum(weights)


def interval_of(plan: ExperimentPlan, tallies: Sequence[Tally]) -> Interval | None:
    """Return the rates that are not refuted, at every look; None of numbers."""
    if not plan.goal_is_rate:
        return None
    rates = [tally.rate for tally in tallies]
    return rate_interval(sum(r.successes for r in rates), sum(r.n for r in rates), alpha=plan.alpha)


def difference_of(
    plan: ExperimentPlan, control: Sequence[Tally], arm: Sequence[Tally]
) -> Interval | None:
    """Return the differences from control that are not refuted, at every look.

    Each epoch has its own, at its part of alpha (Bonferroni: there are at most as many epochs as
    treatments), and what one of them refutes is refuted: so a base rate that moves from epoch to
    epoch does not look like a difference. None where nothing can be said yet.
    """
    part = plan.alpha / len(plan.treatments)
    pairs = [(a, b) for a, b in zip(control, arm, strict=True) if a.seen.n and b.seen.n]
    found = [one for a, b in pairs if (one := _difference(plan, a, b, alpha=part))]
    if not found:
        return None
    joint = Interval(max(one.low for one in found), min(one.high for one in found))
    return joint if joint.low <= joint.high else found[-1]  # the difference itself has moved


def _difference(plan: ExperimentPlan, a: Tally, b: Tally, *, alpha: float) -> Interval | None:
    if plan.goal_is_rate:
        return difference_interval(a.rate, b.rate, alpha=alpha)
    tau = NARROW * abs(a.seen.mean)
    if tau <= 0:
        return None
    return mean_difference_interval(a.seen.moments, b.seen.moments, tau=tau, alpha=alpha)


def _duel(plan: ExperimentPlan, a: str, b: str, *, tallies: Tallies) -> Duel:
    pairs = list(zip(tallies[a], tallies[b], strict=True))
    of_kind = _of_rates if plan.goal_is_rate else _of_numbers
    p_value, ahead, rates, interval = of_kind(plan, pairs)
    named = {"A": a, "B": b, None: None}[ahead]
    return Duel(a=a, b=b, p_value=p_value, ahead=named, rates=rates, interval=interval)


def _of_rates(plan: ExperimentPlan, pairs: Sequence[tuple[Tally, Tally]]) -> Found:
    found = compare_rates_within([(x.rate, y.rate) for x, y in pairs], alpha=plan.alpha)
    known = found.difference is not None
    interval = (found.interval.low, found.interval.high) if known else None
    return found.p_value, found.winner, (found.rate_a, found.rate_b), interval


def _of_numbers(plan: ExperimentPlan, pairs: Sequence[tuple[Tally, Tally]]) -> Found:
    logs = plan.goal in TIMES
    chosen = [(x.logs, y.logs) if logs else (x.seen, y.seen) for x, y in pairs]
    found = compare_means_within([(x.moments, y.moments) for x, y in chosen], alpha=plan.alpha)
    ahead = found.larger
    if ahead and not plan.higher_is_better:
        ahead = "A" if ahead == "B" else "B"
    rates = (found.mean_a, found.mean_b)
    interval = (found.interval.low, found.interval.high) if found.interval else None
    return found.p_value, ahead, *(_as_times(rates, interval) if logs else (rates, interval))


def _as_times(rates: Rates, interval: Span | None) -> tuple[Rates, Span | None]:
    """Return means of logarithms as geometric means, and the ratio's interval as a difference."""
    a, b = (None if rate is None else exp(rate) for rate in rates)
    if interval is None or a is None:
        return (a, b), None
    return (a, b), (a * exp(interval[0]) - a, a * exp(interval[1]) - a)


def _result(
    plan: ExperimentPlan, duel: Duel, p: float, *, tallies: Tallies, stopped: Sequence[str]
) -> ArmResult:
    a, b = duel.rates
    letter = {duel.a: "A", duel.b: "B"}
    always = difference_of(plan, tallies[duel.a], tallies[duel.b])
    return ArmResult(
        version=duel.b,
        control=duel.a,
        significant=duel.p_value < plan.alpha,
        p_value=duel.p_value,
        adjusted_p=p,
        winner=letter[duel.ahead] if duel.ahead else None,
        n_a=observed(tallies[duel.a]),
        n_b=observed(tallies[duel.b]),
        rate_a=a,
        rate_b=b,
        difference=None if a is None or b is None else b - a,
        interval=duel.interval,
        always_valid=(always.low, always.high) if always else None,
        stopped=duel.b in stopped,
        is_rate=plan.goal_is_rate,
    )
