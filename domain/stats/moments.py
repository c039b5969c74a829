"""How many, how large and how spread: the moments of numbers that need not be kept."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

LONG = 64  # numbers; for fewer numpy costs more than it saves
ROUNDING = 1e-12  # a spread of this share of the mean is arithmetic's, not the numbers'


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and extremes of some numbers; `m2` is the sum of squared distances to the mean.

    Not sums of squares: those cancel catastrophically where the mean is large and the spread small.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    min: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Return the moments of `values`, in two passes."""
        found = list(values)
        if not found:
            return cls()
        mean = math.fsum(found) / len(found)
        m2 = _spread(found, mean)
        return cls(len(found), mean, m2, min(found), max(found))

    @property
    def total(self) -> float:
        """The sum of the numbers."""
        return self.mean * self.n

    @property
    def variance(self) -> float | None:
        """The unbiased sample variance; None for fewer than two numbers."""
        return self.m2 / (self.n - 1) if self.n > 1 else None

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets together.

        Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances" (1979), eq. 2.1.
        """
        if not (self.n and other.n):
            return self if self.n else other
        n = self.n + other.n
        delta = other.mean - self.mean
        return type(self)(
            n=n,
            mean=self.mean + delta * (other.n / n),
            m2=self.m2 + other.m2 + delta**2 * (self.n * other.n / n),
            min=min(m.min for m in (self, other) if m.min is not None),
            max=max(m.max for m in (self, other) if m.max is not None),
        )


def _spread(values: list[float], mean: float) -> float:
    """Return the sum of squared distances to the mean; of many numbers by numpy, pairwise."""
    if len(values) < LONG:
        return math.fsum([(value - mean) ** 2 for value in values])
    import numpy as np

    return float(np.square(np.asarray(values, dtype=float) - mean).sum())


def difference_variance(a: Moments, b: Moments) -> float | None:
    """Return the estimated variance of the difference of two means, > 0.

    None without two numbers in each, or when neither varies by more than rounding does.
    """
    if a.variance is None or b.variance is None:
        return None
    if math.sqrt(max(a.variance, b.variance)) <= ROUNDING * max(abs(a.mean), abs(b.mean)):
        return None
    return a.variance / a.n + b.variance / b.n
