"""Significance: the one test at the end of an experiment."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import (  # type: ignore[import-untyped]
    confint_proportions_2indep,
    proportions_ztest,
)

from domain.errors import InvalidValue
from domain.stats.significance import Rate, compare_rates

rates = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).map(lambda successes: Rate(successes, n))
)


def seed_p_value(a: Rate, b: Rate) -> float:
    """The seed's formula, word for word but for the normal distribution's tail."""
    n1, n2, p1, p2 = a.n, b.n, a.successes / a.n, b.successes / b.n
    p_pooled = (n1 * p1 + n2 * p2) / (n1 + n2)
    se = (p_pooled * (1 - p_pooled) * (1 / n1 + 1 / n2)) ** 0.5
    return math.erfc(abs((p2 - p1) / se) / math.sqrt(2))


@pytest.mark.parametrize(
    ("a", "b", "winner"),
    [
        (Rate(900, 1000), Rate(950, 1000), "B"),
        (Rate(500, 1000), Rate(470, 900), "B"),
        (Rate(70, 100), Rate(50, 100), "A"),
        (Rate(50, 100), Rate(50, 100), "A"),
    ],
)
def test_large_samples_are_judged_as_the_seed_does(a: Rate, b: Rate, winner: str) -> None:
    found = compare_rates(a, b)

    assert (found.method, found.winner) == ("z", winner)
    assert found.p_value == pytest.approx(seed_p_value(a, b), rel=1e-9)
    assert found.significant is (found.p_value < 0.05)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Rate(900, 1000), Rate(950, 1000)),
        (Rate(70, 100), Rate(50, 100)),
        (Rate(31, 900), Rate(40, 1100)),
        (Rate(9_500_000, 10_000_000), Rate(949_000, 1_000_000)),
        (Rate(500, 1000), Rate(1, 1000)),
        (Rate(20_000, 21_000), Rate(400, 430)),
    ],
)
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_large_samples_agree_with_statsmodels(a: Rate, b: Rate, alpha: float) -> None:
    found = compare_rates(a, b, alpha=alpha)

    z, p_value = proportions_ztest([b.successes, a.successes], [b.n, a.n])
    interval = confint_proportions_2indep(*b, *a, method="newcomb", alpha=alpha)
    assert (found.z, found.p_value) == pytest.approx((z, p_value), rel=1e-12, abs=1e-12)
    assert found.interval == pytest.approx(interval, rel=1e-12, abs=1e-12)


def test_small_samples_are_judged_by_barnards_exact_test() -> None:
    found = compare_rates(Rate(7, 15), Rate(12, 15))  # Barnard (1947), as SciPy documents it

    assert found.method == "barnard"
    assert found.p_value == pytest.approx(0.0684, abs=5e-4)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Rate(0, 0), Rate(0, 0)),
        (Rate(0, 0), Rate(9, 10)),
        (Rate(9, 10), Rate(0, 0)),
        (Rate(10, 10), Rate(10_000, 10_000)),
        (Rate(0, 10), Rate(0, 10)),
    ],
)
def test_without_data_or_variance_nothing_is_significant_and_nobody_wins(a: Rate, b: Rate) -> None:
    found = compare_rates(a, b)

    assert (found.significant, found.p_value, found.winner) == (False, 1.0, None)


def test_a_rate_without_observations_is_unknown_not_zero() -> None:
    found = compare_rates(Rate(0, 0), Rate(9, 10))

    assert (found.rate_a, found.rate_b, found.difference) == (None, 0.9, None)
    assert found.interval == (-1.0, 1.0)


def test_the_interval_is_newcombes() -> None:
    found = compare_rates(Rate(48, 80), Rate(56, 70))  # Newcombe (1998), table II (a), reversed

    assert found.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


@given(rates, rates)
def test_the_interval_holds_the_difference_and_stays_possible(a: Rate, b: Rate) -> None:
    found = compare_rates(a, b, alpha=0.01)

    assert found.difference is not None
    assert -1 - 1e-9 <= found.interval.low <= found.difference + 1e-9
    assert found.difference - 1e-9 <= found.interval.high <= 1 + 1e-9


@pytest.mark.parametrize(
    ("a", "alpha", "message"),
    [
        (Rate(3, 2), 0.05, "successes must be between 0 and n, got 3 of 2"),
        (Rate(-1, 2), 0.05, "got -1 of 2"),
        (Rate(1, 2), 1.0, "alpha must be between 0 and 1, got 1.0"),
        (Rate(1, 2), math.nan, "got nan"),
    ],
)
def test_impossible_counts_and_levels_are_refused(a: Rate, alpha: float, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        compare_rates(a, Rate(1, 2), alpha=alpha)
