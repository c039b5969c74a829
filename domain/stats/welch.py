"""Whether two means differ, asked once, at the end of an experiment; from moments alone."""

import math
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtr, stdtrit

from domain.errors import InvalidValue
from domain.stats.histogram import Histogram
from domain.stats.moments import Moments, difference_variance
from domain.stats.significance import Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class MeansComparison:
    """The answer of Welch's test.

    Attributes:
        larger: Whose mean is larger, significant or not; None when they are level, and without
            data or variance.
        t: Welch's statistic; 0 without data or variance, and `p_value` is 1.
        df: Degrees of freedom by Welch and Satterthwaite; None without data or variance.
        mean_a: None without numbers.
        mean_b: As `mean_a`.
        difference: mean_b - mean_a; None when either is.
        interval: Of the difference, at confidence 1 - alpha; None without data or variance.
    """

    significant: bool
    p_value: float
    larger: Literal["A", "B"] | None
    t: float
    df: float | None
    mean_a: float | None
    mean_b: float | None
    difference: float | None
    interval: Interval | None


def compare_means(a: Moments, b: Moments, *, alpha: float = 0.05) -> MeansComparison:
    """Test, two-sided, whether the means of A and B differ; their variances may.

    Welch, Biometrika 34 (1947), with Satterthwaite's degrees of freedom. Without two numbers in
    each arm, or when neither varies: not significant.

    Raises:
        InvalidValue: alpha not between 0 and 1.
    """
    if not 0 < alpha < 1:
        raise InvalidValue(f"alpha must be between 0 and 1, got {alpha}")
    difference = b.mean - a.mean
    t, df, p_value, interval = 0.0, None, 1.0, None
    if scale := _scale(a, b):
        error, df = scale
        t = difference / error
        p_value = float(2 * stdtr(df, -abs(t)))
        half = error * -float(stdtrit(df, alpha / 2))
        interval = Interval(difference - half, difference + half)
    return MeansComparison(
        significant=p_value < alpha,
        p_value=p_value,
        larger=None if not t else "B" if t > 0 else "A",
        t=t,
        df=df,
        mean_a=a.mean if a.n else None,
        mean_b=b.mean if b.n else None,
        difference=difference if a.n and b.n else None,
        interval=interval,
    )


def _scale(a: Moments, b: Moments) -> tuple[float, float] | None:
    """Return the standard error of the difference and its degrees of freedom."""
    if a.variance is None or not (total := difference_variance(a, b)):
        return None
    share = a.variance / a.n / total
    return math.sqrt(total), 1 / (share**2 / (a.n - 1) + (1 - share) ** 2 / (b.n - 1))


def compare_times(a: Histogram, b: Histogram, *, alpha: float = 0.05) -> MeansComparison:
    """Test, two-sided, whether times differ: `compare_means` of their logarithms.

    One time in a thousand that is a thousand times longer does not decide it. Everything answered
    is in natural logarithms: exp(difference) is the ratio of the geometric means, B's to A's, and
    exp of the interval's ends is that ratio's interval.

    Raises:
        InvalidValue: alpha not between 0 and 1.
    """
    return compare_means(log_moments(a), log_moments(b), alpha=alpha)


def log_moments(histogram: Histogram) -> Moments:
    """Return the moments of the numbers' natural logarithms, each taken at its bucket's middle.

    The mean errs by less than 0.01, that is 1 % of a geometric mean. Numbers not above 1e-9 have no
    logarithm here and are left out.
    """
    logs = {math.log(histogram.middle(k)): n for k, n in histogram.counts.items() if k > 0}
    if not (n := sum(logs.values())):
        return Moments()
    mean = math.fsum(count * log for log, count in logs.items()) / n
    m2 = math.fsum(count * (log - mean) ** 2 for log, count in logs.items())
    return Moments(n, mean, m2, min(logs), max(logs))
