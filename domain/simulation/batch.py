"""The judgement of `weighing.weigh`, for many simulated rollouts at a time.

It reads success rates alone: what else a plan guards is taken to do no harm, to hold nothing up,
and to keep its share of alpha. Users are split as they should be, and nothing is ever unreadable.
`tests/unit/test_simulation.py` holds every decision against `weigh`.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from domain.errors import InvalidPlan
from domain.evidence.weighing import CAREFUL
from domain.guardrail import Guardrail, GuardrailKind, Role
from domain.judge import Action
from domain.plan import RolloutPlan
from domain.policy import PromoteWhen
from domain.simulation.arrivals import Counts
from domain.stats import floor
from domain.stats.harm import Block, Floats, Harm, Mask, due
from domain.stats.noninferiority import Safety

Actions = NDArray[np.str_]


class Seen(NamedTuple):
    """What one check of each run sees; arrays of shape (runs,), counts of shape (4, runs).

    Attributes:
        live: The runs that are judged; the answer for the others means nothing.
        at: Seconds since the first ramp.
        baked: Seconds this stage has baked.
        stage: Whose epoch it is, from 1; the final bake belongs to the last one.
        observed: First outcomes of users in this stage: rows n_t, s_t, n_c, s_c.
        events: As `observed`, of every use.
    """

    live: Mask
    at: Floats
    baked: Floats
    stage: Counts
    observed: Counts
    events: Counts


class Batch:
    """Judges runs of one plan, check after check.

    Attributes:
        log_e: Log evidence of harm by the guardrails that act, after the latest check.
    """

    def __init__(self, plan: RolloutPlan, history: Counts) -> None:
        """Take what is judged by.

        Args:
            plan: Whose guardrails on success are judged.
            history: Successes and failures of control before the rollout, shape (2, runs), at most
                200 in all.

        Raises:
            InvalidPlan: It has no guardrail on success.
        """
        runs = history.shape[1]
        policies = [plan.policy_at(number + 1) for number in range(len(plan.stages))]
        watched = [
            (_Watch(guardrail, history), weight)
            for guardrail, weight in zip(plan.guardrails, policies[0].weights, strict=True)
            if guardrail.is_rate
        ]
        if not watched:
            raise InvalidPlan("the plan watches no success: there is nothing to simulate")
        self.log_e = np.zeros(runs)
        self._watches = [watch for watch, _ in watched]
        self._weights = np.array([weight for _, weight in watched])
        self._others = sum(policies[0].weights) - self._weights.sum()  # each with an e-value of 1
        self._needs = -math.log(plan.alpha)
        self._wants_safe = np.array([p.promote_when is PromoteWhen.SAFE for p in policies])
        self._shares = np.array([plan.share_at(n + 1) / 100 for n in range(len(policies))])
        limits = [p.max_bake.total_seconds() if p.max_bake else np.inf for p in policies]
        self._max_bake = np.array(limits)
        self._no_traffic = plan.no_traffic_after.total_seconds()
        acting = [watch.guardrail for watch in self._watches if watch.guardrail.acts]
        self._acts = bool(acting)
        self._fears_silence = any(one.when_no_traffic == "roll_back" for one in acting)
        self._stage = np.zeros(runs, dtype=np.int64)
        self._count = np.zeros(runs, dtype=np.int64)
        self._silent_since = np.full(runs, np.nan)
        self._given_up = np.zeros(runs, dtype=np.int64)

    def judge(self, seen: Seen) -> Actions:
        """Return what each run should do next: an `Action`."""
        new = seen.live & (seen.stage != self._stage)
        self._stage = np.where(new, seen.stage, self._stage)
        compared = self._shares[self._stage - 1] < 1
        for watch in self._watches:
            watch.follow(seen, new=new, compared=compared, bets=bool(self._wants_safe.any()))
        self.log_e = self._combined()
        harmed = (self.log_e >= self._needs) & bool(self._weights.any())
        silent = self._silent(seen, new=new)
        harmed |= silent & self._fears_silence
        wants_safe = self._wants_safe[self._stage - 1]
        standings = [w.standing(self._needs, wants_safe, compared) for w in self._watches]
        held = np.zeros_like(harmed)
        for watch, (bad, doubted) in zip(self._watches, standings, strict=True):
            guardrail = watch.guardrail
            harmed |= bad & guardrail.acts
            waits = guardrail.role is not Role.INFO and not guardrail.dry_run
            held |= (doubted | bad) & waits
        action = np.where(harmed, Action.ROLL_BACK, np.where(held, Action.HOLD, Action.ADVANCE))
        asleep = silent & self._acts & (action == Action.ADVANCE)
        action = self._at_the_end(seen, action, [bad | doubted for bad, doubted in standings])
        return np.where(asleep, Action.HOLD, action)

    def _combined(self) -> Floats:
        """Return the log of the weighted mean of e-values."""
        log_es = np.stack([watch.log_e for watch in self._watches])
        if not self._weights.any():
            return np.zeros_like(log_es[0])
        return np.asarray(
            np.logaddexp(
                logsumexp(log_es, axis=0, b=self._weights[:, None]),
                math.log(self._others) if self._others > 1e-12 else -np.inf,
            )
        )

    def _silent(self, seen: Seen, *, new: Mask) -> Mask:
        """Say where nobody came for too long."""
        counts = np.max([watch.counts[0] for watch in self._watches], axis=0)
        came = counts > np.where(new, 0, self._count)
        begun = np.where(np.isnan(self._silent_since), seen.at, self._silent_since)
        self._silent_since = np.where(came, seen.at, begun)
        self._count = counts
        lasted = seen.at - self._silent_since
        return np.asarray((lasted > 0) & (lasted >= self._no_traffic))

    def _at_the_end(self, seen: Seen, action: Actions, troubled: list[Mask]) -> Actions:
        """Apply `when_inconclusive` where a stage has baked for its `max_bake`."""
        over = seen.live & (seen.baked >= self._max_bake[self._stage - 1])
        over &= action != Action.ROLL_BACK
        waiting = over & (self._given_up == self._stage)
        doubted = over & ~waiting & (action == Action.HOLD)
        wishes = np.full(len(action), len(CAREFUL))
        for watch, mask in zip(self._watches, troubled, strict=True):
            if watch.guardrail.role is not Role.INFO:
                wish = CAREFUL.index(watch.guardrail.when_inconclusive)
                wishes = np.where(mask, np.minimum(wishes, wish), wishes)
        wished = np.array([*CAREFUL, "hold"])[wishes]
        self._given_up = np.where(doubted & (wished == "hold"), self._stage, self._given_up)
        action = np.where(doubted & (wished == "promote"), Action.ADVANCE, action)
        action = np.where(doubted & (wished == "roll_back"), Action.ROLL_BACK, action)
        return np.where(waiting, Action.HOLD, action)


class _Watch:
    """As `trails.follow`, for one guardrail on success in every run."""

    def __init__(self, guardrail: Guardrail, history: Counts) -> None:
        runs = history.shape[1]
        known = {"successes": history[0].astype(float), "failures": history[1].astype(float)}
        self.guardrail = guardrail
        self.counts = np.zeros((4, runs), dtype=np.int64)
        self.log_e = np.zeros(runs)
        self._harm = replace(Harm.begin((runs,)), **known)
        self._safe = replace(Safety.begin((runs,)), **known)
        self._past = np.zeros((4, runs), dtype=np.int64)
        self._looked = np.zeros((4, runs), dtype=np.int64)
        self._total = np.zeros(runs, dtype=np.int64)
        self._peak = np.zeros(runs)
        self._log_safe = np.zeros(runs)

    def follow(self, seen: Seen, *, new: Mask, compared: Mask, bets: bool) -> None:
        """Take in one more check; `bets` where evidence of safety is asked for at all."""
        guardrail = self.guardrail
        by_event = guardrail.per == "event" or guardrail.kind is GuardrailKind.THRESHOLD
        self._past += np.where(new, self.counts, 0)
        self._looked = np.where(new, 0, self._looked)
        self.counts = np.where(seen.live, seen.events if by_event else seen.observed, self.counts)
        if guardrail.kind is GuardrailKind.EVIDENCE:
            self._look(seen.live & compared, bets=bets)
        self.log_e = self._of_harm(seen.live, compared)
        self._peak = np.maximum(self._peak, self.log_e)
        if bets:
            self._log_safe = np.maximum(self._log_safe, self._of_safety())

    def standing(self, needs: float, wants_safe: Mask, compared: Mask) -> tuple[Mask, Mask]:
        """Return where it is harmed, and where undecided."""
        guardrail, (n, s) = self.guardrail, self.counts[:2]
        if guardrail.kind is GuardrailKind.THRESHOLD:
            rate, enough = s / np.maximum(n, 1), n > guardrail.fewest
            low = enough & (rate < guardrail.floor_rate)
            return low, ~enough | (~low & (rate < guardrail.target_rate))
        harmed = (self._peak >= needs) & (guardrail.weighs is False)
        lacking = n < guardrail.fewest
        if guardrail.kind is GuardrailKind.EVIDENCE:
            lacking = lacking | (compared & (self._total == 0))
        unsafe = wants_safe & (self._log_safe < needs) & (guardrail.role is not Role.INFO)
        return harmed, ~harmed & (lacking | unsafe)

    def _look(self, where: Mask, *, bets: bool) -> None:
        block = Block(*(self.counts - self._looked))
        looking = where & due(block, self._total)
        if not looking.any():
            return
        self._harm = self._harm.look(block, drop=self.guardrail.drop, where=looking)
        if bets:
            margin = self.guardrail.allowance
            self._safe = self._safe.look(block, margin=margin, where=looking)
        size = self.counts[[0, 2]].sum(axis=0) - self._looked[[0, 2]].sum(axis=0)
        self._total += np.where(looking, size, 0)
        self._looked = np.where(looking, self.counts, self._looked)

    def _of_harm(self, live: Mask, compared: Mask) -> Floats:
        guardrail, seen = self.guardrail, self._past + self.counts
        if guardrail.kind is GuardrailKind.LIMIT:
            return _below(guardrail.limit or 0.0, seen)
        if guardrail.kind is GuardrailKind.THRESHOLD:
            return self.log_e
        log_e = self._harm.log_e
        if guardrail.floor is not None:
            return np.asarray(np.logaddexp(log_e, _below(guardrail.floor, seen)) - math.log(2))
        return log_e + np.logaddexp(0, self._alone(live & ~compared)) - math.log(2)

    def _alone(self, where: Mask) -> Floats:
        """Hold the candidate against what control did before it left; elsewhere an e-value of 1."""
        log_e = np.zeros(len(where))
        for run in np.flatnonzero(where & (self._past[2] > 0)):
            lowest = self._past[3, run] / self._past[2, run] - self.guardrail.allowance
            log_e[run] = _below(float(lowest), self.counts[:, run])
        return log_e

    def _of_safety(self) -> Floats:
        guardrail, (n, s) = self.guardrail, (self._past + self.counts)[:2]
        if guardrail.kind is GuardrailKind.LIMIT:
            turned = np.stack([n, n - s])
            return _below(1 - (guardrail.limit or 0.0), turned)
        safe = guardrail.kind is GuardrailKind.EVIDENCE
        return self._safe.log_e if safe else np.zeros(len(n))


def _below(lowest: float, counts: Counts) -> Floats:
    """Return the log e-value that treatment's rate is below, of rows n_t, s_t, ..."""
    if not 0 < lowest < 1:
        return np.zeros(counts.shape[1:])
    return floor.log_e(counts[1], counts[0] - counts[1], floor=lowest)
