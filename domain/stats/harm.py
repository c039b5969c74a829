"""Harm of a rate: exact evidence that may be looked at as often as one likes.

Given how many succeeded in a block, how many of them were treatment's follows Fisher's noncentral
hypergeometric law, whatever the common rate is. So every look is its own stratum: the base rate and
the split may move between looks and neither looks like harm.

One code path serves one rollout (shape `()`) and thousands of simulated ones (shape `(runs,)`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logit, logsumexp

from domain.errors import InvalidValue

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DROP = 0.05  # of the success rate, worth catching fast
HISTORY = 200  # observations of control from before the rollout count as at most so many
FIRST = 0.8  # weight of "harm begins with the rollout"; the rest is for harm that begins later
MULTIPLES = 1.8 ** (np.arange(8) - 3)  # of the log odds ratio that DROP makes
WEIGHTS = np.array([0.05, 0.09, 0.16, 0.32, 0.16, 0.10, 0.07, 0.05])
RATE_RANGE = (0.02, 0.998)  # control's rate is clipped to it before a drop is taken from it

TAIL = 36  # a window's two tails together weigh less than 2 exp(-TAIL) < 1e-15


class Block(NamedTuple):
    """What arrived between two looks, within one epoch.

    Attributes:
        n_t: Observations of treatment, >= 0: a count or an array of them, one for each run.
        s_t: How many of them were successes. Where lower is better, the caller says what that is.
        n_c: As `n_t`, of control.
        s_c: As `s_t`, of control.
    """

    n_t: ArrayLike
    s_t: ArrayLike
    n_c: ArrayLike
    s_c: ArrayLike


@dataclass(frozen=True, slots=True)
class Harm:
    """Evidence that treatment succeeds less often than control: an e-process with restarts.

    On a version that is not worse, the chance that `log_e` ever reaches log(1 / alpha) is at most
    alpha, however often one looks, as long as the looks do not follow the outcomes (Ville 1939).

    Attributes:
        wealth: Log wealth of the bets on each of the eight odds ratios, shape (..., 8).
        successes: Of control so far, history included, shape (...).
        failures: As `successes`.
        looks: How many there were, shape (...).
    """

    wealth: Floats
    successes: Floats
    failures: Floats
    looks: Floats

    @classmethod
    def begin(cls, shape: tuple[int, ...] = (), *, history: tuple[int, int] = (0, 0)) -> Self:
        """Return no evidence, for `shape` runs.

        Args:
            shape: `()` for one rollout.
            history: Successes and failures of control before the rollout, >= 0; beyond 200 in all
                they are scaled down, keeping the rate.

        Raises:
            InvalidValue: A negative count.
        """
        successes, failures = capped(history)
        return cls(
            wealth=np.full((*shape, len(WEIGHTS)), math.log(FIRST)),
            successes=np.full(shape, successes),
            failures=np.full(shape, failures),
            looks=np.zeros(shape),
        )

    def look(self, block: Block, *, drop: ArrayLike = DROP, where: ArrayLike | None = None) -> Self:
        """Return the evidence after one more look.

        ter Schure, Pérez-Ortiz, Ly & Grünwald, "The anytime-valid logrank test" (2024), with ties;
        restarts: Shin, Ramdas & Rinaldo, "E-detectors" (2024). `statistics.md`, section 1.

        Args:
            block: What arrived since the last look; never looked at before, never again.
            drop: Of the success rate, worth catching fast, in (0, 1); one for all, or shape (...).
            where: The runs that look, shape (...); the others stay as they are, and so does a run
                whose block is empty. All when None.

        Raises:
            InvalidValue: Not 0 <= successes <= observations, or `drop` not between 0 and 1.
        """
        if not np.all((np.asarray(drop) > 0) & (np.asarray(drop) < 1)):
            raise InvalidValue(f"drop must be between 0 and 1, got {drop!r}")
        block = Block(*(np.asarray(count, dtype=float) for count in block))
        n_t, _, n_c, s_c = map(np.asarray, block)
        looking = np.broadcast_to((n_t + n_c > 0) & (where is None or where), self.looks.shape)
        log_psi = -self._bet(drop)[..., None] * MULTIPLES
        gain = np.zeros_like(self.wealth)
        seen = Block(*(np.broadcast_to(count, looking.shape)[looking] for count in block))
        gain[looking] = log_ratio(seen, log_psi[looking])
        return type(self)(
            wealth=np.where(looking[..., None], self._restarted() + gain, self.wealth),
            successes=self.successes + np.where(looking, s_c, 0),
            failures=self.failures + np.where(looking, n_c - s_c, 0),
            looks=self.looks + looking,
        )

    def _bet(self, drop: ArrayLike) -> Floats:
        """Return the log odds ratio of a drop from control's rate, known before the look."""
        rate = (self.successes + 1) / (self.successes + self.failures + 2)
        rate = np.clip(rate, *RATE_RANGE)
        return np.asarray(logit(rate) - logit(rate - np.minimum(drop, rate / 2)))

    def _restarted(self) -> Floats:
        """Return the wealth with the bet "harm begins now" added; the first look is that bet."""
        looks = np.maximum(self.looks, 1)
        fresh = math.log(1 - FIRST) - np.log(looks * (looks + 1))
        return np.logaddexp(self.wealth, np.where(self.looks, fresh, -np.inf)[..., None])

    @property
    def log_e(self) -> Floats:
        """The logarithm of the e-value, shape (...): harmed where it is at least log(1 / alpha)."""
        kept = math.log(1 - FIRST) - np.log(np.maximum(self.looks, 1))  # restarts not yet placed
        return np.logaddexp(logsumexp(self.wealth, axis=-1, b=WEIGHTS), kept)

    def to_json(self) -> dict[str, float | list[float]]:
        """Return the state of one rollout (shape `()`); no digit is lost."""
        return {
            "wealth": self.wealth.tolist(),
            "successes": float(self.successes),
            "failures": float(self.failures),
            "looks": float(self.looks),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, float | Sequence[float]]) -> Self:
        """Return the evidence that `to_json` was called on."""
        return cls(**{name: np.asarray(value, dtype=float) for name, value in data.items()})


def capped(history: tuple[int, int]) -> tuple[float, float]:
    """Return successes and failures scaled down to 200 in all where they are more.

    Raises:
        InvalidValue: A negative count.
    """
    if min(history) < 0:
        raise InvalidValue(f"history must be counts of at least 0, got {history}")
    scale = min(1.0, HISTORY / max(sum(history), 1))
    return history[0] * scale, history[1] * scale


def due(block: Block, total: ArrayLike) -> Mask:
    """Say where a block is large enough to be looked at: both arms there, and enough of them.

    `statistics.md`, section 1. It asks for counts of observations alone: a rule that followed the
    outcomes would break the guarantee.

    Args:
        block: What arrived since the last look.
        total: Observations of both arms looked at so far in the rollout, shape (...).
    """
    n_t, n_c = np.asarray(block.n_t), np.asarray(block.n_c)
    enough = np.clip(np.asarray(total) / 20, 10, 100)
    return np.asarray((n_t > 0) & (n_c > 0) & (n_t + n_c >= enough))


def log_ratio(block: Block, log_psi: ArrayLike) -> Floats:
    """Return the log e-value of a block against the odds ratios psi, shape (..., K).

    log P_psi(s_t | S, n_t, n_c) - log P_1(s_t | S, n_t, n_c), S = s_t + s_c, of Fisher's noncentral
    hypergeometric law (Fisher, JRSS 98 (1935)). Its mean is 1 at an odds ratio of 1, and for
    psi < 1 at most 1 at any larger one. 0 where the margins allow one outcome only.

    Exact to about 1e-15 times the log-factorial of the block: 1e-11 at 10 000 observations, 1e-7 at
    ten million.

    Args:
        block: Counts of shape (...).
        log_psi: Natural logarithms of the odds ratios, shape (..., K) or (K,).

    Raises:
        InvalidValue: Not 0 <= successes <= observations.
    """
    n_t, s_t, n_c, s_c = _columns(block)
    log_psi = np.asarray(log_psi, dtype=float)
    s = s_t + s_c
    low, high = np.maximum(s - n_c, 0), np.minimum(n_t, s)
    first, width = _window(n_t, n_c, s, log_psi)
    log_weights = gammaln(n_t + n_c + 1) - gammaln(s + 1) - gammaln(n_t + n_c - s + 1)
    log_weights = log_weights - _log_ways(n_t, n_c, s, first)
    log_sum = _log_sum(n_t, n_c, s, first=first, width=width, log_psi=log_psi)
    return np.where(low == high, 0.0, log_weights + (s_t - first) * log_psi - log_sum)


def _columns(block: Block) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the counts with one axis more, for the odds ratios; refuse impossible ones."""
    n_t, s_t, n_c, s_c = (np.asarray(count, dtype=float)[..., None] for count in block)
    for name, successes, n in (("treatment", s_t, n_t), ("control", s_c, n_c)):
        if not np.all((successes >= 0) & (successes <= n)):
            raise InvalidValue(f"successes of {name} must be between 0 and n, got {block}")
    return n_t, s_t, n_c, s_c


def _log_ways(n_t: Floats, n_c: Floats, s: Floats, u: Floats) -> Floats:
    """Return log C(n_t, u) C(n_c, s - u)."""
    ways = gammaln(n_t + 1) - gammaln(u + 1) - gammaln(n_t - u + 1)
    ways += gammaln(n_c + 1) - gammaln(s - u + 1) - gammaln(n_c - s + u + 1)
    return np.asarray(ways)


def _window(n_t: Floats, n_c: Floats, s: Floats, log_psi: Floats) -> tuple[Floats, int]:
    """Return where each sum may begin, and how many terms the longest of them needs.

    The mode in closed form: Liao & Rosen, The American Statistician 55 (2001). The count is
    a sum of independent indicators (the polynomial has real roots: Kou & Ying, Statistica Sinica 6
    (1996)), so Bernstein's inequality bounds what lies farther from it.
    """
    low, high = np.maximum(s - n_c, 0), np.minimum(n_t, s)
    psi = np.exp(log_psi)
    a, c = psi - 1, psi * (n_t + 1) * (s + 1)
    b = psi * (n_t + s + 2) + n_c - s
    root = np.sqrt(np.maximum(b * b - 4 * a * c, 0))
    falling = b < 0  # then psi < 1, and the other form of the same root loses no digits
    mode = np.where(falling, (root - b) / np.where(falling, -2 * a, 1), 2 * c / (root + abs(b)))
    mode = np.clip(np.floor(mode), low, high)
    cells = (mode, n_t - mode, s - mode, n_c - s + mode)
    variance = 1 / sum(1 / (cell + 1) for cell in cells)
    half = np.ceil(TAIL / 3 + np.sqrt((TAIL / 3) ** 2 + 2 * TAIL * variance)) + 1
    first = np.maximum(mode - half, low)
    width = int(np.max(np.minimum(mode + half, high) - first, initial=0)) + 1
    return (low, width) if np.all(first == low) else (first, width)


def _log_sum(
    n_t: Floats, n_c: Floats, s: Floats, *, first: Floats, width: int, log_psi: Floats
) -> Floats:
    """Return log of the sum of the terms from `first` on, the first of them counted as 1."""
    u = first[..., None] + np.arange(width - 1)
    small, large = np.minimum(n_t, s)[..., None], np.maximum(n_t, s)[..., None]
    steps = np.maximum(small - u, 0) * (large - u)  # none beyond the support
    steps /= (u + 1) * ((n_c - s)[..., None] + u + 1)
    with np.errstate(divide="ignore"):
        steps = np.log(steps) + log_psi[..., None]
    np.cumsum(steps, axis=-1, out=steps)
    top = np.max(steps, axis=-1, initial=0.0)
    steps -= top[..., None]
    np.exp(steps, out=steps)
    return np.asarray(top + np.log(np.exp(-top) + steps.sum(axis=-1)))
