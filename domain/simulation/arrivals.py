"""Simulated users of many rollouts at once: who comes, which arm has them, how it ends for them.

All chance comes from the generator that is handed in. Arrays have one column for each run.
"""

import math
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from domain.errors import InvalidValue
from domain.stats.harm import HISTORY, Floats, Mask

Counts = NDArray[np.int64]
HOUR = timedelta(hours=1)
MOST = 1e9  # users an hour


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Who comes, and how well they are served.

    Attributes:
        users_per_hour: Uses an hour, of both arms together, > 0; they come at random (Poisson).
        control_rate: Share of the baseline's uses that succeed, in (0, 1).
        effect: What the candidate adds to it; their sum is in [0, 1].
        users: How many there are in all, each as likely to come as any other: those who come back
            are not observed twice in a stage. None: everybody comes once.
        history: Uses of the baseline counted before the rollout; more than 200 change nothing.
        lag: How long after a ramp serving processes follow; what comes meanwhile is left out.

    Raises:
        InvalidValue: One that is not like that.
    """

    users_per_hour: float
    control_rate: float
    effect: float = 0.0
    users: int | None = None
    history: int = HISTORY
    lag: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        for name, value, allowed, holds in (
            ("users_per_hour", self.users_per_hour, "in (0, 1e9]", 0 < self.users_per_hour <= MOST),
            ("control_rate", self.control_rate, "in (0, 1)", 0 < self.control_rate < 1),
            ("effect", self.effect, "a number", math.isfinite(self.effect)),
            ("control_rate + effect", self.rate, "in [0, 1]", 0 <= self.rate <= 1),
            ("users", self.users, "in [2, 1e8]", self.users is None or 2 <= self.users <= 1e8),
            ("history", self.history, "in [0, 200]", 0 <= self.history <= HISTORY),
        ):
            if not holds:
                raise InvalidValue(f"{name} must be {allowed}, got {value:g}")

    @property
    def rate(self) -> float:
        """Share of the candidate's uses that succeed."""
        return round(self.control_rate + self.effect, 12)


@dataclass
class Arrivals:
    """What was counted in the present stage of each run.

    Attributes:
        observed: First outcomes of users: rows n_t, s_t, n_c, s_c; shape (4, runs).
        events: As `observed`, of every use.
        exposed: Different users that ever got the candidate, in any stage; shape (runs,).
    """

    traffic: Traffic
    rng: np.random.Generator
    runs: int
    observed: Counts = field(init=False)
    events: Counts = field(init=False)
    exposed: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.observed = np.zeros((4, self.runs), dtype=np.int64)
        self.events = np.zeros((4, self.runs), dtype=np.int64)
        self.exposed = np.zeros(self.runs, dtype=np.int64)
        self._share = np.zeros(self.runs)
        self._arms = np.zeros((2, self.runs), dtype=np.int64)
        self._absent = np.zeros((2, self.runs), dtype=np.int64)  # not yet observed in this stage
        self._spared = np.zeros(self.runs, dtype=np.int64)  # in treatment, but never came

    def ramp(self, where: Mask, share: Floats) -> None:
        """Begin a stage, where it does: `share` of the users, 0 to 1, are in treatment now."""
        arms = np.rint(share * (self.traffic.users or 0)).astype(np.int64)
        self._spared += np.where(where, arms - self._arms[0], 0)
        whole = np.stack([arms, (self.traffic.users or 0) - arms])
        self._arms = np.where(where, whole, self._arms)
        self._absent = np.where(where, whole, self._absent)
        self._share = np.where(where, share, self._share)
        self.observed = np.where(where, 0, self.observed)
        self.events = np.where(where, 0, self.events)

    def come(self, hours: Floats) -> None:
        """Let time pass: so many hours in each run, >= 0."""
        new, again = self._new(hours) if self.traffic.users is None else self._returning(hours)
        observed = self._served(new)
        self.observed = self.observed + observed
        self.events = self.events + observed + self._served(again)

    def _new(self, hours: Floats) -> tuple[Counts, Counts]:
        shares = np.stack([self._share, 1 - self._share])
        new = self.rng.poisson(self.traffic.users_per_hour * hours * shares)
        self.exposed = self.exposed + new[0]
        return new, np.zeros_like(new)

    def _returning(self, hours: Floats) -> tuple[Counts, Counts]:
        """Everybody comes again and again, independently: who has not come yet will, by chance."""
        uses = self.traffic.users_per_hour * hours / (self.traffic.users or 1)  # of one user
        chance = -np.expm1(-uses)
        new = self.rng.binomial(self._absent, chance)
        again = self.rng.poisson(np.maximum(self._arms * uses - self._absent * chance, 0))
        met = self.rng.hypergeometric(self._spared, self._absent[0] - self._spared, new[0])
        self._spared = self._spared - met
        self.exposed = self.exposed + met
        self._absent = self._absent - new
        return new, again

    def _served(self, came: Counts) -> Counts:
        """Return rows n_t, s_t, n_c, s_c of who came to treatment and to control."""
        rates = np.array([[self.traffic.rate], [self.traffic.control_rate]])
        good = self.rng.binomial(came, rates)
        return np.stack([came[0], good[0], came[1], good[1]])
