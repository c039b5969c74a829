"""The scenarios of `statistics.md`, "Targets", and the work they make."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from benchmarks.trials import race
from benchmarks.trials.arrivals import Phase, World
from benchmarks.trials.exactness import Audit, audit
from benchmarks.trials.peers import limit
from benchmarks.trials.race import Results

EVENTS = 20_000  # of a rollout without harm
SPLITS = (0.1, 0.5)
LATE, LATE_EVENTS = 15_000, 60_000  # events before harm begins, and after at most
HORIZON = 30  # limits; a run that takes longer counts as having taken so long
MARGIN = 0.05
HARMS = (
    (0.95, 0.02),
    (0.95, 0.05),
    (0.95, 0.15),
    (0.95, 0.50),
    (0.70, 0.02),
    (0.70, 0.05),
    (0.70, 0.15),
    (0.70, 0.50),
    (0.50, 0.05),
    (0.50, 0.15),
)

CHUNK_RUNS = 500  # simulated together; fits the processor's cache
CLUSTERED_RUNS = 250
AUDITED = 40  # looks of each chunk of runs that gbstats itself is asked about


class Kind(StrEnum):
    """What is asked of a world."""

    HARMLESS = "harmless"  # who rolls back, although nothing is wrong?
    CLUSTERED = "clustered"  # the same, when events of one user are alike
    HARMFUL = "harmful"  # who finds it, how soon?
    LATE = "late"  # the same, when it begins late
    MARGIN = "margin"  # who calls it safe?


@dataclass(frozen=True)
class Scenario:
    """A world, the question, and the number of runs."""

    kind: Kind
    world: World
    runs: int


@dataclass(frozen=True)
class Job:
    """A part of a scenario's runs, with chance of its own."""

    scenario: Scenario
    runs: int
    seed: np.random.SeedSequence


@dataclass(frozen=True)
class Sizes:
    """Runs of each scenario by what is asked.

    Attributes:
        simpson_events: Of each of its two phases; the pooled z grows with their root.
        rates: Of control, where nothing is wrong and at the margin.
        least: The smallest drop of the grid.
    """

    harmless: int = 4_000
    simpson: int = 1_000
    simpson_events: int = 200_000
    rates: tuple[float, ...] = (0.95, 0.70, 0.50)
    least: float = 0.02
    harmful: int = 1_000
    late: int = 1_000
    margin: int = 4_000


FULL = Sizes()
QUICK = Sizes(
    harmless=80,
    simpson=10,
    harmful=40,
    late=40,
    margin=40,
    simpson_events=140_000,
    rates=(0.95,),
    least=0.05,
)


def scenarios(sizes: Sizes) -> list[Scenario]:
    """Return all that is simulated."""
    return [*_harmless(sizes), *_harmful(sizes), *_margin(sizes)]


def _harmless(sizes: Sizes) -> Iterator[Scenario]:
    ramp = (Phase(EVENTS // 2, 0.1, 0.9, 0.9), Phase(EVENTS // 2, 0.5, 0.9, 0.9))
    fall = (Phase(EVENTS // 2, 0.1, 0.95, 0.95), Phase(EVENTS // 2, 0.5, 0.9, 0.9))
    many = sizes.simpson_events
    large = (Phase(many, 0.1, 0.95, 0.95), Phase(many, 0.5, 0.9, 0.9))
    for rate in sizes.rates:
        for split in SPLITS:
            world = World(
                f"A/A .{rate * 100:.0f}, {split:.0%}", (Phase(EVENTS, split, rate, rate),)
            )
            yield Scenario(Kind.HARMLESS, world, sizes.harmless)
    yield Scenario(Kind.HARMLESS, World("sine ±.04, 10→50%", ramp, wave=0.04), sizes.harmless)
    yield Scenario(Kind.HARMLESS, World(".95→.90 for all, 10→50%", fall), sizes.harmless)
    yield Scenario(
        Kind.HARMLESS, World(f"Simpson: that, {2 * many // 1000} 000 events", large), sizes.simpson
    )
    for together, name in ((1_000, "1 000 clustered users"), (100, "the same, 100 at a time")):
        users = World(name, (Phase(EVENTS, 0.1, 0.95, 0.95),), together=together)
        yield Scenario(Kind.CLUSTERED, users, sizes.harmless)


def _harmful(sizes: Sizes) -> Iterator[Scenario]:
    grid = [(*harm, split) for harm in HARMS if harm[1] >= sizes.least for split in SPLITS]
    for control, drop, split in grid:
        treatment = round(control - drop, 2)
        events = HORIZON * limit(split, control=control, treatment=treatment) / split
        phase = Phase(20 * (int(events / 20) + 1), split, control, treatment)
        world = World(f".{control * 100:.0f} −{drop * 100:.0f}pp, {split:.0%}", (phase,))
        yield Scenario(Kind.HARMFUL, world, sizes.harmful)
    late = (Phase(LATE, 0.5, 0.95, 0.95), Phase(LATE_EVENTS, 0.5, 0.95, 0.80))
    yield Scenario(Kind.LATE, World(".95 −15pp after 15 000 events, 50%", late), sizes.late)


def _margin(sizes: Sizes) -> Iterator[Scenario]:
    for rate in sizes.rates:
        for split in SPLITS:
            phase = Phase(EVENTS, split, rate, rate - MARGIN)
            world = World(f"at the margin, .{rate * 100:.0f}, {split:.0%}", (phase,))
            yield Scenario(Kind.MARGIN, world, sizes.margin)
    equal = World("equal, .95, 10%", (Phase(EVENTS, 0.1, 0.95, 0.95),))
    yield Scenario(Kind.MARGIN, equal, sizes.margin)


def jobs(planned: list[Scenario], seed: int) -> list[Job]:
    """Cut scenarios into parts; the same seed gives the same figures on any number of processes."""
    parts = []
    for scenario in planned:
        at_most = CLUSTERED_RUNS if scenario.kind is Kind.CLUSTERED else CHUNK_RUNS
        for start in range(0, scenario.runs, at_most):
            parts.append((scenario, min(at_most, scenario.runs - start)))
    seeds = np.random.SeedSequence(seed).spawn(len(parts))
    return [Job(*part, chance) for part, chance in zip(parts, seeds, strict=True)]


def work(job: Job) -> tuple[list[Results], Audit]:
    """Run a job: one result, or two of clustered users: of all events, of first outcomes."""
    kind, world = job.scenario.kind, job.scenario.world
    if kind is Kind.MARGIN:
        return [race.run_safety(world, job.runs, job.seed, MARGIN)], Audit()
    if kind is Kind.CLUSTERED:
        found = list(race.run_clustered(world, job.runs, job.seed))
    else:
        until_found = kind in (Kind.HARMFUL, Kind.LATE)
        found = [race.run(world, job.runs, job.seed, until_found=until_found)]
    return found, sum((audit(results, looks=AUDITED) for results in found), Audit())
