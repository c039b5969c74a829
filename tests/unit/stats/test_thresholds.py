"""Thresholds: exact counts on bucket edges, margins that never work against treatment."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.stats.histogram import RATIO, Histogram, Levels
from domain.stats.thresholds import cuts, edge, exceeding, shifted, within

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1)
times = st.lists(st.floats(0.001, 1000), min_size=1)


@given(numbers, numbers)
def test_every_number_is_on_one_side_of_every_cut(past: list[float], now: list[float]) -> None:
    histogram = Histogram.of(now)

    for cut in cuts(Histogram.of(past)):
        threshold = edge(cut)
        slack = 1e-9 * max(abs(threshold), 1e-9)
        above = sum(value > threshold + slack for value in now)
        at_edge = sum(abs(value - threshold) <= slack for value in now)
        assert above <= exceeding(histogram, cut) <= above + at_edge
        assert exceeding(histogram, cut) + within(histogram, cut) == len(now)


@given(numbers)
def test_cuts_are_where_the_quantiles_of_the_history_lie(past: list[float]) -> None:
    history = Histogram.of(past)

    found = cuts(history)

    assert list(found) == sorted(set(found))
    for q in (0.5, 0.75, 0.9, 0.95, 0.99):
        assert any(
            within(history, cut) >= q * len(past) > within(history, cut - 1) for cut in found
        )


def test_without_history_there_are_no_cuts_but_those_of_ratings() -> None:
    assert cuts(Histogram()) == ()
    assert cuts(Levels()) == cuts(Levels.of([5, 5, 5])) == (1, 2, 3, 4)


def test_ratings_are_counted_at_most_a_level() -> None:
    ratings = Levels.of([1, 2, 2, 3.5, 4, 5])

    assert [within(ratings, cut) for cut in cuts(ratings)] == [1, 3, 3, 5]
    assert edge(3, kind=Levels) == 3.0
    assert shifted(3, 0.1, kind=Levels) == 3


@given(times, st.integers(-50, 1500), st.floats(0, 0.5))
def test_the_margin_never_counts_more_against_treatment_than_dividing_would(
    values: list[float], cut: int, margin: float
) -> None:
    if (moved := shifted(cut, margin)) == cut == 0:
        return

    divided = sum(value / (1 + margin) > edge(cut) * (1 - 1e-8) for value in values)
    if cut > 0:
        assert edge(cut) * (1 + margin) <= edge(moved) * (1 + 1e-8)
        assert edge(moved) <= edge(cut) * (1 + margin) * RATIO * (1 + 1e-8)
        assert exceeding(Histogram.of(values), moved) <= divided
    assert moved >= cut


def test_a_negative_margin_moves_the_cut_down() -> None:
    assert shifted(100, 0) == 100
    assert shifted(100, 0.02) == 101
    assert shifted(100, 0.05) == 103
    assert shifted(100, -0.05) == 97
    assert shifted(2, -0.5) == 1
    assert shifted(-2, 0.5) == -1
    assert shifted(0, 0.5) == 0


@pytest.mark.parametrize("margin", [-1.0, -2.0, math.nan, math.inf])
def test_a_margin_that_takes_everything_is_refused(margin: float) -> None:
    with pytest.raises(InvalidValue, match="margin must be above -1"):
        shifted(100, margin)
