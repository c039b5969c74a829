"""Several guardrails: one mean, and names only for what every set would reject."""

import math
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.stats.combination import anytime_p, combined, guilty

weighed = st.lists(st.tuples(st.floats(-5, 9), st.integers(0, 5)), min_size=1, max_size=6)


def split(pairs: list[tuple[float, int]], whole: float) -> tuple[list[float], list[float]]:
    total = sum(weight for _, weight in pairs) or 1
    return [log_e for log_e, _ in pairs], [whole * weight / total for _, weight in pairs]


@given(weighed, st.sampled_from([1.0, 0.6]), st.sampled_from([0.05, 0.2]))
def test_the_guilty_are_those_that_every_set_rejects(
    pairs: list[tuple[float, int]], whole: float, alpha: float
) -> None:
    log_es, weights = split(pairs, whole)
    there = [i for i, weight in enumerate(weights) if weight]
    sets = [group for size in range(1, 7) for group in combinations(there, size)]
    means = {
        group: sum(weights[i] * math.exp(log_es[i]) for i in group)
        / sum(weights[i] for i in group)
        * sum(weights)
        for group in sets
    }
    assume(all(abs(mean * alpha - 1) > 1e-9 for mean in means.values()))

    expected = {i for i in there if all(means[g] >= 1 / alpha for g in sets if i in g)}

    found = guilty(log_es, weights, alpha=alpha)
    assert set(found) == expected
    assert [log_es[i] for i in found] == sorted((log_es[i] for i in found), reverse=True)
    if found:
        assert combined(log_es, weights) >= math.log(1 / alpha)


def test_the_mean_is_weighted_and_what_is_missing_counts_as_nothing() -> None:
    assert combined([math.log(30), 0.0], [0.5, 0.5]) == pytest.approx(math.log(15.5))
    assert combined([math.log(30)], [0.5]) == pytest.approx(math.log(15))
    assert combined([], []) == combined([5.0], [0.0]) == -math.inf


def test_evidence_beyond_any_float_is_combined_and_named() -> None:
    log_es = [100_000.0, -100_000.0, -math.inf]

    assert combined(log_es, [0.5, 0.25, 0.25]) == pytest.approx(100_000 - math.log(2))
    assert guilty(log_es, [0.5, 0.25, 0.25], alpha=0.05) == [0]


def test_the_mean_may_be_proven_while_nobody_is() -> None:
    log_es, weights = [math.log(30), math.log(30), -9.0], [1 / 3] * 3

    assert combined(log_es, weights) >= math.log(1 / 0.05)
    assert guilty(log_es, weights, alpha=0.05) == []


@pytest.mark.parametrize(
    ("log_e", "p"), [(-3.0, 1.0), (0.0, 1.0), (math.log(20), 0.05), (9e9, 0.0)]
)
def test_the_p_value_is_one_over_the_largest_e_value(log_e: float, p: float) -> None:
    assert anytime_p(log_e) == pytest.approx(p)


@pytest.mark.parametrize(
    ("log_es", "weights", "message"),
    [
        ([1.0], [0.5, 0.5], "1 e-values need as many weights, got 2"),
        ([1.0, 2.0], [0.8, 0.8], "sum to at most 1"),
        ([1.0, 2.0], [1.2, -0.2], "weights must be at least 0"),
        ([1.0], [math.nan], "weights must be at least 0"),
        ([math.nan], [1.0], "e-values must be numbers"),
    ],
)
def test_weights_that_are_none_are_refused(
    log_es: list[float], weights: list[float], message: str
) -> None:
    with pytest.raises(InvalidValue, match=message):
        combined(log_es, weights)
    with pytest.raises(InvalidValue, match=message):
        guilty(log_es, weights, alpha=0.05)


def test_an_impossible_alpha_is_refused() -> None:
    with pytest.raises(InvalidValue, match="alpha must be between 0 and 1, got 0"):
        guilty([1.0], [1.0], alpha=0)
