"""The benchmark of assignment: whom ramps move, and what it takes for a target to be missed."""

import random
from itertools import pairwise

import pytest

from benchmarks.assigning.ramps import ARMS, flips, growing
from benchmarks.assignment import AT_LEAST, AT_MOST, missed

USERS = [f"user-{n}" for n in range(300)]
EPSILON = 1e-9


@pytest.mark.parametrize("arms", ARMS)
def test_every_ramp_grows_every_arm_but_control(arms: int) -> None:
    steps = growing(arms, random.Random(7))  # noqa: S311  # guards no secret

    assert all(abs(sum(shares) - 1) < EPSILON for shares in steps)
    for before, after in pairwise(steps):
        assert all(now >= was for was, now in zip(before[1:], after[1:], strict=True))


def test_no_growing_ramp_moves_a_treated_user_of_ours_and_the_peers_do() -> None:
    moved = flips(USERS, ramps=2, seed=3)

    assert moved["rampart"] == dict.fromkeys(ARMS, 0.0)
    for peer in moved.keys() - {"rampart"}:
        assert moved[peer][2] == 0
        assert all(moved[peer][arms] > 0 for arms in ARMS[1:])


def test_a_target_that_is_missed_is_named_with_its_figure() -> None:
    met = AT_LEAST | AT_MOST

    assert missed(met) == []
    assert missed(met | {"ours_over_mmh3": 0.4, "flipped_percent": 0.1}) == [
        "ours_over_mmh3 0.4 < 0.45",
        "flipped_percent 0.1 > 0",
    ]
