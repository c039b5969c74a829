"""Safe to go on: exact evidence that treatment is not worse than control by a margin or more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp, xlog1py, xlogy

from domain.errors import InvalidValue
from domain.stats.harm import RATE_RANGE, Block, Floats, capped

SHIFTS = np.array([-0.5, 0.0, 0.5, 1.5])  # of treatment from control, in margins, that are bet on
WEIGHTS = np.array([0.15, 0.55, 0.2, 0.1])
HALVINGS = 54  # of an interval no wider than 1: to the last digit


@dataclass(frozen=True, slots=True)
class Safety:
    """Evidence against "treatment's success rate is below control's by the margin or more".

    On such a treatment, the chance that `log_e` ever reaches log(1 / alpha) is at most alpha. Every
    observation counts as independent, with the rates of its arm in its block.

    Attributes:
        wealth: Log wealth of the bets on each of the four shifts, shape (..., 4).
        successes: Of control so far, history included, shape (...).
        failures: As `successes`.
    """

    wealth: Floats
    successes: Floats
    failures: Floats

    @classmethod
    def begin(cls, shape: tuple[int, ...] = (), *, history: tuple[int, int] = (0, 0)) -> Self:
        """Return no evidence, for `shape` runs; arguments and errors as for `Harm.begin`."""
        successes, failures = capped(history)
        return cls(
            wealth=np.zeros((*shape, len(WEIGHTS))),
            successes=np.full(shape, successes),
            failures=np.full(shape, failures),
        )

    def look(self, block: Block, *, margin: ArrayLike, where: ArrayLike | None = None) -> Self:
        """Return the evidence after one more look.

        Each bet is divided by its reverse information projection on the null hypothesis: Grünwald,
        de Heide & Koolen, "Safe testing" (2024), theorem 1; for two rates: Turner, Ly & Grünwald,
        "Generic E-variables for exact sequential k-sample tests" (2024).
        `statistics.md`, section 2. The first look without history only learns control's rate.

        Args:
            block: What arrived since the last look; never looked at before, never again.
            margin: The largest drop of the success rate that is still good, in (0, 1); the same
                at every look. One for all, or shape (...).
            where: The runs that look, shape (...); the others stay as they are. All when None.

        Raises:
            InvalidValue: Not 0 <= successes <= observations, or `margin` not between 0 and 1.
        """
        if not np.all((np.asarray(margin) > 0) & (np.asarray(margin) < 1)):
            raise InvalidValue(f"margin must be between 0 and 1, got {margin!r}")
        n_t, s_t, n_c, s_c = (np.asarray(count, dtype=float) for count in block)
        if not np.all((s_t >= 0) & (s_t <= n_t) & (s_c >= 0) & (s_c <= n_c)):
            raise InvalidValue(f"successes must be between 0 and observations, got {block}")
        looking = np.broadcast_to(True if where is None else where, self.successes.shape)
        betting = looking & (self.successes + self.failures > 0) & (n_t > 0) & (n_c > 0)
        gain = self._gain(Block(n_t, s_t, n_c, s_c), np.asarray(margin, dtype=float)[..., None])
        return type(self)(
            wealth=self.wealth + np.where(betting[..., None], gain, 0),
            successes=self.successes + np.where(looking, s_c, 0),
            failures=self.failures + np.where(looking, n_c - s_c, 0),
        )

    def _gain(self, block: Block, margin: Floats) -> Floats:
        """Return log S of each bet: its likelihood over that of the nearest harmful pair."""
        n_t, s_t, n_c, s_c = (np.asarray(count)[..., None] for count in block)
        rate = (self.successes + 1) / (self.successes + self.failures + 2)
        control = np.clip(rate, *RATE_RANGE)[..., None]
        treatment = np.clip(control + SHIFTS * margin, *RATE_RANGE)
        share = np.where(n_t * n_c > 0, n_t / np.maximum(n_t + n_c, 1), 0.5)
        nearest = _projection(treatment, control, share=share, margin=margin)
        return np.asarray(
            xlogy(s_t, treatment / (nearest - margin))
            + xlogy(n_t - s_t, (1 - treatment) / (1 - nearest + margin))
            + xlogy(s_c, control / nearest)
            + xlog1py(n_c - s_c, (nearest - control) / (1 - nearest))
        )

    @property
    def log_e(self) -> Floats:
        """The logarithm of the e-value, shape (...): safe where it is at least log(1 / alpha)."""
        return np.asarray(logsumexp(self.wealth, axis=-1, b=WEIGHTS))

    def to_json(self) -> dict[str, float | list[float]]:
        """Return the state of one rollout (shape `()`); no digit is lost."""
        return {
            "wealth": self.wealth.tolist(),
            "successes": float(self.successes),
            "failures": float(self.failures),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, float | Sequence[float]]) -> Self:
        """Return the evidence that `to_json` was called on."""
        return cls(**{name: np.asarray(value, dtype=float) for name, value in data.items()})


def _projection(treatment: Floats, control: Floats, *, share: Floats, margin: Floats) -> Floats:
    """Return control's rate of the nearest pair on the boundary, in (margin, 1).

    It minimises share KL(treatment || rate - margin) + (1 - share) KL(control || rate): where the
    derivative, here times the variances of both, is 0.
    """
    low = np.maximum(np.minimum(control, treatment + margin), margin)
    high = np.minimum(np.maximum(control, treatment + margin), 1.0)
    for _ in range(HALVINGS):
        rate = (low + high) / 2
        shifted = rate - margin
        slope = share * (shifted - treatment) * rate * (1 - rate)
        slope = slope + (1 - share) * (rate - control) * shifted * (1 - shifted)
        low, high = np.where(slope < 0, rate, low), np.where(slope < 0, high, rate)
    return np.asarray((low + high) / 2)
