"""Evidence of harm: exact by enumeration, right at every size, and true to its error rate."""

import json
import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp
from scipy.stats import binom, hypergeom, nchypergeom_fisher

from domain.errors import InvalidValue
from domain.stats.harm import MULTIPLES, WEIGHTS, Block, Harm, capped, due, log_ratio

LOG_PSI = -0.747 * MULTIPLES  # a drop of .05 from .95
ALARM = math.log(1 / 0.05)


@st.composite
def blocks(draw: st.DrawFn, most: int = 3000) -> Block:
    n_t, n_c = draw(st.integers(0, most)), draw(st.integers(0, most))
    return Block(n_t, draw(st.integers(0, n_t)), n_c, draw(st.integers(0, n_c)))


def margins(most: int) -> Iterator[tuple[int, int, int]]:
    """Yield every n_t, n_c and number of successes with at most so many observations."""
    for n_t, n_c in product(range(most + 1), repeat=2):
        if n_t + n_c <= most:
            yield from ((n_t, n_c, s) for s in range(n_t + n_c + 1))


def law(n_t: int, n_c: int, s: int, psi: float) -> dict[int, float]:
    """Return Fisher's noncentral hypergeometric law, from whole numbers."""
    ways = {
        u: math.comb(n_t, u) * math.comb(n_c, s - u) * psi**u
        for u in range(max(0, s - n_c), min(n_t, s) + 1)
    }
    total = math.fsum(ways.values())
    return {u: way / total for u, way in ways.items()}


def full_sum(block: Block, log_psi: float) -> float:
    """Return log S from all terms, without a window."""
    n_t, s_t, n_c, s_c = (int(np.asarray(count)) for count in block)
    s = s_t + s_c
    u = np.arange(max(0, s - n_c), min(n_t, s) + 1.0)
    ways = -gammaln(u + 1) - gammaln(n_t - u + 1) - gammaln(s - u + 1) - gammaln(n_c - s + u + 1)
    seen = ways[s_t - int(u[0])] + s_t * log_psi - logsumexp(ways + u * log_psi)
    return float(seen - ways[s_t - int(u[0])] + logsumexp(ways))


@pytest.mark.parametrize("psi", [1.0, 1.2, 3.0, 50.0])
def test_an_e_value_has_mean_one_without_harm_and_at_most_one_with_benefit(psi: float) -> None:
    cases = [
        (block, Block(block[0], u, block[1], block[2] - u), chance)
        for block in margins(12)
        for u, chance in law(*block, psi).items()
    ]
    found = np.exp(log_ratio(Block(*np.array([b for _, b, _ in cases]).T), LOG_PSI))

    means: dict[tuple[int, int, int], NDArray[np.float64]] = {}
    for (margin, _, chance), e in zip(cases, found, strict=True):
        means[margin] = means.get(margin, np.zeros(8)) + chance * e
    excess = np.array(list(means.values())) - 1

    assert len(means) == sum((n + 1) ** 2 for n in range(13))
    assert excess.max() < 1e-10
    if psi == 1:
        assert np.abs(excess).max() < 1e-10


@pytest.mark.parametrize(("control", "treatment"), [(0.7, 0.7), (0.95, 0.95), (0.6, 0.8)])
def test_three_looks_with_restarts_still_have_mean_one(control: float, treatment: float) -> None:
    outcomes = list(product(product(range(4), range(3)), repeat=3))
    counts = np.array(outcomes)  # shape (outcomes, looks, arms)
    chances = binom.pmf(counts[..., 0], 3, treatment) * binom.pmf(counts[..., 1], 2, control)

    evidence = Harm.begin((len(outcomes),))
    for look in range(3):
        evidence = evidence.look(Block(3, counts[:, look, 0], 2, counts[:, look, 1]))
    mean = np.sum(np.prod(chances, axis=1) * np.exp(evidence.log_e))

    if control == treatment:
        assert mean == pytest.approx(1, abs=1e-12)
    assert mean < 1 + 1e-12


@settings(deadline=None)
@given(blocks(), st.floats(-36, 3))
def test_the_window_leaves_nothing_out(block: Block, log_psi: float) -> None:
    assert log_ratio(block, [log_psi]) == pytest.approx(full_sum(block, log_psi), abs=5e-11)


@pytest.mark.parametrize(
    "block",
    [
        Block(200_000, 180_000, 800_000, 760_000),
        Block(500_000, 20, 500_000, 3),
        Block(10, 2, 999_990, 999_000),
        Block(500_000, 499_999, 500_000, 499_000),
    ],
)
def test_a_million_observations_are_summed_right(block: Block) -> None:
    found = log_ratio(block, LOG_PSI)

    exact = [full_sum(block, float(log_psi)) for log_psi in LOG_PSI]
    assert found == pytest.approx(exact, abs=2e-8, rel=1e-9)


@pytest.mark.parametrize("n_t", [1, 1_000_000, 5_000_000, 9_999_999])
@pytest.mark.parametrize("share", [0.0, 1e-6, 0.5, 0.95, 1.0])
def test_ten_million_observations_stay_finite(n_t: int, share: float) -> None:
    n_c = 10_000_000 - n_t
    for s_t in {0, int(n_t * share), n_t}:
        block = Block(n_t, s_t, n_c, int(n_c * share))
        assert np.isfinite(log_ratio(block, LOG_PSI)).all()
        assert np.isfinite(Harm.begin().look(block).log_e)


def test_the_ratio_is_that_of_scipys_two_laws() -> None:
    for n_t, s_t, n_c, s_c in [(12, 7, 30, 24), (100, 80, 900, 860), (400, 390, 350, 349)]:
        margin = (n_t + n_c, n_t, s_t + s_c)
        psi = np.exp(LOG_PSI[:5])
        expected = nchypergeom_fisher.logpmf(s_t, *margin, psi) - hypergeom.logpmf(s_t, *margin)

        found = log_ratio(Block(n_t, s_t, n_c, s_c), LOG_PSI[:5])

        assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "block",
    [
        Block(0, 0, 0, 0),
        Block(0, 0, 50, 31),
        Block(50, 31, 0, 0),
        Block(20, 0, 30, 0),
        Block(20, 20, 30, 30),
        Block(3_000_000, 3_000_000, 7_000_000, 7_000_000),
    ],
)
def test_where_only_one_outcome_is_possible_nothing_is_learnt(block: Block) -> None:
    assert (log_ratio(block, LOG_PSI) == 0.0).all()


@settings(deadline=None)
@given(blocks(400))
def test_exchanging_the_arms_or_what_success_means_inverts_the_odds_ratio(block: Block) -> None:
    n_t, s_t, n_c, s_c = (int(np.asarray(count)) for count in block)
    found = log_ratio(block, LOG_PSI)

    assert log_ratio(Block(n_c, s_c, n_t, s_t), -LOG_PSI) == pytest.approx(found, abs=1e-9)
    flipped = Block(n_t, n_t - s_t, n_c, n_c - s_c)
    assert log_ratio(flipped, -LOG_PSI) == pytest.approx(found, abs=1e-9)


def test_a_batch_is_its_runs_one_by_one() -> None:
    chance = np.random.default_rng(1)
    batch, single = Harm.begin((40,)), [Harm.begin() for _ in range(40)]

    for size in (1, 7, 30, 4000):
        n_t, n_c = chance.integers(0, size, (2, 40))
        block = Block(n_t, chance.binomial(n_t, 0.9), n_c, chance.binomial(n_c, 0.95))
        looking = chance.random(40) < 0.7
        batch = batch.look(block, where=looking)
        single = [
            one.look(Block(*(int(np.asarray(count)[i]) for count in block)), where=looking[i])
            for i, one in enumerate(single)
        ]

    assert batch.log_e == pytest.approx([float(one.log_e) for one in single], abs=1e-10)
    assert batch.successes == pytest.approx([float(one.successes) for one in single])
    assert batch.looks == pytest.approx([float(one.looks) for one in single])


def test_a_look_without_data_or_out_of_turn_changes_nothing() -> None:
    before = Harm.begin().look(Block(20, 15, 30, 29))

    assert before.look(Block(0, 0, 0, 0)).to_json() == before.to_json()
    assert before.look(Block(9, 1, 9, 9), where=False).to_json() == before.to_json()
    assert Harm.begin((3,)).look(Block(5, 1, 5, 5), where=[False] * 3).looks.sum() == 0


def test_no_evidence_is_an_e_value_of_one() -> None:
    assert WEIGHTS.sum() == pytest.approx(1)
    assert Harm.begin((2,)).log_e == pytest.approx([0, 0], abs=1e-12)
    assert Harm.begin().look(Block(9, 9, 9, 9)).log_e == pytest.approx(0, abs=1e-12)


def test_it_does_not_matter_how_past_control_came_in_blocks() -> None:
    apart = Harm.begin(history=(30, 2)).look(Block(0, 0, 30, 28)).look(Block(0, 0, 10, 9))
    together = Harm.begin(history=(39, 3)).look(Block(0, 0, 15, 14)).look(Block(0, 0, 15, 14))

    assert (apart.successes, apart.failures) == (together.successes, together.failures)
    one_more = Block(20, 12, 20, 19)
    assert apart.look(one_more).log_e == pytest.approx(together.look(one_more).log_e, abs=1e-12)


def test_the_state_survives_json_to_the_last_digit() -> None:
    before = Harm.begin(history=(700, 31)).look(Block(31, 22, 47, 45)).look(Block(3, 1, 4, 4))

    after = Harm.from_json(json.loads(json.dumps(before.to_json())))

    more = Block(11, 7, 13, 12)
    assert after.to_json() == before.to_json()
    assert after.look(more).to_json() == before.look(more).to_json()
    assert after.log_e == before.log_e


def test_history_counts_as_two_hundred_observations_at_most() -> None:
    assert capped((9_500, 500)) == pytest.approx((190, 10))
    assert capped((19, 1)) == (19, 1)
    assert capped((0, 0)) == (0, 0)


@pytest.mark.parametrize(
    ("n_t", "n_c", "total", "expected"),
    [
        (0, 500, 0, False),
        (500, 0, 0, False),
        (1, 8, 0, False),
        (1, 9, 0, True),
        (5, 24, 600, False),
        (5, 25, 600, True),
        (50, 49, 10_000, False),
        (50, 50, 10_000, True),
    ],
)
def test_a_block_is_due_by_its_size_alone(n_t: int, n_c: int, total: int, expected: bool) -> None:
    assert bool(due(Block(n_t, 0, n_c, 0), total)) is expected


def test_due_is_asked_of_many_runs_at_once() -> None:
    n = np.array([9, 10, 11])

    assert due(Block(n - 1, n - 1, 1, 0), np.array([0, 0, 400])).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("block", "drop", "message"),
    [
        (Block(3, 4, 5, 5), 0.05, "successes of treatment must be between 0 and n"),
        (Block(3, 3, 5, -1), 0.05, "successes of control must be between 0 and n"),
        (Block(3, math.nan, 5, 1), 0.05, "successes of treatment"),
        (Block(3, 3, 5, 5), 0.0, "drop must be between 0 and 1, got 0.0"),
        (Block(3, 3, 5, 5), math.nan, "drop must be between 0 and 1, got nan"),
    ],
)
def test_impossible_counts_are_refused(block: Block, drop: float, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Harm.begin().look(block, drop=drop)
    with pytest.raises(InvalidValue, match="history must be counts of at least 0"):
        Harm.begin(history=(-1, 5))


def watched(
    control: NDArray[np.float64], treatment: NDArray[np.float64], split: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Watch 1 000 seeded runs, a look every 20 events: the look of each run's alarm, or -1."""
    chance = np.random.default_rng(20)
    evidence, alarms = Harm.begin((1000,)), np.full(1000, -1)
    for look, (p_c, p_t, share) in enumerate(zip(control, treatment, split, strict=True)):
        n_t = chance.binomial(20, share, 1000)
        s_t, s_c = chance.binomial(n_t, p_t), chance.binomial(20 - n_t, p_c)
        evidence = evidence.look(Block(n_t, s_t, 20 - n_t, s_c))
        alarms[(alarms < 0) & (evidence.log_e >= ALARM)] = look
    return alarms


@pytest.mark.parametrize("rate", [0.95, 0.7, 0.5])
@pytest.mark.parametrize("split", [0.1, 0.5])
def test_a_harmless_version_is_called_harmful_in_at_most_alpha_of_the_runs(
    rate: float, split: float
) -> None:
    rates = np.full(100, rate)

    alarms = watched(rates, rates, np.full(100, split))

    assert np.sum(alarms >= 0) <= 50


@pytest.mark.guarantee(6)
def test_336_looks_raise_no_more_false_alarms_than_alpha() -> None:
    rates = np.full(336, 0.95)  # a look every half hour of a week

    alarms = watched(rates, rates, np.full(336, 0.5))

    assert np.sum(alarms >= 0) <= 50


@pytest.mark.guarantee(6)
def test_a_fall_for_everybody_during_a_ramp_is_not_harm() -> None:
    rates, split = np.repeat([0.95, 0.85], 50), np.repeat([0.1, 0.5], 50)

    alarms = watched(rates, rates, split)

    assert np.sum(alarms >= 0) <= 50


@pytest.mark.parametrize(("drop", "most"), [(0.05, 1000), (0.15, 180), (0.5, 45)])
def test_harm_is_found_soon(drop: float, most: int) -> None:
    control = np.full(200, 0.95)

    alarms = watched(control, control - drop, np.full(200, 0.5))

    assert np.sum(alarms < 0) <= 50
    assert 10 * np.mean(alarms[alarms >= 0] + 1) < most  # observations of treatment


def test_harm_that_begins_late_is_found_by_the_restarts() -> None:
    control = np.full(300, 0.95)
    late = control - np.repeat([0.0, 0.15], [200, 100])

    alarms = watched(control, late, np.full(300, 0.5))

    assert np.mean(alarms >= 0) > 0.99
