"""A mixture's wealth: SciPy's digits, sooner."""

import numpy as np
import pytest
from scipy.special import logsumexp

from domain.stats.harm import WEIGHTS
from domain.stats.mixtures import log_mixture


@pytest.mark.parametrize("shape", [(), (1,), (300,), (3, 7)])
@pytest.mark.parametrize("spread", [1e-3, 1.0, 1e3])
def test_it_is_scipys_to_the_last_digit(shape: tuple[int, ...], spread: float) -> None:
    log_wealth = np.random.default_rng(9).normal(0, spread, (*shape, len(WEIGHTS)))
    log_wealth[..., 1] = log_wealth[..., 0]  # perhaps two are the largest
    log_wealth[..., 2] = -np.inf  # and one has lost everything

    found = log_mixture(log_wealth, WEIGHTS)

    assert found.shape == shape
    assert np.array_equal(found, logsumexp(log_wealth, axis=-1, b=WEIGHTS))


def test_where_all_is_lost_the_mixture_is_too() -> None:
    assert log_mixture(np.full(len(WEIGHTS), -np.inf), WEIGHTS) == -np.inf
