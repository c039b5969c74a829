"""Sample-ratio mismatch: whether users reach the arms in the shares they were allocated."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from domain.errors import InvalidValue
from domain.stats.harm import Floats

CONCENTRATION = 100  # of the Dirichlet prior around the allocation


def log_bayes_factor(counts: ArrayLike, shares: ArrayLike) -> Floats:
    """Return the log Bayes factor against the allocation, of one epoch; epochs add up.

    Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, section 2.
    While the shares are as allocated, the chance that it (or the sum over epochs) ever reaches
    log(1 / alpha) is at most alpha.

    Args:
        counts: First exposures per arm, users and not events, shape (..., arms).
        shares: The allocation in force, shape (arms,); its sum is made 1. Arms with share 0 are
            left out.

    Raises:
        InvalidValue: A negative count or share, no share above 0, or arms that do not match.
    """
    x, rho = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    if rho.ndim != 1 or x.shape[-1:] != rho.shape:
        raise InvalidValue(f"there must be one share per arm, got {shares!r} for {counts!r}")
    if not (np.all(x >= 0) and np.all(rho >= 0) and rho.any() and np.isfinite(rho).all()):
        raise InvalidValue(f"counts and shares must be at least 0, got {counts!r} and {shares!r}")
    x, rho = x[..., rho > 0], rho[rho > 0] / rho.sum()
    prior = CONCENTRATION * rho
    arms = gammaln(prior + x) - gammaln(prior) - x * np.log(rho)
    total = gammaln(CONCENTRATION) - gammaln(CONCENTRATION + x.sum(axis=-1))
    return np.asarray(total + arms.sum(axis=-1))
