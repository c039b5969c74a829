"""Intervals that hold at every time at once: looking at them as often as one likes is harmless."""

import math

from scipy.special import betaln

from domain.errors import InvalidValue
from domain.stats.moments import Moments, difference_variance
from domain.stats.significance import Interval, Rate

PRIOR = 0.5  # both parameters of the beta mixture: within log(n) / 2 of the best bet in hindsight


def rate_interval(successes: int, n: int, *, alpha: float = 0.05) -> Interval:
    """Return the rates that the counts do not refute; (0, 1) without data.

    With the chance 1 - alpha at least, the true rate is in it at every n. The beta-binomial mixture
    martingale: Robbins, Annals of Mathematical Statistics 41 (1970); Howard, Ramdas, McAuliffe &
    Sekhon, Annals of Statistics 49 (2021). A rate p is left out where
    B(1/2 + s, 1/2 + f) / B(1/2, 1/2) >= p^s (1 - p)^f / alpha.

    Raises:
        InvalidValue: Not 0 <= successes <= n, or alpha not between 0 and 1.
    """
    _check(Rate(successes, n), alpha=alpha)
    failures = n - successes
    bar = betaln(PRIOR + successes, PRIOR + failures) - betaln(PRIOR, PRIOR) + math.log(alpha)

    from scipy.optimize import brentq  # half a second to load, and asked for experiments only

    def low(s: int, f: int) -> float:
        """Return the lowest rate of s successes and f failures."""
        if not s:
            return 0.0

        def excess(p: float) -> float:
            return float(bar) - s * math.log(p) - (f * math.log1p(-p) if f else 0.0)

        return float(brentq(excess, 1e-300, s / (s + f), xtol=1e-15, rtol=1e-13, maxiter=1000))

    return Interval(low(successes, failures), 1 - low(failures, successes))


def difference_interval(a: Rate, b: Rate, *, alpha: float = 0.05) -> Interval:
    """Return the interval of rate_b - rate_a at every time at once; (-1, 1) without data in either.

    The rates' own intervals at alpha / 2 each (Bonferroni), so it is wider than it need be.

    Raises:
        InvalidValue: As `rate_interval`.
    """
    _check(a, b, alpha=alpha)
    if not (a.n and b.n):
        return Interval(-1.0, 1.0)
    of_a, of_b = rate_interval(*a, alpha=alpha / 2), rate_interval(*b, alpha=alpha / 2)
    return Interval(of_b.low - of_a.high, of_b.high - of_a.low)


def mean_difference_interval(
    a: Moments, b: Moments, *, tau: float, alpha: float = 0.05
) -> Interval | None:
    """Return the interval of mean_b - mean_a at every time at once, in large samples.

    The normal mixture: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52
    (2024), theorem 2.2, on the difference and its estimated variance. None without two numbers in
    each arm, or when neither varies.

    Args:
        a: Of arm A.
        b: Of arm B.
        tau: The difference for which it is narrow, in the unit of the numbers, > 0.
        alpha: In (0, 1).

    Raises:
        InvalidValue: tau not above 0, or alpha not between 0 and 1.
    """
    _check(alpha=alpha)
    if not (math.isfinite(tau) and tau > 0):
        raise InvalidValue(f"tau must be above 0, got {tau}")
    if not (variance := difference_variance(a, b)):
        return None
    known = tau**2 / variance
    half = math.sqrt(variance * (1 + 1 / known) * (math.log1p(known) - 2 * math.log(alpha)))
    return Interval(b.mean - a.mean - half, b.mean - a.mean + half)


def _check(*rates: Rate, alpha: float) -> None:
    for successes, n in rates:
        if not 0 <= successes <= n:
            raise InvalidValue(f"successes must be between 0 and n, got {successes} of {n}")
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must be between 0 and 1, got {alpha}")
