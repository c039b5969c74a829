"""The peers: from all that was counted so far, would they roll back now?

Every rule takes cumulative counts of treatment and control, arrays of any one shape, and returns
where it would. Without variance, or with an empty arm, nobody can say anything.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from gbstats.frequentist.tests import (  # type: ignore[import-untyped]
    SequentialConfig,
    SequentialTwoSidedTTest,
)
from gbstats.models.statistics import ProportionStatistic  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.trials.arrivals import Arrivals, Floats

ALPHA = 0.05
TUNING = 5_000  # GrowthBook's default: observations at which the sequence is tightest
TAU = 0.05  # of the mSPRT: the standard deviation of its prior on the difference

FLOOR, FLOOR_EVENTS = 0.8, 100  # the seed's threshold

Mask = NDArray[np.bool_]
Rule = Callable[[Arrivals], Mask]


def naive_z(seen: Arrivals) -> Mask:
    """The seed's test: pooled, two-sided, asked at every look, and worse."""
    return np.asarray(pooled_z(seen) < ndtri(ALPHA / 2))


def pooled_z(seen: Arrivals) -> Floats:
    """Return z of the pooled two-sample test of rates; 0 where it is undefined."""
    n_t, s_t, n_c, s_c = seen
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (s_t + s_c) / (n_t + n_c)
        error = np.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
        z = (s_t / n_t - s_c / n_c) / error
    return np.asarray(np.nan_to_num(z, posinf=0, neginf=0))


def threshold(seen: Arrivals) -> Mask:
    """The seed's rollback: a success rate below .8 in more than 100 events of treatment."""
    return (seen.n_t > FLOOR_EVENTS) & (seen.s_t < FLOOR * seen.n_t)


def gbstats(seen: Arrivals) -> Mask:
    """The test of gbstats 0.8.0 as it comes: sequential, two-sided, relative; and worse."""
    log_p, uplift = gbstats_log_p(seen)
    return (log_p < math.log(ALPHA)) & (uplift < 0)


def gbstats_log_p(seen: Arrivals) -> tuple[Floats, Floats]:
    """Return the logarithm of gbstats' p-value and its uplift.

    Waudby-Smith et al., arXiv 2103.06476v7, eq. 155 with rho of eq. 161; the delta method for the
    relative uplift. `really_gbstats` is held against it in every run of the benchmark.
    """
    p_t, p_c, v_t, v_c = _moments(seen)
    with np.errstate(divide="ignore", invalid="ignore"):
        uplift = (p_t - p_c) / p_c
        variance = v_t / p_c**2 + v_c * p_t**2 / p_c**4
        n = seen.n_t + seen.n_c
        rho2 = _rho(ALPHA) ** 2
        top = n * rho2 + 1
        log_p = np.log(top) / 2 - rho2 * uplift**2 * n / variance / (2 * top)
    known = (v_t > 0) & (v_c > 0)
    return np.where(known, np.minimum(log_p, 0), 0.0), np.where(known, uplift, 0.0)


def really_gbstats(n_t: int, s_t: int, n_c: int, s_c: int) -> tuple[float, float]:
    """Return the p-value and the uplift that the installed gbstats computes."""
    result = SequentialTwoSidedTTest(
        ProportionStatistic(n=n_c, sum=s_c),
        ProportionStatistic(n=n_t, sum=s_t),
        SequentialConfig(alpha=ALPHA, sequential_tuning_parameter=TUNING),
    ).compute_result()
    return float(result.p_value), float(result.expected)


def growthbook(seen: Arrivals) -> Mask:
    """GrowthBook's safe rollout: one-sided confidence sequence of the difference, all below 0.

    Waudby-Smith et al., arXiv 2103.06476v7, eq. 134, with rho of eq. 161 at 2 alpha.
    """
    p_t, p_c, v_t, v_c = _moments(seen)
    rho2 = _rho(2 * ALPHA) ** 2
    top = (seen.n_t + seen.n_c) * rho2 + 1
    with np.errstate(divide="ignore", invalid="ignore"):
        widening = 2 * top / (top - 1) * np.log1p(np.sqrt(top) / (2 * ALPHA))
        width = np.sqrt((v_t + v_c) * widening)
    return np.asarray((v_t > 0) & (v_c > 0) & (p_t - p_c + width < 0))


def msprt(seen: Arrivals) -> Mask:
    """The mixture SPRT, normal prior: Johari, Pekelis & Walsh, arXiv 1512.04922; and worse."""
    p_t, p_c, v_t, v_c = _moments(seen)
    v = v_t + v_c
    with np.errstate(divide="ignore", invalid="ignore"):
        log_e = (np.log(v / (v + TAU**2)) + (TAU * (p_t - p_c)) ** 2 / (v * (v + TAU**2))) / 2
    return (v_t > 0) & (v_c > 0) & (log_e >= -math.log(ALPHA)) & (p_t < p_c)


def naive_safe(margin: float) -> Rule:
    """Return the textbook one-sided z-test of non-inferiority, asked at every look."""

    def rule(seen: Arrivals) -> Mask:
        p_t, p_c, v_t, v_c = _moments(seen)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (p_t - p_c + margin) / np.sqrt(v_t + v_c)
        return np.asarray((v_t > 0) & (v_c > 0) & (z > -ndtri(ALPHA)))

    return rule


def _moments(seen: Arrivals) -> tuple[Floats, Floats, Floats, Floats]:
    """Return both rates and the variances of both; NaN for an empty arm."""
    n_t, s_t, n_c, s_c = seen
    with np.errstate(divide="ignore", invalid="ignore"):
        p_t, p_c = s_t / n_t, s_c / n_c
        return p_t, p_c, p_t * (1 - p_t) / n_t, p_c * (1 - p_c) / n_c


def _rho(alpha: float) -> float:
    """Return the mixing parameter, eq. 161."""
    return math.sqrt((-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TUNING)


def limit(split: float, *, control: float, treatment: float) -> float:
    """Return the treatment events that no valid method can beat on average, to first order.

    ln(1/alpha) over the information of one treatment event: the divergence of both arms from the
    common rate that explains them best without harm. `statistics.md`, "Targets".
    """
    common = split * treatment + (1 - split) * control
    information = split * _kl(treatment, common) + (1 - split) * _kl(control, common)
    return -math.log(ALPHA) * split / information


def _kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


PEERS: Mapping[str, Rule] = {
    "gbstats": gbstats,
    "growthbook": growthbook,
    "msprt": msprt,
    "naive_z": naive_z,
    "threshold": threshold,
}
