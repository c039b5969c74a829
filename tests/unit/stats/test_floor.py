"""A rate against a floor: a mixture, computed right where the textbook formula underflows."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betainc, betaln
from scipy.stats import binom

from domain.errors import InvalidValue
from domain.stats.floor import _log_mass, _log_tail, log_e


@pytest.mark.parametrize("floor", [0.05, 0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 5, 12, 60])
def test_the_mean_is_one_at_the_floor_and_less_above_it(n: int, floor: float) -> None:
    s = np.arange(n + 1)
    e = np.exp(log_e(s, n - s, floor=floor))

    means = [np.sum(binom.pmf(s, n, rate) * e) for rate in np.linspace(floor, 1, 21)]

    assert means[0] == pytest.approx(1, abs=1e-10)
    assert max(means) < 1 + 1e-10


@pytest.mark.parametrize(
    ("successes", "failures", "floor"),
    [(0, 0, 0.8), (70, 30, 0.8), (790, 210, 0.8), (5_000, 5_000, 0.6), (30, 0, 0.3)],
)
def test_the_formula_is_that_of_the_specification(
    successes: int, failures: int, floor: float
) -> None:
    a, b = 16 * floor, 20 * (1 - 0.8 * floor)
    expected = (
        betaln(a + successes, b + failures)
        + math.log(betainc(a + successes, b + failures, floor))
        - betaln(a, b)
        - math.log(betainc(a, b, floor))
        - successes * math.log(floor)
        - failures * math.log(1 - floor)
    )

    assert float(log_e(successes, failures, floor=floor)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("a", "b", "floor"),
    [(2_900, 120, 0.8), (9_900, 100, 0.95), (99_000, 100, 0.995), (600, 4.5, 0.35)],
)
def test_far_below_the_mean_both_ways_agree(a: float, b: float, floor: float) -> None:
    plain = betaln(a, b) + math.log(betainc(a, b, floor))

    assert betainc(a, b, floor) < 1e-100
    assert float(_log_tail(np.array(a), np.array(b), floor)) == pytest.approx(plain, rel=1e-10)


@pytest.mark.parametrize("rate", [0.0, 0.5, 0.899, 0.9, 0.901, 0.95, 1.0])
@pytest.mark.parametrize("n", [100_000, 10_000_000])
def test_ten_million_counts_are_integrated_right(rate: float, n: int) -> None:
    a, b = 14.4 + round(n * rate), 5.6 + n - round(n * rate)
    peak = min(0.9, (a - 1) / (a + b - 2))

    def density(p: float) -> float:
        log = (a - 1) * math.log(max(p, 1e-300) / peak) + (b - 1) * math.log((1 - p) / (1 - peak))
        return math.exp(log)

    width = 25 * math.sqrt(peak * (1 - peak) / n)
    area, _ = quad(density, max(peak - width, 0), min(peak + width, 0.9), epsabs=0, limit=500)
    expected = math.log(area) + (a - 1) * math.log(peak) + (b - 1) * math.log1p(-peak)

    assert float(_log_mass(np.array(a), np.array(b), 0.9)) == pytest.approx(expected, rel=1e-8)


def test_many_counts_are_asked_at_once() -> None:
    s, f = np.array([[0, 50], [90, 100_000]]), np.array([[0, 50], [10, 10]])

    found = log_e(s, f, floor=0.8)

    assert found.shape == (2, 2)
    assert found[0, 0] == 0
    assert found[0, 1] == log_e(50, 50, floor=0.8) > math.log(20)
    assert found[1, 1] == log_e(100_000, 10, floor=0.8) < -5


def test_a_rate_at_the_floor_raises_a_false_alarm_in_at_most_alpha_of_the_runs() -> None:
    chance = np.random.default_rng(5)
    s = np.cumsum(chance.binomial(20, 0.9, (100, 1000)), axis=0)
    n = 20 * np.arange(1, 101)[:, None]

    alarms = np.any(log_e(s, n - s, floor=0.9) >= math.log(20), axis=0)

    assert alarms.sum() <= 50


@pytest.mark.parametrize(
    ("successes", "floor", "message"),
    [
        (-1, 0.9, "counts must be at least 0, got -1 and 5"),
        (5, 1.0, "floor must be between 0 and 1, got 1.0"),
        (5, math.nan, "floor must be between 0 and 1, got nan"),
    ],
)
def test_impossible_input_is_refused(successes: int, floor: float, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        log_e(successes, 5, floor=floor)
