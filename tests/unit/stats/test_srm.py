"""Sample-ratio mismatch: quiet through ramps, loud when users get lost."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta, dirichlet_multinomial, multinomial

from domain.errors import InvalidValue
from domain.stats.srm import log_bayes_factor

ALARM = math.log(1000)


def test_two_arms_are_the_beta_mixture_by_quadrature() -> None:
    def ratio(p: float) -> float:
        return float(beta.pdf(p, 30, 70) * (p / 0.3) ** 45 * ((1 - p) / 0.7) ** 80)

    expected, _ = quad(ratio, 0, 1)

    found = float(log_bayes_factor([45, 80], [0.3, 0.7]))
    assert found == pytest.approx(math.log(expected), abs=1e-9)


def test_three_arms_are_scipys_dirichlet_multinomial_over_its_multinomial() -> None:
    counts, shares = np.array([120, 260, 660]), np.array([0.1, 0.3, 0.6])

    expected = dirichlet_multinomial.logpmf(counts, 100 * shares, np.array(1040))
    expected -= multinomial.logpmf(counts, 1040, shares)

    assert float(log_bayes_factor(counts, shares)) == pytest.approx(float(expected), abs=1e-9)


def test_the_mean_is_one_under_the_allocation() -> None:
    x = np.arange(41)
    e = np.exp(log_bayes_factor(np.stack([x, 40 - x], axis=-1), [0.1, 0.9]))
    chances = [float(multinomial.pmf([k, 40 - k], 40, [0.1, 0.9])) for k in x]

    assert np.sum(chances * e) == pytest.approx(1, abs=1e-10)


def test_arms_without_a_share_are_left_out_and_shares_are_made_one() -> None:
    plain = log_bayes_factor([40, 60], [0.5, 0.5])

    assert log_bayes_factor([40, 7, 60], [50, 0, 50]) == plain
    assert log_bayes_factor([40, 7], [1, 0]) == pytest.approx(0, abs=1e-12)


def test_no_users_are_no_evidence_and_ten_million_are_counted() -> None:
    assert log_bayes_factor([0, 0], [0.1, 0.9]) == 0
    assert log_bayes_factor([5_000_000, 5_000_000], [0.5, 0.5]) < 0
    assert np.isfinite(log_bayes_factor([10_000_000, 0], [0.5, 0.5]))


@pytest.mark.guarantee(6)
def test_no_alarm_right_after_a_ramp() -> None:
    chance = np.random.default_rng(7)
    before = np.cumsum(chance.binomial(20, 0.1, (50, 1000)), axis=0)
    after = np.cumsum(chance.binomial(20, 0.5, (50, 1000)), axis=0)
    n = 20 * np.arange(1, 51)[:, None]

    first = log_bayes_factor(np.stack([before, n - before], axis=-1), [0.1, 0.9])
    second = log_bayes_factor(np.stack([after, n - after], axis=-1), [0.5, 0.5])
    evidence = np.concatenate([first, first[-1] + second])

    assert np.sum(np.any(evidence >= ALARM, axis=0)) <= 1


def test_five_points_missing_raise_an_alarm_within_two_thousand_users() -> None:
    chance = np.random.default_rng(8)
    treated = np.cumsum(chance.binomial(20, 0.45, (100, 1000)), axis=0)
    n = 20 * np.arange(1, 101)[:, None]

    evidence = log_bayes_factor(np.stack([treated, n - treated], axis=-1), [0.5, 0.5])

    assert float(log_bayes_factor([900, 1100], [0.5, 0.5])) >= ALARM
    assert np.mean(np.any(evidence >= ALARM, axis=0)) > 0.5


@pytest.mark.parametrize(
    ("counts", "shares"),
    [([1, 2], [0.5, 0.3, 0.2]), ([-1, 2], [0.5, 0.5]), ([1, 2], [0, 0]), ([1, 2], [math.nan, 1])],
)
def test_impossible_input_is_refused(counts: list[int], shares: list[float]) -> None:
    with pytest.raises(InvalidValue, match="share"):
        log_bayes_factor(counts, shares)
