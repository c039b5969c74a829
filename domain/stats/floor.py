"""A rate against a fixed floor: for when nobody is left to compare with."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, xlog1py, xlogy

from domain.errors import InvalidValue
from domain.stats.harm import Floats

UNDERFLOW = 1e-280  # of the incomplete beta function; below it, digits go missing
NODES, NODE_WEIGHTS = np.polynomial.laguerre.laggauss(32)


def log_e(successes: ArrayLike, failures: ArrayLike, *, floor: float) -> Floats:
    """Return the log e-value against "the rate is at least the floor", of the counts' shape.

    A beta mixture over the rates below the floor, against the floor itself: the method of mixtures,
    Robbins, Annals of Mathematical Statistics 41 (1970); `statistics.md`, section 3. A function of
    all counts since the beginning: below the floor where it ever reaches log(1 / alpha).

    Args:
        successes: So far, >= 0.
        failures: As `successes`.
        floor: The lowest good rate, in (0, 1).

    Raises:
        InvalidValue: A negative count, or `floor` not between 0 and 1.
    """
    if not 0 < floor < 1:
        raise InvalidValue(f"floor must be between 0 and 1, got {floor}")
    s, f = np.asarray(successes, dtype=float), np.asarray(failures, dtype=float)
    if not np.all((s >= 0) & (f >= 0)):
        raise InvalidValue(f"counts must be at least 0, got {successes!r} and {failures!r}")
    a, b = np.full((), 16 * floor), np.full((), 20 * (1 - 0.8 * floor))
    s, f = np.broadcast_arrays(s, f)
    mixture = _log_mass(np.asarray(a + s), np.asarray(b + f), floor) - _log_mass(a, b, floor)
    return np.asarray(mixture - xlogy(s, floor) - xlog1py(f, -floor))


def _log_mass(a: Floats, b: Floats, floor: float) -> Floats:
    """Return log of the integral of p^(a - 1) (1 - p)^(b - 1) from 0 to the floor; b > 1."""
    share = np.asarray(betainc(a, b, floor))
    mass = np.asarray(betaln(a, b) + np.log(np.maximum(share, UNDERFLOW)))
    tail = share < UNDERFLOW
    mass[tail] = _log_tail(a[tail], b[tail], floor)
    return mass


def _log_tail(a: Floats, b: Floats, floor: float) -> Floats:
    """Return the same far below the mean, where nearly all of it lies just under the floor.

    With p = floor exp(-t), the integrand is log-concave in t and falls from t = 0 on like an
    exponential: Gauss-Laguerre quadrature.
    """
    odds = floor / (1 - floor)
    steepness = a - (b - 1) * odds
    t = NODES / steepness[..., None]
    bend = NODES - a[..., None] * t + (b[..., None] - 1) * np.log1p(-odds * np.expm1(-t))
    total = np.sum(NODE_WEIGHTS * np.exp(bend), axis=-1)
    edge = a * np.log(floor) + (b - 1) * np.log1p(-floor)
    return np.asarray(edge + np.log(total) - np.log(steepness))
