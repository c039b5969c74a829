"""Intervals that may be looked at at any time: exact ends, and coverage while peeking."""

import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import norm

from domain.errors import InvalidValue
from domain.stats.intervals import difference_interval, mean_difference_interval, rate_interval
from domain.stats.moments import Moments
from domain.stats.significance import Rate

counts = st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def log_martingale(successes: int, n: int, p: float) -> float:
    mixture = betaln(0.5 + successes, 0.5 + n - successes) - betaln(0.5, 0.5)
    return float(mixture - successes * math.log(p) - (n - successes) * math.log1p(-p))


@given(counts, st.sampled_from([0.05, 0.01, 0.3]))
def test_the_ends_are_where_the_martingale_reaches_one_over_alpha(
    count: tuple[int, int], alpha: float
) -> None:
    low, high = rate_interval(*count, alpha=alpha)

    assert 0 <= low <= count[0] / count[1] <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            bar = math.log(1 / alpha)
            assert log_martingale(*count, end) == pytest.approx(bar, abs=1e-5)


@given(counts)
def test_failures_mirror_successes(count: tuple[int, int]) -> None:
    successes, n = count
    low, high = rate_interval(n - successes, n)

    assert rate_interval(successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_nothing_all_or_ten_million_are_no_trouble() -> None:
    assert rate_interval(0, 0) == (0, 1)
    assert rate_interval(0, 50).low == 0
    assert rate_interval(50, 50).high == 1
    low, high = rate_interval(9_500_000, 10_000_000)
    assert 0.9496 < low < 0.95 < high < 0.9504
    assert rate_interval(1, 10_000_000).low > 0


def test_the_interval_is_wider_than_one_that_is_looked_at_once() -> None:
    low, high = rate_interval(700, 1000)

    half = norm.isf(0.025) * math.sqrt(0.7 * 0.3 / 1000)
    assert low < 0.7 - half
    assert high > 0.7 + half
    assert high - low < 2 * half * 2


@pytest.mark.parametrize("rate", [0.5, 0.97])
def test_peeking_rarely_finds_the_true_rate_outside(rate: float) -> None:
    outcomes = np.random.default_rng(11).random((400, 1000)) < rate
    successes = np.cumsum(outcomes, axis=1)
    missed = 0
    for run in successes[:, 9::50]:
        ends = [rate_interval(int(s), 10 + 50 * i, alpha=0.1) for i, s in enumerate(run)]
        missed += any(not low <= rate <= high for low, high in ends)

    assert missed <= 40


def test_the_difference_lies_between_both_rates_intervals() -> None:
    a, b = Rate(900, 1000), Rate(950, 1000)

    found = difference_interval(a, b, alpha=0.1)

    of_a, of_b = rate_interval(*a, alpha=0.05), rate_interval(*b, alpha=0.05)
    assert found == (of_b.low - of_a.high, of_b.high - of_a.low)
    assert found.low < 0.05 < found.high
    assert difference_interval(Rate(0, 0), b) == difference_interval(a, Rate(0, 0)) == (-1, 1)


def test_the_means_interval_is_where_the_normal_mixture_reaches_one_over_alpha() -> None:
    a, b, tau = Moments(500, 2.0, 450.0), Moments(80, 2.5, 100.0), 0.3

    found = mean_difference_interval(a, b, alpha=0.05, tau=tau)

    assert found is not None
    variance = 450 / 499 / 500 + 100 / 79 / 80
    for end in found:
        ratio = norm.pdf(0.5, end, math.sqrt(variance + tau**2)) / norm.pdf(
            0.5, end, math.sqrt(variance)
        )
        assert math.log(ratio) == pytest.approx(math.log(20), abs=1e-9)


def test_without_data_or_variance_a_mean_has_no_interval() -> None:
    some = Moments.of([1, 2, 3])

    for a, b in [(Moments(), some), (some, Moments.of([1])), (Moments(9, 1.0), Moments(9, 2.0))]:
        assert mean_difference_interval(a, b, tau=1) is None


def grown(values: NDArray[np.float64]) -> Iterator[Moments]:
    """Return the moments after every hundred numbers."""
    return accumulate(map(Moments.of, values.reshape(-1, 100).tolist()), Moments.merge)


def test_peeking_rarely_finds_the_true_difference_outside() -> None:
    chance = np.random.default_rng(12)
    a, b = chance.exponential(1, (200, 1000)), chance.exponential(1.2, (200, 1000))
    missed = 0
    for one, other in zip(a, b, strict=True):
        looks = zip(grown(one), grown(other), strict=True)
        found = [mean_difference_interval(*look, tau=0.2, alpha=0.1) for look in looks]
        missed += any(end is not None and not end.low <= 0.2 <= end.high for end in found)

    assert missed <= 20


def test_impossible_input_is_refused() -> None:
    with pytest.raises(InvalidValue, match="successes must be between 0 and n, got 3 of 2"):
        rate_interval(3, 2)
    with pytest.raises(InvalidValue, match="alpha must be between 0 and 1, got 1"):
        difference_interval(Rate(1, 2), Rate(1, 2), alpha=1)
    with pytest.raises(InvalidValue, match="tau must be above 0, got 0"):
        mean_difference_interval(Moments(), Moments(), tau=0)
