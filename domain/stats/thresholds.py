"""Thresholds: numbers made into rates, so that the exact evidence for rates holds for them too.

A call "succeeds" when its number does not exceed a threshold fixed before the rollout. Evidence on
the number is the mean of the evidence on several thresholds: `statistics.md`, section 4.
"""

import math

from domain.errors import InvalidValue
from domain.stats.histogram import FLOOR, RATIO, Histogram, Levels

QUANTILES = (0.50, 0.75, 0.90, 0.95, 0.99)
LEVELS = (1, 2, 3, 4)  # of 5: everybody is at most 5


def cuts(history: Histogram) -> tuple[int, ...]:
    """Return the buckets whose upper edges are the thresholds, ascending.

    Of ratings, the levels 1 to 4, whatever the history. Of other numbers, where p50 p75 p90 p95 and
    p99 of the history lie, each once; none without history.
    """
    if isinstance(history, Levels):
        return LEVELS
    found = [history.quantile(q) for q in QUANTILES]
    return tuple(sorted({history.bucket(value) for value in found if value is not None}))


def exceeding(histogram: Histogram, cut: int) -> int:
    """Return how many numbers lie above a cut, exactly."""
    return sum(count for bucket, count in histogram.counts.items() if bucket > cut)


def within(histogram: Histogram, cut: int) -> int:
    """Return how many numbers do not lie above a cut, exactly."""
    return sum(count for bucket, count in histogram.counts.items() if bucket <= cut)


def shifted(cut: int, margin: float, *, kind: type[Histogram] = Histogram) -> int:
    """Return the cut for treatment's numbers: its edge is larger by the margin.

    The same as dividing the numbers by 1 + margin. Rounded away from the cut to a whole bucket, so
    that treatment is never judged worse for the rounding. Zero and levels have no margin; a cut
    does not change its sign.

    Args:
        cut: Of control, as `cuts` returns it.
        margin: Relative, > -1: positive where lower is better, negative where higher is.
        kind: What the cut was made from.

    Raises:
        InvalidValue: `margin` not above -1, or not finite.
    """
    if not (math.isfinite(margin) and margin > -1):
        raise InvalidValue(f"margin must be above -1, got {margin}")
    if cut == 0 or issubclass(kind, Levels):
        return cut
    buckets = round(math.log1p(margin) / math.log(RATIO), 9)
    moved = cut + (math.ceil(buckets) if margin > 0 else math.floor(buckets))
    return max(moved, 1) if cut > 0 else min(moved, -1)


def edge(cut: int, *, kind: type[Histogram] = Histogram) -> float:
    """Return the threshold itself, for people to read: the upper edge of the bucket."""
    if issubclass(kind, Levels):
        return float(cut)
    return FLOOR * RATIO**cut if cut >= 0 else -FLOOR * RATIO ** (-cut - 1)
