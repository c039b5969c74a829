"""Who arrives and how it ends for them: the worlds that every method watches alike.

All chance comes from the generator that is handed in. Counts are `(steps, runs)`: one row for every
ten events, one column for every simulated rollout.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 10  # events between two rows
CHUNK = 60  # rows drawn at once; even, so that a chunk ends where somebody looks
PERIOD = 5_000  # events of one wave of the base rate
USER_EVENTS = 20  # that one user makes, in the clustered world
CORRELATION = 0.3  # of two outcomes of one user

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Arrivals(NamedTuple):
    """Observations and successes of treatment and control, each `(steps, runs)`."""

    n_t: Counts
    s_t: Counts
    n_c: Counts
    s_c: Counts


@dataclass(frozen=True)
class Phase:
    """So many events at one split and one pair of success rates."""

    events: int
    split: float  # of treatment, in (0, 1)
    control: float
    treatment: float


@dataclass(frozen=True)
class World:
    """What happens, phase by phase; a new split is a new epoch.

    Attributes:
        wave: Half the height of a sine that moves both rates together.
        together: Not 0: every user makes 20 events of correlation .3, and so many users' events
            mingle; one phase, no wave.
    """

    name: str
    phases: tuple[Phase, ...]
    wave: float = 0.0
    together: int = 0


class Span(NamedTuple):
    """Some rows of one phase: its number, its epoch, its split and the two rates of each row."""

    phase: int
    epoch: int
    split: float
    treatment: Floats
    control: Floats

    def draw(self, rng: np.random.Generator, runs: int) -> Arrivals:
        """Return what arrives in as many independent runs."""
        n_t = rng.binomial(STEP, self.split, (len(self.control), runs))
        n_c = STEP - n_t
        s_t = rng.binomial(n_t, self.treatment[:, None])
        return Arrivals(n_t, s_t, n_c, rng.binomial(n_c, self.control[:, None]))


def spans(world: World) -> Iterator[Span]:
    """Cut a world into spans of at most `CHUNK` rows."""
    begun = epoch = 0
    for number, phase in enumerate(world.phases):
        epoch += number > 0 and phase.split != world.phases[number - 1].split
        for start in range(0, phase.events, STEP * CHUNK):
            at = begun + np.arange(start, min(start + STEP * CHUNK, phase.events), STEP)
            shift = world.wave * np.sin(2 * np.pi * at / PERIOD)
            yield Span(number, epoch, phase.split, phase.treatment + shift, phase.control + shift)
        begun += phase.events


def clustered(
    world: World, rng: np.random.Generator, runs: int
) -> tuple[list[Arrivals], list[Arrivals]]:
    """Return the chunks of a world of clustered users: all their events, and their first outcomes.

    A user's success rate is Beta with the phase's mean, so that two of his outcomes correlate by
    .3. The users come group by group; the events of a group arrive in random order.
    """
    phase = world.phases[0]
    users = phase.events // USER_EVENTS
    arm = rng.random((runs, users)) < phase.split
    mean = np.where(arm, phase.treatment, phase.control)
    spread = 1 / CORRELATION - 1
    rate = rng.beta(mean * spread, (1 - mean) * spread)
    outcome = rng.random((runs, users, USER_EVENTS)) < rate[..., None]
    order = np.arange(phase.events).reshape(-1, world.together * USER_EVENTS)
    place = rng.permuted(np.broadcast_to(order, (runs, *order.shape)), axis=2)
    place = place.reshape(outcome.shape)
    first = place.argmin(axis=2, keepdims=True)
    firsts = (
        np.take_along_axis(place, first, 2)[..., 0],
        np.take_along_axis(outcome, first, 2)[..., 0],
    )
    every = (place.reshape(runs, -1), outcome.reshape(runs, -1))
    return (
        _chunks(*every, np.repeat(arm, USER_EVENTS, axis=1), phase.events // STEP),
        _chunks(*firsts, arm, phase.events // STEP),
    )


def _chunks(
    place: Counts, outcome: NDArray[np.bool_], arm: NDArray[np.bool_], steps: int
) -> list[Arrivals]:
    """Count per row what was observed at which place in the order of arrival."""
    runs = len(place)
    cell = (place // STEP) * runs + np.arange(runs)[:, None]
    masks = (arm, arm & outcome, ~arm, ~arm & outcome)
    counts = [
        np.bincount(cell[mask], minlength=steps * runs).reshape(steps, runs) for mask in masks
    ]
    return [
        Arrivals(*(count[start : start + CHUNK] for count in counts))
        for start in range(0, steps, CHUNK)
    ]
