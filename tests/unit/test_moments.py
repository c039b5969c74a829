"""Moments: merged as if all numbers had been seen at once."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.stats.moments import Moments

numbers = st.floats(min_value=-1e9, max_value=1e9)


def exact_m2(values: list[float]) -> float:
    """Two passes in exact fractions: nothing is rounded before the end."""
    fractions = [Fraction(value) for value in values]
    mean = sum(fractions) / len(fractions)
    return float(sum((value - mean) ** 2 for value in fractions))


@given(st.lists(numbers, min_size=1), st.lists(numbers, min_size=1))
def test_merged_moments_are_those_of_all_numbers(left: list[float], right: list[float]) -> None:
    merged = Moments.of(left).merge(Moments.of(right))

    size = max(abs(value) for value in left + right)
    assert merged.n == len(left + right)
    assert merged.mean == pytest.approx(
        math.fsum(left + right) / merged.n, abs=max(1e-12 * size, 1e-300)
    )
    assert merged.m2 == pytest.approx(
        exact_m2(left + right), rel=1e-9, abs=max(1e-14 * size**2, 1e-300)
    )
    assert (merged.min, merged.max) == (min(left + right), max(left + right))


@given(st.lists(numbers))
def test_merging_nothing_changes_nothing(values: list[float]) -> None:
    moments = Moments.of(values)

    assert moments.merge(Moments()) == Moments().merge(moments) == moments


def test_the_variance_survives_a_mean_that_is_a_billion_times_larger() -> None:
    merged = Moments()
    for value in (1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16):
        merged = merged.merge(Moments.of([value]))

    assert merged.variance == pytest.approx(30)


def test_ten_million_ones_and_zeros_keep_an_exact_count() -> None:
    thousand = Moments.of([1.0] * 997 + [0.0] * 3)
    merged = Moments()
    for _ in range(10_000):
        merged = merged.merge(thousand)

    assert merged.n == 10_000_000
    assert round(merged.total) == 9_970_000
    assert merged.variance == pytest.approx(0.997 * 0.003 * 1e7 / (1e7 - 1), rel=1e-9)


def test_the_moments_of_many_numbers_are_exact_too() -> None:
    values = [1e6 + 0.1 * number for number in range(1_000)]

    found = Moments.of(values)

    assert found.m2 == pytest.approx(exact_m2(values), rel=1e-9)


@pytest.mark.parametrize("values", [[], [3.0]])
def test_one_number_has_no_variance(values: list[float]) -> None:
    assert Moments.of(values).variance is None
