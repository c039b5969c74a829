"""Histograms: small, exact in merging, within one percent in reading."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.stats.histogram import CEILING, FLOOR, LONG, Histogram, Levels

numbers = st.floats(min_value=-1e9, max_value=1e9)
sizes = st.floats(min_value=FLOOR, max_value=CEILING)


@given(st.lists(sizes, min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_number_of_its_rank(
    values: list[float], q: float
) -> None:
    rank = max(1, math.ceil(q * len(values)))

    found = Histogram.of(values).quantile(q)

    assert found == pytest.approx(sorted(values)[rank - 1], rel=0.01)


@given(st.lists(st.floats(-1e300, 1e300)), st.lists(st.floats(-1e300, 1e300)))
def test_merged_histograms_are_those_of_all_numbers(left: list[float], right: list[float]) -> None:
    assert Histogram.of(left).merge(Histogram.of(right)) == Histogram.of(left + right)


@given(st.lists(numbers))
def test_a_histogram_comes_back_from_its_json(values: list[float]) -> None:
    histogram = Histogram.of(values)

    assert Histogram.from_json(histogram.to_json()) == histogram


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_has_one_of_a_bounded_number_of_buckets(value: float) -> None:
    assert abs(Histogram.bucket(value)) <= 2_442


@given(numbers, numbers)
def test_larger_numbers_are_in_no_lower_bucket(one: float, other: float) -> None:
    low, high = sorted([one, other])

    assert Histogram.bucket(low) <= Histogram.bucket(high)


@given(st.lists(numbers | st.just(0.0), min_size=LONG, max_size=LONG))
def test_many_numbers_fall_into_the_bucket_of_each(values: list[float]) -> None:
    assert list(Histogram.buckets(values)) == [Histogram.bucket(value) for value in values]


def test_zero_and_what_is_next_to_it_are_zero() -> None:
    assert Histogram.of([0.0, 1e-12, -1e-12]).quantile(0.5) == 0.0


def test_no_numbers_have_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_ratings_have_one_bin_a_level_and_exact_counts_of_at_most_k() -> None:
    levels = Levels.of([1.0, 3.2, 4.0, 4.0, 5.0])

    assert levels.counts == {1: 1, 4: 3, 5: 1}
    assert levels.quantile(0.5) == 4.0
