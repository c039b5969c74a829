"""Whether treatment's mean is larger: evidence that holds in large samples only, so it advises."""

import math
from collections.abc import Sequence

from scipy.special import log_ndtr

from domain.errors import InvalidValue
from domain.stats.moments import Moments, difference_variance

LEAST = 50  # numbers per arm before the normal approximation is asked at all


def log_e(epochs: Sequence[tuple[Moments, Moments]], *, tau: float) -> float:
    """Return the log e-value against "treatment's mean is at most control's", asymptotically.

    A half-normal mixture over positive shifts (the method of mixtures: Robbins, Annals of
    Mathematical Statistics 41 (1970)) on the estimates of each epoch; time-uniform in large samples
    by Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Annals of Statistics 52 (2024). The formula is
    that of `statistics.md`, section 4.

    Args:
        epochs: Treatment and control of each epoch; one with fewer than 50 numbers in an arm, or
            without variance, tells nothing. Swap them where smaller is worse.
        tau: The shift that matters, in the unit of the numbers, > 0.

    Raises:
        InvalidValue: `tau` not above 0.
    """
    if not (math.isfinite(tau) and tau > 0):
        raise InvalidValue(f"tau must be above 0, got {tau}")
    told = [found for treatment, control in epochs if (found := _shift(treatment, control))]
    u = math.fsum(shift / variance for shift, variance in told)
    v = math.fsum(1 / variance for _, variance in told)
    if not v:
        return 0.0
    q = 1 + tau**2 * v
    tail = float(log_ndtr(tau * u / math.sqrt(q)))
    return math.log(2) - math.log(q) / 2 + (tau * u) ** 2 / (2 * q) + tail


def _shift(treatment: Moments, control: Moments) -> tuple[float, float] | None:
    """Return the difference of the means and its variance."""
    if min(treatment.n, control.n) < LEAST:
        return None
    variance = difference_variance(treatment, control)
    return (treatment.mean - control.mean, variance) if variance else None
