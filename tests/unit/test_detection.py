"""The machinery of benchmarks/detection.py, on races small enough for a test."""

import math

import numpy as np
import pytest

from benchmarks.trials import arrivals, exactness, figures, grid, peers, race
from benchmarks.trials.arrivals import Arrivals, Phase, World
from benchmarks.trials.race import NEVER

SEED = np.random.SeedSequence(7)
HARMLESS = World("A/A", (Phase(1_000, 0.5, 0.95, 0.95),))
HARMFUL = World("bad", (Phase(4_000, 0.5, 0.95, 0.70),))


def cumulative(seed: int) -> Arrivals:
    """Return 200 looks at nothing special, from the first on."""
    rng = np.random.default_rng(seed)
    n_t, n_c = rng.integers(0, 400, 200), rng.integers(0, 400, 200)
    return Arrivals(n_t, rng.binomial(n_t, 0.85), n_c, rng.binomial(n_c, 0.9))


def test_the_fast_formula_of_gbstats_is_that_of_gbstats() -> None:
    looks = cumulative(1)

    log_p, uplift = peers.gbstats_log_p(looks)

    real = np.array([peers.really_gbstats(*counts) for counts in np.stack(looks).T.tolist()])
    assert np.abs(np.exp(log_p) - real[:, 0]).max() < 1e-12
    assert np.abs(uplift - real[:, 1]).max() < 1e-12
    assert (real[:, 0] < 1).any()


def test_every_decision_made_in_the_name_of_gbstats_is_its_own() -> None:
    results = race.run(HARMFUL, 20, SEED, until_found=True)

    audit = exactness.audit(results, looks=20)

    assert (audit.crossings, audit.wrong) == (20, 0)


def test_harm_is_found_by_everybody_and_not_before_the_limit() -> None:
    results = race.run(HARMFUL, 50, SEED, until_found=True)

    least = peers.limit(0.5, control=0.95, treatment=0.70)
    means = {name: results.decided[name].mean() for name in race.MUST_FIND}
    assert all(least < mean < 10 * least for mean in means.values()), means
    assert means["ours"] < means["gbstats"]


def test_the_same_seed_tells_the_same_story() -> None:
    first, second = (race.run(HARMLESS, 10, SEED, until_found=False) for _ in range(2))

    assert np.array_equal(first.z, second.z)
    assert np.array_equal(first.sample, second.sample)


def test_a_run_that_leaves_the_race_keeps_what_it_decided() -> None:
    alone = race.run(HARMFUL, 30, SEED, until_found=True)

    watched_to_the_end = race.run(HARMFUL, 30, SEED, until_found=False)

    first_chunk = alone.decided["ours"] < arrivals.CHUNK * arrivals.STEP * 0.4
    assert first_chunk.any()
    same = alone.decided["ours"] == watched_to_the_end.decided["ours"]
    assert same[first_chunk].all()


def test_harm_that_begins_late_is_counted_from_its_beginning() -> None:
    late = World("late", (Phase(2_000, 0.5, 0.95, 0.95), Phase(4_000, 0.5, 0.95, 0.5)))

    results = race.run(late, 20, SEED, until_found=True)

    assert 0 < np.median(results.decided["ours"]) < 400


def test_each_user_of_the_clustered_world_has_one_first_outcome() -> None:
    world = World("users", (Phase(2_000, 0.1, 0.95, 0.95),), together=50)

    every, firsts = arrivals.clustered(world, np.random.default_rng(1), 3)

    counted = [
        sum(int(chunk.n_t.sum() + chunk.n_c.sum()) for chunk in kind) for kind in (every, firsts)
    ]
    assert counted == [3 * 2_000, 3 * 100]
    assert all((chunk.s_t <= chunk.n_t).all() for chunk in (*every, *firsts))


def test_the_limit_grows_without_bound_as_the_harm_vanishes() -> None:
    limits = [peers.limit(0.5, control=0.95, treatment=0.95 - drop) for drop in (0.5, 0.05, 0.005)]

    assert limits[0] == pytest.approx(8.94, abs=0.01)
    assert limits == sorted(limits)


def test_small_samples_have_wide_bounds() -> None:
    decided = np.full(100, NEVER)
    decided[:4] = 10.0

    share = figures.share_of(decided)

    assert share.share == 0.04
    assert share.upper95 == pytest.approx(0.0892, abs=1e-4)


def test_the_grid_is_twenty_scenarios_of_harm_cut_into_jobs_of_their_own_chance() -> None:
    planned = grid.scenarios(grid.FULL)
    todo = grid.jobs(planned, seed=1)

    assert sum(scenario.kind is grid.Kind.HARMFUL for scenario in planned) == 20
    assert sum(job.runs for job in todo) == sum(scenario.runs for scenario in planned)
    assert len({job.seed.spawn_key for job in todo}) == len(todo)


def test_a_figure_that_is_not_a_number_misses_its_target() -> None:
    met = {name: target - 1 for name, target in figures.TARGETS.items()}

    assert figures.missed(met) == []
    assert figures.missed(met | {"late_harm_ratio": math.nan}) == ["late_harm_ratio"]
