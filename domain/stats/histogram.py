"""How numbers are distributed, in a few sparse buckets that merge without loss."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Self

RATIO = 1.02  # of a bucket's edges: a quantile errs by at most sqrt(RATIO) - 1 < 1 %
FLOOR = 1e-9  # what is closer to zero counts as zero
CEILING = 1e12  # what is farther counts as this
LONG = 64  # numbers; for fewer numpy costs more than it saves

_LOG_RATIO = math.log(RATIO)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per logarithmic bucket: bucket 0 is zero, -k mirrors k, higher buckets are larger.

    At most 4 885 buckets, whatever the numbers are.
    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return the histogram of finite numbers."""
        return cls(Counter(cls.buckets(list(values))))

    @classmethod
    def buckets(cls, values: Sequence[float]) -> Iterable[int]:
        """Return the bucket of each value: that of `bucket`, many of them by numpy."""
        if len(values) < LONG:
            return map(cls.bucket, values)
        import numpy as np

        signed = np.asarray(values, dtype=float)
        sizes = np.abs(signed)
        steps = 1 + np.floor(np.log(np.clip(sizes, FLOOR, CEILING) / FLOOR) / _LOG_RATIO)
        found = np.where(sizes < FLOOR, 0, np.copysign(steps, signed)).astype(int)
        return [*found.tolist()]

    @staticmethod
    def bucket(value: float) -> int:
        """Return the bucket that `value` falls in."""
        size = abs(value)
        if size < FLOOR:
            return 0
        steps = 1 + math.floor(math.log(min(size, CEILING) / FLOOR) / _LOG_RATIO)
        return steps if value > 0 else -steps

    @staticmethod
    def middle(bucket: int) -> float:
        """Return the number that stands for a bucket: the geometric mean of its edges."""
        if bucket == 0:
            return 0.0
        return math.copysign(FLOOR * RATIO ** (abs(bucket) - 0.5), bucket)

    def merge(self, other: Self) -> Self:
        """Return the histogram of both sets together, exactly."""
        if not (self.counts and other.counts):
            return self if self.counts else other
        merged = dict(self.counts)
        for bucket, count in other.counts.items():
            merged[bucket] = merged.get(bucket, 0) + count
        return type(self)(merged)

    def quantile(self, q: float) -> float | None:
        """Return the number of rank ⌈q n⌉, 0 <= q <= 1, to within 1 %; None when there is none."""
        if not self.counts:
            return None
        buckets = sorted(self.counts)
        ranks = list(accumulate(self.counts[bucket] for bucket in buckets))
        return self.middle(buckets[bisect_left(ranks, math.ceil(q * ranks[-1]))])

    def to_json(self) -> dict[str, int]:
        """Return the counts as a JSON object."""
        return {str(bucket): count for bucket, count in sorted(self.counts.items())}

    @classmethod
    def from_json(cls, data: Mapping[str, int]) -> Self:
        """Return the histogram that `to_json` was called on."""
        return cls({int(bucket): count for bucket, count in data.items()})


class Levels(Histogram):
    """Counts per whole level, for ratings: level k holds what is above k - 1 and at most k."""

    __slots__ = ()

    @classmethod
    def buckets(cls, values: Sequence[float]) -> Iterable[int]:
        """Return the level of each value."""
        return map(cls.bucket, values)

    @staticmethod
    def bucket(value: float) -> int:
        """Return the level, rounding up, so that "at most k" is counted exactly."""
        return math.ceil(value)

    @staticmethod
    def middle(bucket: int) -> float:
        """Return the level itself."""
        return float(bucket)
