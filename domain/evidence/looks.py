"""What was seen at a look, and the evidence it leaves behind: values that the journal keeps.

From the looks of a rollout alone, `weighing.weigh` makes every evidence and every verdict again.
"""

from datetime import datetime, timedelta
from typing import Self

from domain.judge import Verdict
from domain.prompts import Json
from domain.stats.harm import Block
from domain.stats.moments import Moments
from domain.value import Frozen

METHOD = "e-2"  # raised with every change that may change a verdict: replays follow the method
METHODS = ("e-1", METHOD)  # which `weighing.weigh` can follow; e-2 holds when nobody comes any more


class Counts(Frozen):
    """Observations of one epoch so far, and how many were successes; of treatment and control."""

    n_t: int = 0
    s_t: int = 0
    n_c: int = 0
    s_c: int = 0

    def since(self, before: Self) -> Block:
        """Return what has arrived since."""
        arrived = (self.n_t - before.n_t, self.s_t - before.s_t)
        return Block(*arrived, self.n_c - before.n_c, self.s_c - before.s_c)

    def plus(self, other: Self) -> Self:
        """Return both together."""
        mine, theirs = self.model_dump(), other.model_dump()
        return type(self)(**{name: mine[name] + theirs[name] for name in mine})

    def minus(self, before: Self) -> Self:
        """Return what has come since."""
        mine, theirs = self.model_dump(), before.model_dump()
        return type(self)(**{name: mine[name] - theirs[name] for name in mine})

    def fell_below(self, before: Self) -> bool:
        """Say whether something that can only grow has shrunk."""
        mine, theirs = self.model_dump(), before.model_dump()
        grown = {name: mine[name] - theirs[name] for name in mine}
        failures = (grown["n_t"] - grown["s_t"], grown["n_c"] - grown["s_c"])
        return bool(min(*grown.values(), *failures) < 0)


class Arm(Frozen):
    """What one arm did in the present epoch, for people and for the test of means.

    Attributes:
        p50: Of a number, to within 1 %; None of a rate, or without observations.
    """

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None

    @property
    def moments(self) -> Moments:
        """Count, mean and spread."""
        return Moments(self.n, self.mean, self.m2)


class Sample(Frozen):
    """What one guardrail's metric shows in the present epoch.

    Attributes:
        counts: One for each threshold; a rate has one. Success is what should happen: to succeed,
            or to keep to the threshold.
        near: As `counts`, with the slack of `margin`: what has to be shown safe.
        cuts: The buckets that end at the thresholds of a number.
        peeked: Whether the thresholds were read off these very observations, which therefore
            must not be held against them.
        history: Control's successes and failures before the rollout, for each threshold.
        error: Why it could not be measured; "" when it could.
    """

    treatment: Arm = Arm()
    control: Arm = Arm()
    counts: tuple[Counts, ...] = ()
    near: tuple[Counts, ...] = ()
    cuts: tuple[int, ...] = ()
    peeked: bool = False
    history: tuple[tuple[int, int], ...] = ()
    error: str = ""


class Look(Frozen):
    """All that one check saw: cumulative within its epoch.

    Attributes:
        baked: How long the stage has baked, pauses left out.
        share: Of users that should get the candidate, 0 to 1.
        samples: One for each guardrail, in their order.
        exposures: Users first given treatment and control in this epoch, where that is recorded.
        control: What the control is called: a version.
    """

    at: datetime
    stage: int = 0
    epoch: int = 0
    baked: timedelta = timedelta(0)
    share: float = 0.5
    samples: tuple[Sample, ...] = ()
    exposures: tuple[int, int] = (0, 0)
    control: str = "control"

    @property
    def compared(self) -> bool:
        """Whether anybody gets the control."""
        return self.share < 1


class Trail(Frozen):
    """The evidence about one guardrail.

    Attributes:
        epoch: In which it was read last.
        harm: A process for each threshold, and `log_harms` their log e-values; `safe` and
            `log_safes` likewise, against `Sample.near`.
        looked: The counts at the last look at `harm` in this epoch; `looked_near` of `safe`.
        latest: The counts of this epoch as they were read last.
        past: The counts of earlier epochs.
        total: Observations looked at so far.
        epochs: Earlier epochs' treatment and control, for the test of means.
        log_e: Of harm, now; `peak` is the highest so far, and `log_safe` that of safety.
        blind_since: Since when it could not be measured; None when it can.
        late: Whether an amendment added it and nothing of it was seen yet.
        base: What had been counted in this epoch when it was added: seen before anybody asked for
            it, and so never held against the candidate.
    """

    epoch: int = -1
    cuts: tuple[int, ...] = ()
    harm: tuple[Json, ...] = ()
    safe: tuple[Json, ...] = ()
    log_harms: tuple[float, ...] = ()
    log_safes: tuple[float, ...] = ()
    looked: tuple[Counts, ...] = ()
    looked_near: tuple[Counts, ...] = ()
    latest: tuple[Counts, ...] = ()
    past: tuple[Counts, ...] = ()
    total: int = 0
    epochs: tuple[tuple[Arm, Arm], ...] = ()
    present: tuple[Arm, Arm] = (Arm(), Arm())
    log_e: float = 0.0
    peak: float = 0.0
    log_safe: float = 0.0
    log_mean: float = 0.0
    blind_since: datetime | None = None
    late: bool = False
    base: tuple[Counts, ...] = ()


class Evidence(Frozen):
    """All that has been learned up to a look.

    Attributes:
        log_e: Of harm by any of the guardrails that act; `peak` is the highest so far.
        guilty: Who was named when it was first enough; for good.
        log_mismatch: That users are not split as they should be; `past_mismatch` of past epochs.
        seen: The most observations of treatment in this epoch; `silent_since` when that grew last.
        given_up: The stage that was inconclusive and waits for a person; 0 when none does.
        stakes: Each guardrail's share of alpha once the guardrails were amended, and `purse` the
            evidence that none of them holds; () while the plan's own weights hold.
    """

    trails: tuple[Trail, ...] = ()
    epoch: int = -1
    log_e: float = 0.0
    peak: float = 0.0
    guilty: tuple[str, ...] = ()
    log_mismatch: float = 0.0
    past_mismatch: float = 0.0
    seen: int = 0
    silent_since: datetime | None = None
    given_up: int = 0
    stakes: tuple[float, ...] = ()
    purse: float = 0.0

    def shares(self, weights: tuple[float, ...]) -> tuple[float, ...]:
        """Return what each guardrail's evidence weighs, where the plan says `weights`."""
        return self.stakes or weights


class Judged(Frozen):
    """One check with all that it rested on.

    Attributes:
        number: Counted from 1 over the whole rollout.
        policy: The fingerprint of what it was judged by.
    """

    number: int
    stage: int
    percent: float
    method: str
    policy: str
    look: Look
    evidence: Evidence
    verdict: Verdict
