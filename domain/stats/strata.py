"""Two arms compared within each epoch, then over all of them.

Where the split of users changes from epoch to epoch, pooling their counts lies: a base rate that
falls for everybody looks like a difference between the arms (Simpson). Within an epoch it does not.
"""

import math
from collections.abc import Sequence

from scipy.special import ndtr, ndtri

from domain.stats.moments import Moments, difference_variance
from domain.stats.significance import Interval, Rate, Significance, compare_rates
from domain.stats.welch import MeansComparison, compare_means


def compare_rates_within(
    epochs: Sequence[tuple[Rate, Rate]], *, alpha: float = 0.05
) -> Significance:
    """Test, two-sided, whether the rates of A and B differ within epochs.

    Of one epoch it is `compare_rates`. Of several, Cochran's test with the weights of Mantel and
    Haenszel: Cochran, Biometrics 10 (1954), section 5; Mantel & Haenszel, JNCI 22 (1959). The rates
    answered are weighted alike, so that `difference` is theirs; its interval is Wald's.

    Args:
        epochs: A and B in each; an epoch that one of them is missing from tells nothing.
        alpha: In (0, 1).

    Raises:
        InvalidValue: As `compare_rates`.
    """
    told = [(a, b) for a, b in epochs if a.n and b.n]
    if len(told) < 2:
        return compare_rates(*(told[0] if told else (Rate(0, 0), Rate(0, 0))), alpha=alpha)
    weights = [_weight(a.n, b.n) / sum(_weight(c.n, d.n) for c, d in told) for a, b in told]
    rate_a = math.fsum(w * a.successes / a.n for w, (a, _) in zip(weights, told, strict=True))
    rate_b = math.fsum(w * b.successes / b.n for w, (_, b) in zip(weights, told, strict=True))
    null, error = _errors(weights, told)
    z = (rate_b - rate_a) / null if null else 0.0
    p_value = float(2 * ndtr(-abs(z))) if null else 1.0
    half = -float(ndtri(alpha / 2)) * error
    return Significance(
        significant=p_value < alpha,
        p_value=p_value,
        winner=None if not null else "B" if z > 0 else "A",
        method="z" if null else "none",
        z=z,
        rate_a=rate_a,
        rate_b=rate_b,
        difference=rate_b - rate_a,
        interval=Interval(max(rate_b - rate_a - half, -1.0), min(rate_b - rate_a + half, 1.0)),
    )


def _errors(weights: Sequence[float], epochs: Sequence[tuple[Rate, Rate]]) -> tuple[float, float]:
    """Return the standard error of the difference where there is none, and as it is."""
    null = error = 0.0
    for weight, (a, b) in zip(weights, epochs, strict=True):
        pooled = _spread((a.successes + b.successes) / (a.n + b.n))
        null += weight**2 * pooled * (1 / a.n + 1 / b.n)
        error += weight**2 * (_spread(a.successes / a.n) / a.n + _spread(b.successes / b.n) / b.n)
    return math.sqrt(null), math.sqrt(error)


def compare_means_within(
    epochs: Sequence[tuple[Moments, Moments]], *, alpha: float = 0.05
) -> MeansComparison:
    """Test, two-sided, whether the means of A and B differ within epochs.

    Of one epoch it is Welch's test. Of several, the differences weighted as in
    `compare_rates_within`, against the normal law: each epoch has many numbers.

    Args:
        epochs: A and B in each; an epoch without two numbers in each, or without variance, tells
            nothing.
        alpha: In (0, 1).

    Raises:
        InvalidValue: alpha not between 0 and 1.
    """
    found = [(a, b, difference_variance(a, b)) for a, b in epochs]
    told = [(_weight(a.n, b.n), a, b, v) for a, b, v in found if v]
    if len(told) < 2:
        a, b = (told[0][1], told[0][2]) if told else (Moments(), Moments())
        return compare_means(a, b, alpha=alpha)
    total = math.fsum(w for w, *_ in told)
    mean_a = math.fsum(w * a.mean for w, a, _, _ in told) / total
    mean_b = math.fsum(w * b.mean for w, _, b, _ in told) / total
    error = math.sqrt(math.fsum(w**2 * v for w, _, _, v in told)) / total
    t, half = (mean_b - mean_a) / error, -float(ndtri(alpha / 2)) * error
    p_value = float(2 * ndtr(-abs(t)))
    return MeansComparison(
        significant=p_value < alpha,
        p_value=p_value,
        larger=None if not t else "B" if t > 0 else "A",
        t=t,
        df=None,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=mean_b - mean_a,
        interval=Interval(mean_b - mean_a - half, mean_b - mean_a + half),
    )


def _weight(n_a: int, n_b: int) -> float:
    return n_a * n_b / (n_a + n_b)


def _spread(rate: float) -> float:
    return rate * (1 - rate)
