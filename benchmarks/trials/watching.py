"""Ours, as the rollout uses it: blocks that open, fall due, and are dropped with their epoch."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Generic, TypeVar

import numpy as np

from benchmarks.trials.arrivals import Arrivals, Counts
from benchmarks.trials.peers import ALPHA, Mask
from domain.stats.harm import Block, Harm, due
from domain.stats.noninferiority import Safety

State = TypeVar("State", Harm, Safety)
Looks = Callable[[Block, Counts], Mask]  # the open block, and all that was looked at before
EVERY = 2  # rows of ten events: everybody looks every 20 events


class Watch(Generic[State]):
    """One process of evidence in many runs at once.

    Args:
        state: The evidence to begin with, shape (runs,).
        step: Returns the evidence after a block, where the mask says so.
        rule: Says where an open block is looked at.
        every: Rows between two chances to look.
    """

    def __init__(
        self,
        state: State,
        step: Callable[[State, Block, Mask], State],
        *,
        rule: Looks,
        every: int,
    ) -> None:
        runs = len(state.successes)
        self.state: State = state
        self.step: Callable[[State, Block, Mask], State] = step
        self.rule, self.every = rule, every
        self.open = np.zeros((4, runs), dtype=np.int64)
        self.looked_at = np.zeros(runs, dtype=np.int64)
        self.done = np.zeros(runs, dtype=bool)

    def feed(self, arrivals: Arrivals) -> Counts:
        """Return the row at which each run decided; -1 where it did not, or had before."""
        rows = np.stack(arrivals)
        decided = np.full(rows.shape[2], -1)
        for row in range(rows.shape[1]):
            self.open += rows[:, row]
            if (row + 1) % self.every == 0:
                decided[self._look()] = row
        return decided

    def _look(self) -> Mask:
        """Look where the rule says so; return which runs decide at this look."""
        block = Block(*self.open)
        looking = self.rule(block, self.looked_at) & ~self.done
        if not looking.any():
            return looking
        self.state = self.step(self.state, block, looking)
        self.looked_at += np.where(looking, self.open[0] + self.open[2], 0)
        self.open[:, looking] = 0
        deciding = np.asarray(looking & (self.state.log_e >= -math.log(ALPHA)))
        self.done |= deciding
        return deciding

    def drop_open(self) -> None:
        """Forget the open blocks: their epoch is over."""
        self.open[:] = 0

    def keep(self, runs: Mask) -> None:
        """Go on with some of the runs."""
        kept = {f.name: getattr(self.state, f.name)[runs] for f in fields(self.state)}
        self.state = replace(self.state, **kept)
        self.open, self.looked_at = self.open[:, runs], self.looked_at[runs]
        self.done = self.done[runs]


def both_arms(block: Block, _looked_at: Counts) -> Mask:
    """Look whenever both arms are there."""
    return np.asarray((np.asarray(block.n_t) > 0) & (np.asarray(block.n_c) > 0))


def harm(runs: int) -> Watch[Harm]:
    """Return ours, looking every 20 events."""
    return Watch(Harm.begin((runs,)), _harm, rule=both_arms, every=EVERY)


def harm_due(runs: int) -> Watch[Harm]:
    """Return ours with the production look rule, which is asked every ten events."""
    return Watch(Harm.begin((runs,)), _harm, rule=due, every=1)


def safety(runs: int, margin: float) -> Watch[Safety]:
    """Return ours, asking every 20 events whether it is safe to go on."""

    def step(state: Safety, block: Block, where: Mask) -> Safety:
        return state.look(block, margin=margin, where=where)

    return Watch(Safety.begin((runs,)), step, rule=both_arms, every=EVERY)


def _harm(state: Harm, block: Block, where: Mask) -> Harm:
    return state.look(block, where=where)
