"""From what happened in the runs to the figures that are quoted."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from benchmarks.trials.arrivals import Floats
from benchmarks.trials.exactness import Audit, Ratio
from benchmarks.trials.grid import Kind, Scenario
from benchmarks.trials.peers import limit
from benchmarks.trials.race import MUST_FIND, NEVER, Results

OURS = ("ours", "ours_due")


@dataclass(frozen=True)
class Share:
    """How many runs decided, of all.

    Attributes:
        upper95: Clopper & Pearson's one-sided upper 95 % bound of the share.
    """

    decided: int
    runs: int
    share: float
    upper95: float


@dataclass(frozen=True)
class Delay:
    """Treatment events until the decision.

    Attributes:
        mean: Undecided runs count with their horizon; None where undecided runs were not watched
            to a horizon, for want of anybody else to wait for.
        median: As `mean`.
        undecided: Runs without a decision.
        too_early: Runs that decided before harm began; left out of mean and median.
    """

    mean: float | None
    median: float | None
    mean_over_limit: float | None
    median_over_gbstats: float | None
    undecided: int
    too_early: int


@dataclass(frozen=True)
class Harmless:
    """A scenario in which every rollback is false; `counted` in the summary's maximum."""

    name: str
    runs: int
    naive_z: float
    counted: bool
    methods: dict[str, Share]


@dataclass(frozen=True)
class Harmful:
    """A scenario with harm; `limit` in treatment events."""

    name: str
    runs: int
    limit: float
    methods: dict[str, Delay]


@dataclass(frozen=True)
class Margin:
    """A scenario of "safe to go on": the shares called safe, and ours' mean treatment events."""

    name: str
    runs: int
    at_margin: bool
    methods: dict[str, Share]
    mean_events: float


@dataclass(frozen=True)
class Report:
    """All cells."""

    harmless: list[Harmless]
    harmful: list[Harmful]
    late: list[Harmful]
    margin: list[Margin]


def merged(parts: Sequence[Results]) -> Results:
    """Return the results of a scenario's parts as one."""
    return Results(
        {name: np.concatenate([p.decided[name] for p in parts]) for name in parts[0].decided},
        *(
            np.concatenate([getattr(p, name) for p in parts], axis=-1)
            for name in ("horizon", "z", "crossings", "sample")
        ),
    )


def report(done: Iterable[tuple[Scenario, list[Results]]]) -> Report:
    """Return the cells of all scenarios."""
    cells = Report([], [], [], [])
    for scenario, found in done:
        name, results = scenario.world.name, found[0]
        if scenario.kind is Kind.HARMLESS:
            cells.harmless.append(_harmless(name, results, counted=True))
        elif scenario.kind is Kind.CLUSTERED:
            cells.harmless.append(_harmless(f"{name}, first outcomes", found[1], counted=True))
            cells.harmless.append(_harmless(f"{name}, every event", results, counted=False))
        elif scenario.kind is Kind.MARGIN:
            cells.margin.append(_margin(scenario, results))
        else:
            late = scenario.kind is Kind.LATE
            (cells.late if late else cells.harmful).append(_harmful(scenario, results))
    return cells


def _harmless(name: str, results: Results, *, counted: bool) -> Harmless:
    shares = {method: share_of(decided) for method, decided in results.decided.items()}
    return Harmless(name, len(results.z), float(results.z.mean()), counted, shares)


def _harmful(scenario: Scenario, results: Results) -> Harmful:
    phase = scenario.world.phases[-1]
    least = limit(phase.split, control=phase.control, treatment=phase.treatment)
    base = _median(_on_time(results, "gbstats"))
    delays = {name: _delay(results, name, least, base) for name in results.decided}
    return Harmful(scenario.world.name, len(results.z), least, delays)


def _margin(scenario: Scenario, results: Results) -> Margin:
    phase = scenario.world.phases[0]
    return Margin(
        scenario.world.name,
        len(results.z),
        phase.treatment < phase.control,
        {method: share_of(decided) for method, decided in results.decided.items()},
        float(np.minimum(results.decided["ours"], results.horizon).mean()),
    )


def share_of(decided: Floats) -> Share:
    """Return the share of runs that decided, with its bound."""
    count, runs = int((decided < NEVER).sum()), len(decided)
    bound = binomtest(count, runs, alternative="less").proportion_ci(0.95, method="exact").high
    return Share(count, runs, count / runs, float(bound))


def _delay(results: Results, name: str, least: float, base: float) -> Delay:
    events = _on_time(results, name)
    undecided = int((results.decided[name] == NEVER).sum())
    too_early = len(results.z) - len(events)
    if undecided and name not in MUST_FIND:
        return Delay(None, None, None, None, undecided, too_early)
    mean, median = float(events.mean()), _median(events)
    return Delay(mean, median, mean / least, median / base, undecided, too_early)


def _on_time(results: Results, name: str) -> Floats:
    """Return the events of runs that did not decide before harm began, at most the horizon."""
    decided = results.decided[name]
    return np.minimum(decided, results.horizon)[decided > 0]


def _median(events: Floats) -> float:
    return float(np.median(events))


Summary = dict[str, float]


def summary(cells: Report, audit: Audit, ratio: Ratio, enumeration_error: float) -> Summary:
    """Return the figures that the targets are about, and some to judge them by."""
    counted = [cell for cell in cells.harmless if cell.counted]
    false = [cell.methods[name] for cell in counted for name in OURS]
    promoted = [cell.methods["ours"] for cell in cells.margin if cell.at_margin]
    late = cells.late[0].methods
    return {
        "false_rollback_max": max(share.share for share in false),
        "false_rollback_max_upper95": max(share.upper95 for share in false),
        **_geo_means(cells.harmful),
        "late_harm_ratio": (late["ours"].mean or 0) / (late["growthbook"].mean or math.nan),
        "false_promotion_max": max(share.share for share in promoted),
        "false_promotion_upper95": max(share.upper95 for share in promoted),
        "simpson_naive_z": next(c.naive_z for c in counted if c.name.startswith("Simpson")),
        "enumeration_max_error": enumeration_error,
        "censored": sum(c.methods[m].undecided for c in cells.harmful for m in MUST_FIND),
        "gbstats_looks": audit.looks,
        "gbstats_max_difference": audit.difference,
        "gbstats_crossings": audit.crossings,
        "gbstats_wrong_crossings": audit.wrong,
        "srm_false_alarms": ratio.false_alarms,
        "srm_found_within_2000": ratio.found,
        "srm_median_users": ratio.median_users,
    }


def _geo_means(cells: Sequence[Harmful]) -> Summary:
    over_limit = {
        f"geo_mean_over_limit_{name}": _geo(c.methods[name].mean_over_limit for c in cells)
        for name in MUST_FIND
    }
    worst = max(cell.methods["ours"].mean_over_limit or 0 for cell in cells)
    faster = _geo(c.methods["ours"].median_over_gbstats for c in cells)
    return {
        "geo_mean_over_limit": over_limit.pop("geo_mean_over_limit_ours"),
        "worst_mean_over_limit": worst,
        **over_limit,
        "geo_median_over_gbstats": faster,
    }


def _geo(ratios: Iterable[float | None]) -> float:
    return float(np.exp(np.mean(np.log([math.nan if r is None else r for r in ratios]))))


TARGETS: Summary = {  # at most
    "false_rollback_max_upper95": 0.06,
    "geo_mean_over_limit": 1.65,
    "geo_mean_over_limit_ours_due": 1.6,
    "geo_median_over_gbstats": 0.75,
    "late_harm_ratio": 0.65,
    "false_promotion_max": 0.05,
    "false_promotion_upper95": 0.06,
    "simpson_naive_z": -20,
    "enumeration_max_error": 1e-10,
    "gbstats_max_difference": 1e-9,
    "gbstats_wrong_crossings": 0,
    "srm_false_alarms": 1,
}


def missed(found: Summary) -> list[str]:
    """Return the targets that were not reached; a figure that is not a number reaches none."""
    return [name for name, target in TARGETS.items() if not found[name] <= target]
