"""Evidence on means: the mixture of the specification, quiet where it knows nothing."""

import math
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import norm

from domain.errors import InvalidValue
from domain.stats.means import log_e
from domain.stats.moments import Moments


def moments(mean: float, *, n: int = 100, spread: float = 1.0) -> Moments:
    return Moments(n, mean, spread**2 * (n - 1))


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.02, 0.4])
def test_it_is_the_half_normal_mixture_of_likelihood_ratios(shift: float) -> None:
    epochs = [
        (moments(1 + shift), moments(1, n=300)),
        (moments(5 + shift, spread=2), moments(5, n=80)),
    ]
    variances = [1 / 100 + 1 / 300, 4 / 100 + 1 / 80]
    u, v, tau = sum(shift / x for x in variances), sum(1 / x for x in variances), 0.2

    def bet(delta: float) -> float:
        return float(2 * norm.pdf(delta, scale=tau) * math.exp(delta * u - delta**2 * v / 2))

    expected, _ = quad(bet, 0, 10 * tau)

    assert log_e(epochs, tau=tau) == pytest.approx(math.log(expected), abs=1e-7)


def test_evidence_for_the_wrong_side_never_grows() -> None:
    for n in (100, 10_000, 10_000_000):
        found = log_e([(moments(-3, n=n), moments(3, n=n))], tau=0.5)

        assert math.isfinite(found)
        assert found < 0


@pytest.mark.parametrize(
    "epochs",
    [
        [],
        [(moments(9, n=49), moments(1, n=5000))],
        [(moments(9, n=5000), moments(1, n=49))],
        [(moments(9, spread=0), moments(1, spread=0))],
        [(Moments(), Moments())],
        [(Moments.of([0.1] * 70), Moments.of([0.1] * 33).merge(Moments.of([0.1] * 44)))],
    ],
)
def test_too_few_numbers_or_no_variance_are_no_evidence(
    epochs: list[tuple[Moments, Moments]],
) -> None:
    assert log_e(epochs, tau=0.1) == 0
    known = [(moments(1.3), moments(1))]
    assert log_e(known + epochs, tau=0.1) == log_e(known, tau=0.1) != 0


def test_each_epoch_is_its_own_stratum() -> None:
    paradox = [(moments(1, n=1000), moments(1, n=9000)), (moments(9, n=5000), moments(9, n=5000))]

    assert log_e(paradox, tau=0.1) < 0


def grown(values: NDArray[np.float64]) -> Iterator[Moments]:
    """Return the moments after every hundred numbers."""
    return accumulate(map(Moments.of, values.reshape(-1, 100).tolist()), Moments.merge)


def test_peeking_at_equal_means_raises_few_false_alarms() -> None:
    chance = np.random.default_rng(6)
    treatment, control = chance.normal(3, 1, (2, 300, 2000))
    alarms = 0
    for one, other in zip(treatment, control, strict=True):
        looks = zip(grown(one), grown(other), strict=True)
        alarms += max(log_e([look], tau=0.1) for look in looks) >= math.log(20)

    assert alarms <= 15


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_a_shift_that_matters_is_above_nothing(tau: float) -> None:
    with pytest.raises(InvalidValue, match="tau must be above 0"):
        log_e([], tau=tau)
