"""Evidence of safety: exact on and inside its null hypothesis, by enumeration."""

import json
import math
from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import rel_entr
from scipy.stats import binom

from domain.errors import InvalidValue
from domain.stats.harm import Block, Floats
from domain.stats.noninferiority import WEIGHTS, Safety, _projection

HISTORIES = [(0, 1), (9, 1), (95, 5), (200, 0), (0, 200), (50, 50)]
ENOUGH = math.log(1 / 0.05)


def outcomes(n_t: int, n_c: int) -> Block:
    """Return every outcome of a block, shape (outcomes,)."""
    s_t, s_c = np.array(list(product(range(n_t + 1), range(n_c + 1)))).T
    return Block(n_t, s_t, n_c, s_c)


def chances(block: Block, treatment: float, control: float) -> Floats:
    n_t, s_t, n_c, s_c = (np.asarray(count, dtype=float) for count in block)
    return np.asarray(binom.pmf(s_t, n_t, treatment) * binom.pmf(s_c, n_c, control))


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("sizes", [(1, 1), (1, 11), (6, 6), (10, 2)])
def test_the_mean_is_at_most_one_wherever_treatment_is_worse_by_the_margin(
    sizes: tuple[int, int], margin: float
) -> None:
    block = outcomes(*sizes)
    excess = []
    for history in HISTORIES:
        start = Safety.begin(np.shape(block.s_t), history=history)
        e = np.exp(start.look(block, margin=margin).log_e)
        for control in np.linspace(margin, 1, 41):
            for treatment in (control - margin, 0.7 * (control - margin), 0.0):
                excess.append(np.sum(chances(block, float(treatment), float(control)) * e) - 1)

    assert max(excess) < 1e-10


def test_three_looks_in_a_row_have_a_mean_of_at_most_one() -> None:
    counts = np.array(list(product(product(range(4), range(3)), repeat=3)))
    for control, margin in [(0.95, 0.05), (0.6, 0.1), (0.3, 0.05)]:
        evidence = Safety.begin((len(counts),))
        for look in range(3):
            block = Block(3, counts[:, look, 0], 2, counts[:, look, 1])
            evidence = evidence.look(block, margin=margin)
        chance = binom.pmf(counts[..., 0], 3, control - margin)
        chance = chance * binom.pmf(counts[..., 1], 2, control)

        assert np.sum(np.prod(chance, axis=1) * np.exp(evidence.log_e)) < 1 + 1e-12


@pytest.mark.parametrize(("treatment", "control", "share"), [(0.9, 0.95, 0.1), (0.998, 0.97, 0.5)])
def test_the_projection_is_the_nearest_pair_that_is_worse_by_the_margin(
    treatment: float, control: float, share: float
) -> None:
    def distance(rate: float) -> float:
        def kl(p: float, q: float) -> float:
            return float(rel_entr(p, q) + rel_entr(1 - p, 1 - q))

        return share * kl(treatment, rate - 0.05) + (1 - share) * kl(control, rate)

    found = _projection(
        np.array(treatment), np.array(control), share=np.array(share), margin=np.array(0.05)
    )

    nearest = minimize_scalar(distance, bounds=(0.0501, 0.9999), options={"xatol": 1e-10})
    assert float(found) == pytest.approx(nearest.x, abs=1e-6)
    assert distance(float(found)) <= nearest.fun + 1e-14


def test_the_first_look_without_history_only_learns_controls_rate() -> None:
    first = Safety.begin().look(Block(40, 40, 60, 57), margin=0.05)

    assert WEIGHTS.sum() == pytest.approx(1)
    assert first.log_e == pytest.approx(0, abs=1e-12)
    assert (float(first.successes), float(first.failures)) == (57, 3)


def test_a_batch_is_its_runs_one_by_one() -> None:
    chance = np.random.default_rng(2)
    batch, single = Safety.begin((30,)), [Safety.begin() for _ in range(30)]

    for size in (1, 9, 50, 2000):
        n_t, n_c = chance.integers(0, size, (2, 30))
        block = Block(n_t, chance.binomial(n_t, 0.9), n_c, chance.binomial(n_c, 0.95))
        looking = chance.random(30) < 0.7
        batch = batch.look(block, margin=0.03, where=looking)
        single = [
            one.look(
                Block(*(int(np.asarray(count)[i]) for count in block)),
                margin=0.03,
                where=looking[i],
            )
            for i, one in enumerate(single)
        ]

    assert batch.log_e == pytest.approx([float(one.log_e) for one in single], abs=1e-10)


def test_without_data_or_without_one_arm_nothing_is_learnt() -> None:
    before = Safety.begin(history=(95, 5)).look(Block(10, 9, 90, 85), margin=0.05)

    assert before.look(Block(0, 0, 0, 0), margin=0.05).to_json() == before.to_json()
    assert before.look(Block(9, 9, 9, 9), margin=0.05, where=False).to_json() == before.to_json()
    for lonely in (Block(10, 0, 0, 0), Block(0, 0, 10, 0)):
        assert before.look(lonely, margin=0.05).log_e == before.log_e


def test_the_state_survives_json_to_the_last_digit() -> None:
    before = Safety.begin(history=(700, 31)).look(Block(31, 29, 47, 45), margin=0.05)

    after = Safety.from_json(json.loads(json.dumps(before.to_json())))

    assert after.to_json() == before.to_json()
    assert after.log_e == before.log_e


@pytest.mark.parametrize("margin", [0.001, 0.05, 0.9])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_ten_million_all_failures_and_all_successes_stay_finite(
    share: float, margin: float
) -> None:
    block = Block(5_000_000, int(5_000_000 * share), 5_000_000, int(5_000_000 * share))

    evidence = Safety.begin().look(block, margin=margin).look(block, margin=margin)

    assert np.isfinite(evidence.log_e)


def watched(treatment: float, *, share: float, looks: int) -> Floats:
    """Watch 1 000 runs of control .95 and margin .05, a look every 100 events."""
    chance = np.random.default_rng(4)
    evidence, seen, found = Safety.begin((1000,)), np.zeros(1000), np.full(1000, np.inf)
    for _ in range(looks):
        n_t = chance.binomial(100, share, 1000)
        s_t, s_c = chance.binomial(n_t, treatment), chance.binomial(100 - n_t, 0.95)
        evidence, seen = evidence.look(Block(n_t, s_t, 100 - n_t, s_c), margin=0.05), seen + n_t
        found = np.where((evidence.log_e >= ENOUGH) & np.isinf(found), seen, found)
    return found


def test_a_version_exactly_at_the_margin_is_called_safe_in_at_most_alpha_of_the_runs() -> None:
    assert np.sum(np.isfinite(watched(0.90, share=0.5, looks=100))) <= 50


def test_an_equal_version_is_soon_called_safe() -> None:
    found = watched(0.95, share=0.1, looks=120)

    assert np.mean(np.isfinite(found)) > 0.98
    assert np.median(found) < 215  # observations of treatment


@pytest.mark.parametrize(
    ("block", "margin", "message"),
    [
        (Block(3, 3, 3, 3), 0.0, "margin must be between 0 and 1, got 0.0"),
        (Block(3, 3, 3, 3), math.nan, "margin must be between 0 and 1, got nan"),
        (Block(3, 4, 3, 3), 0.05, "successes must be between 0 and observations"),
    ],
)
def test_impossible_input_is_refused(block: Block, margin: float, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Safety.begin().look(block, margin=margin)
