"""One race: every method watches the same arrivals, until it decides or the world ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.trials import watching
from benchmarks.trials.arrivals import Arrivals, Counts, Floats, World, clustered, spans
from benchmarks.trials.peers import PEERS, Mask, Rule, naive_safe, pooled_z
from benchmarks.trials.watching import EVERY, Watch
from domain.stats.harm import Harm
from domain.stats.noninferiority import Safety

NEVER = np.inf
MUST_FIND = ("ours", "ours_due", "gbstats", "growthbook", "msprt")  # a detection race waits for


@dataclass
class Results:
    """Of each run: treatment events until each method decided, and what was counted.

    Attributes:
        decided: By method, shape (runs,); `NEVER` where it did not. Counted from the last phase on
            when the race asked for it: then negative means too early.
        horizon: Treatment events when the watching ended, counted alike.
        z: The naive pooled z of all that was counted, at the end.
        crossings: Cumulative counts (8, runs) at gbstats' decision and at the look before.
        sample: Cumulative counts (4, m) of looks picked at random, to hold gbstats against.
    """

    decided: dict[str, Floats]
    horizon: Floats
    z: Floats
    crossings: Counts
    sample: Counts


@dataclass
class Race:
    """The state of all methods in all runs; runs that are finished leave it.

    Args:
        runs: How many at the start.
        watches: Ours.
        rules: The peers.
        rng: Picks the looks that gbstats itself is asked about.
    """

    runs: int
    watches: Mapping[str, Watch[Harm] | Watch[Safety]]
    rules: Mapping[str, Rule]
    rng: np.random.Generator
    ids: Counts = field(init=False)  # of the runs still watched
    totals: Counts = field(init=False)  # (4, alive)
    results: Results = field(init=False)

    def __post_init__(self) -> None:
        self.ids = np.arange(self.runs)
        self.totals = np.zeros((4, self.runs), dtype=np.int64)
        self.results = Results(
            {name: np.full(self.runs, NEVER) for name in [*self.watches, *self.rules]},
            np.zeros(self.runs),
            np.zeros(self.runs),
            np.zeros((8, self.runs), dtype=np.int64),
            np.zeros((4, 0), dtype=np.int64),
        )

    def feed(self, arrivals: Arrivals) -> None:
        """Let everybody watch what arrives."""
        seen = np.stack(arrivals).cumsum(axis=1) + self.totals[:, None, :]
        for name, watch in self.watches.items():
            self._decide(name, watch.feed(arrivals), seen)
        looks = seen[:, EVERY - 1 :: EVERY]
        for name, rule in self.rules.items():
            firing = rule(Arrivals(*looks))
            row = np.where(firing.any(axis=0), firing.argmax(axis=0), -1)
            row = np.where(self.results.decided[name][self.ids] < NEVER, -1, row)
            if name == "gbstats":
                self._keep_crossings(row, looks)
            self._decide(name, np.where(row >= 0, row * EVERY + EVERY - 1, -1), seen)
        self._pick(looks)
        self.totals = seen[:, -1]
        self.results.horizon[self.ids] = self.totals[0]
        self.results.z[self.ids] = pooled_z(Arrivals(*self.totals))

    def _decide(self, name: str, row: Counts, seen: Counts) -> None:
        (at,) = np.nonzero(row >= 0)
        self.results.decided[name][self.ids[at]] = seen[0, row[at], at]

    def _keep_crossings(self, row: Counts, looks: Counts) -> None:
        (at,) = np.nonzero(row >= 0)
        before = np.where(row[at] > 0, looks[:, row[at] - 1, at], self.totals[:, at])
        self.results.crossings[:, self.ids[at]] = np.concatenate([looks[:, row[at], at], before])

    def _pick(self, looks: Counts) -> None:
        row, run = self.rng.integers(looks.shape[1]), self.rng.integers(looks.shape[2])
        self.results.sample = np.column_stack([self.results.sample, looks[:, row, run]])

    def leave(self, done: Mask) -> None:
        """Take runs out of the race."""
        if done.any():
            self.ids, self.totals = self.ids[~done], self.totals[:, ~done]
            for watch in self.watches.values():
                watch.keep(~done)

    @property
    def finished(self) -> Mask:
        """Where every method that a detection race waits for has decided."""
        found = [self.results.decided[name][self.ids] < NEVER for name in MUST_FIND]
        return np.asarray(np.logical_and.reduce(found))


def run(world: World, runs: int, seed: np.random.SeedSequence, *, until_found: bool) -> Results:
    """Race ours and the peers for harm.

    Args:
        world: What happens.
        runs: Independent ones.
        seed: Of all chance.
        until_found: Stop a run once every method of `MUST_FIND` decided, and count treatment
            events from the beginning of the last phase on. Else watch to the end.
    """
    ours = {"ours": watching.harm(runs), "ours_due": watching.harm_due(runs)}
    return _run(Race(runs, ours, PEERS, _auditor(seed)), world, seed, until_found=until_found)


def run_safety(world: World, runs: int, seed: np.random.SeedSequence, margin: float) -> Results:
    """Race ours and the textbook's test of non-inferiority to the end of the world."""
    ours = {"ours": watching.safety(runs, margin)}
    rules = {"naive_z": naive_safe(margin)}
    return _run(Race(runs, ours, rules, _auditor(seed)), world, seed, until_found=False)


def run_clustered(world: World, runs: int, seed: np.random.SeedSequence) -> tuple[Results, Results]:
    """Race in a world of clustered users: on every event, and on first outcomes."""
    rng = np.random.default_rng(seed)
    both = []
    for chunks in clustered(world, rng, runs):
        ours = {"ours": watching.harm(runs), "ours_due": watching.harm_due(runs)}
        race = Race(runs, ours, PEERS, _auditor(seed))
        for arrivals in chunks:
            race.feed(arrivals)
        both.append(race.results)
    return both[0], both[1]


def _auditor(seed: np.random.SeedSequence) -> np.random.Generator:
    """Return chance of its own, so that auditing changes nothing that is simulated."""
    return np.random.default_rng([*seed.generate_state(4)])


def _run(race: Race, world: World, seed: np.random.SeedSequence, *, until_found: bool) -> Results:
    rng = np.random.default_rng(seed)
    origin: NDArray[np.float64] = np.zeros(race.runs)
    epoch = phase = 0
    for span in spans(world):
        if span.epoch != epoch:
            for watch in race.watches.values():
                watch.drop_open()
        if span.phase != phase and until_found:
            origin[race.ids] = race.totals[0]
        epoch, phase = span.epoch, span.phase
        race.feed(span.draw(rng, len(race.ids)))
        if until_found:
            race.leave(race.finished)
        if not len(race.ids):
            break
    for decided in race.results.decided.values():
        decided -= origin
    race.results.horizon -= origin
    return race.results
