"""Whether two rates differ, asked once, at the end of an experiment.

Asked again and again, this test calls a harmless version bad in up to a third of all
rollouts: never watch one with it.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy.special import ndtr

from domain.errors import InvalidValue

SMALL = 10  # an expected count below this is too small for the normal approximation
EXACT_LIMIT = 500  # observations; beyond, Barnard's test costs more than it tells


class Rate(NamedTuple):
    """Successes among n observations."""

    successes: int
    n: int


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Significance:
    """The answer of a test.

    Attributes:
        winner: Who is ahead, significant or not; A, the control, when they are level. None without
            data or variance.
        method: What gave the p-value; "none" without data or variance: then it is 1.
        z: Of the pooled z-test, whatever the method was.
        rate_a: Successes per observation; None when there are no observations.
        rate_b: As `rate_a`.
        difference: rate_b - rate_a; None when either is.
        interval: Of the difference, at confidence 1 - alpha.
    """

    significant: bool
    p_value: float
    winner: Literal["A", "B"] | None
    method: Literal["z", "barnard", "none"]
    z: float
    rate_a: float | None
    rate_b: float | None
    difference: float | None
    interval: Interval


def compare_rates(a: Rate, b: Rate, *, alpha: float = 0.05) -> Significance:
    """Test, two-sided, whether the rates of A and B differ.

    The pooled z-test; Barnard's exact test where an expected count is too small for that.

    Raises:
        InvalidValue: Not 0 <= successes <= n, or alpha not between 0 and 1.
    """
    _check(a, b, alpha=alpha)
    method, z, p_value = _test(a, b)
    rate_a, rate_b = _share(a), _share(b)
    difference = None if rate_a is None or rate_b is None else rate_b - rate_a
    return Significance(
        significant=p_value < alpha,
        p_value=p_value,
        winner=None if method == "none" else "B" if z > 0 else "A",
        method=method,
        z=z,
        rate_a=rate_a,
        rate_b=rate_b,
        difference=difference,
        interval=_newcombe(a, b, alpha=alpha),
    )


def _check(*rates: Rate, alpha: float) -> None:
    for successes, n in rates:
        if not 0 <= successes <= n:
            raise InvalidValue(f"successes must be between 0 and n, got {successes} of {n}")
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must be between 0 and 1, got {alpha}")


def _share(rate: Rate) -> float | None:
    return rate.successes / rate.n if rate.n else None


def _test(a: Rate, b: Rate) -> tuple[Literal["z", "barnard", "none"], float, float]:
    """Return the method, z and the p-value."""
    successes, n = a.successes + b.successes, a.n + b.n
    if not (a.n and b.n) or successes in (0, n):
        return "none", 0.0, 1.0
    pooled = successes / n
    error = math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n))
    z = (b.successes / b.n - a.successes / a.n) / error
    if n <= EXACT_LIMIT and min(a.n, b.n) * min(pooled, 1 - pooled) < SMALL:
        return "barnard", z, _barnard(a, b)
    return "z", z, float(2 * ndtr(-abs(z)))


def _barnard(a: Rate, b: Rate) -> float:
    from scipy.stats import barnard_exact  # a second to load, and asked once

    table = [[a.successes, b.successes], [a.n - a.successes, b.n - b.successes]]
    return min(1.0, float(barnard_exact(table).pvalue))


def _newcombe(a: Rate, b: Rate, *, alpha: float) -> Interval:
    """Return the interval of b - a by Newcombe, Statistics in Medicine 17 (1998), method 10."""
    if not (a.n and b.n):
        return Interval(-1.0, 1.0)
    share_a, share_b = a.successes / a.n, b.successes / b.n
    wilson_a, wilson_b = _wilson(a, alpha=alpha), _wilson(b, alpha=alpha)
    down = math.hypot(share_b - wilson_b.low, wilson_a.high - share_a)
    up = math.hypot(wilson_b.high - share_b, share_a - wilson_a.low)
    return Interval(share_b - share_a - down, share_b - share_a + up)


def _wilson(rate: Rate, *, alpha: float) -> Interval:
    from scipy.stats import binomtest  # a second to load, and asked once

    found = binomtest(rate.successes, rate.n).proportion_ci(1 - alpha, method="wilson")
    return Interval(float(found.low), float(found.high))
