"""Welch's test: from moments, as statsmodels has it from the numbers."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind_from_stats
from statsmodels.stats.weightstats import (  # type: ignore[import-untyped]
    CompareMeans,
    DescrStatsW,
)

from domain.errors import InvalidValue
from domain.stats.histogram import Histogram
from domain.stats.moments import Moments
from domain.stats.welch import compare_means, compare_times, log_moments

SAMPLES = [(8, 1.0, 2.0, 5), (200, 3.0, 0.1, 900), (50, -4.0, 30.0, 50), (3, 1e6, 1.0, 4000)]


@pytest.mark.parametrize("case", SAMPLES)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_it_agrees_with_statsmodels(case: tuple[int, float, float, int], alpha: float) -> None:
    n_a, mean, spread, n_b = case
    chance = np.random.default_rng(n_b)
    a, b = chance.normal(mean, 1, n_a), chance.normal(mean + 0.3, spread, n_b)

    found = compare_means(Moments.of(a.tolist()), Moments.of(b.tolist()), alpha=alpha)

    peer = CompareMeans(DescrStatsW(b), DescrStatsW(a))
    t, p_value, df = peer.ttest_ind(usevar="unequal")
    assert (found.t, found.p_value, found.df) == pytest.approx((t, p_value, df), rel=1e-8)
    assert found.interval == pytest.approx(
        peer.tconfint_diff(alpha, usevar="unequal"), rel=1e-8, abs=1e-9
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Moments(8, 1.25, 9.5), Moments(5, 3.5, 2.25)),
        (Moments(1000, 0.8, 120.0), Moments(900, 0.83, 160.0)),
        (Moments(60, 2.0, 0.0), Moments(2, 2.5, 0.5)),
        (Moments(10_000_000, 5.0, 3e7), Moments(100_000, 5.01, 5e5)),
    ],
)
def test_it_agrees_with_scipy_to_the_last_digits(a: Moments, b: Moments) -> None:
    found = compare_means(a, b)

    spread_a, spread_b = (math.sqrt(m.variance or 0) for m in (a, b))
    peer = ttest_ind_from_stats(b.mean, spread_b, b.n, a.mean, spread_a, a.n, equal_var=False)
    assert found.t == pytest.approx(float(peer.statistic), rel=1e-12)
    assert found.p_value == pytest.approx(float(peer.pvalue), rel=1e-11, abs=1e-12)
    assert found.significant is (found.p_value < 0.05)
    assert found.larger == "B"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Moments(), Moments()),
        (Moments(), Moments.of([1, 2, 3])),
        (Moments.of([1]), Moments.of([1, 2, 3])),
        (Moments.of([1, 1, 1]), Moments.of([2, 2, 2])),
        (Moments.of([0.1] * 7), Moments.of([0.1] * 3).merge(Moments.of([0.1] * 10))),
    ],
)
def test_without_data_or_variance_nothing_is_significant(a: Moments, b: Moments) -> None:
    found = compare_means(a, b)

    assert (found.significant, found.p_value, found.larger) == (False, 1.0, None)
    assert (found.t, found.df, found.interval) == (0.0, None, None)


def test_a_mean_without_numbers_is_unknown_not_zero() -> None:
    found = compare_means(Moments(), Moments.of([3, 3]))

    assert (found.mean_a, found.mean_b, found.difference) == (None, 3, None)


def test_times_are_compared_by_their_logarithms() -> None:
    chance = np.random.default_rng(9)
    a, b = chance.lognormal(0, 0.5, 4000), chance.lognormal(math.log(1.2), 0.5, 4000)

    found = compare_times(Histogram.of(a.tolist()), Histogram.of(b.tolist()))

    exact = compare_means(Moments.of(np.log(a).tolist()), Moments.of(np.log(b).tolist()))
    assert found.difference == pytest.approx(exact.difference, abs=1e-3)
    assert found.t == pytest.approx(exact.t, rel=1e-2)
    assert found.significant
    assert math.exp(found.difference or 0) == pytest.approx(1.2, rel=0.05)


def test_one_endless_call_does_not_hide_a_faster_version() -> None:
    slow, fast = [1.0, 1.1, 0.9, 1.2] * 50, [0.8, 0.88, 0.72, 0.96] * 50
    fast[0] = 3600.0

    assert not compare_means(Moments.of(slow), Moments.of(fast)).significant
    assert compare_times(Histogram.of(slow), Histogram.of(fast)).significant


def test_what_is_not_above_zero_has_no_logarithm() -> None:
    assert log_moments(Histogram.of([0.0, -1.0])) == Moments()
    assert log_moments(Histogram.of([0.0, 5.0, 5.0])).n == 2


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidValue, match="alpha must be between 0 and 1"):
        compare_means(Moments(), Moments(), alpha=alpha)
