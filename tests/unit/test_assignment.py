"""domain.assignment: pure, so tested by properties; and by vectors, for ever."""

import json
import math
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.assignment import CONTROL, SPACE, Allocation, point
from domain.errors import InvalidValue

USERS = [f"user-{n}" for n in range(20_000)]
POINTS = [point(user, salt=1) for user in USERS]
VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "assignment.json").read_text())

weights = st.integers(min_value=0, max_value=10_000)


def shares_of(arms: int) -> st.SearchStrategy[list[float]]:
    some = st.lists(weights, min_size=arms, max_size=arms).filter(any)
    return some.map(lambda grains: [grain / sum(grains) for grain in grains])


@st.composite
def walks(draw: st.DrawFn) -> list[list[float]]:
    """Arbitrary shares of 2 to 6 arms, one after another."""
    arms = draw(st.integers(min_value=2, max_value=6))
    return draw(st.lists(shares_of(arms), min_size=2, max_size=6))


@st.composite
def ramps(draw: st.DrawFn) -> list[list[float]]:
    """Shares of 2 to 6 arms, in 0.01 % grains, in which no treatment ever shrinks."""
    arms = draw(st.integers(min_value=1, max_value=5))
    growth = st.lists(st.integers(0, 10_000 // (4 * arms)), min_size=arms, max_size=arms)
    treated = [0] * arms
    steps = []
    for more in draw(st.lists(growth, min_size=2, max_size=4)):
        treated = [now + gain for now, gain in zip(treated, more, strict=True)]
        steps.append([(10_000 - sum(treated)) / 10_000, *(now / 10_000 for now in treated)])
    return steps


def allocations(steps: list[list[float]]) -> list[Allocation]:
    found = [Allocation.of(steps[0])]
    for shares in steps[1:]:
        found.append(found[-1].reallocate(shares))
    return found


def moved(before: Allocation, after: Allocation) -> int:
    """How much of the space changed its arm."""
    edges = sorted({*before.starts, *after.starts, SPACE})
    flips = (
        end - start for start, end in pairwise(edges) if before.arm_of(start) != after.arm_of(start)
    )
    return sum(flips)


def lost(before: Allocation, after: Allocation, *, arm: int) -> bool:
    """Whether any place the arm held is another's now."""
    edges = sorted({*before.starts, *after.starts})
    return any(before.arm_of(edge) == arm != after.arm_of(edge) for edge in edges)


@pytest.mark.guarantee(12)
@given(ramps())
def test_nobody_treated_flips_while_the_arms_grow(steps: list[list[float]]) -> None:
    stages = allocations(steps)

    for before, after in pairwise(stages):
        assert not any(lost(before, after, arm=arm) for arm in range(1, len(steps[0])))


@pytest.mark.guarantee(12)
@given(walks())
def test_an_arm_that_does_not_shrink_loses_nobody(steps: list[list[float]]) -> None:
    for before, after in pairwise(allocations(steps)):
        sizes = zip(before.sizes(6), after.sizes(6), strict=True)
        not_shrunk = [arm for arm, (old, new) in enumerate(sizes) if new >= old]

        assert not any(lost(before, after, arm=arm) for arm in not_shrunk)


@given(walks())
def test_no_more_moves_than_the_shrinking_arms_give_back(steps: list[list[float]]) -> None:
    for before, after in pairwise(allocations(steps)):
        sizes = zip(before.sizes(6), after.sizes(6), strict=True)

        assert moved(before, after) == sum(max(old - new, 0) for old, new in sizes)


@given(walks())
def test_intervals_cover_the_space_and_neighbours_differ(steps: list[list[float]]) -> None:
    for shares, found in zip(steps, allocations(steps), strict=True):
        assert found.starts[0] == 0
        assert all(a < b for a, b in pairwise((*found.starts, SPACE)))
        assert all(a != b for a, b in pairwise(found.arms))
        assert sum(found.sizes(len(shares))) == SPACE


@given(walks())
def test_every_share_is_exact_to_a_few_points_of_four_billion(steps: list[list[float]]) -> None:
    for shares, found in zip(steps, allocations(steps), strict=True):
        wanted = [share * SPACE for share in shares]

        assert found.sizes(len(shares)) == pytest.approx(wanted, abs=len(shares))
        assert all(
            size == 0 for size, share in zip(found.sizes(6), shares, strict=False) if not share
        )


def test_growing_arms_take_from_control_before_they_take_from_a_shrinking_arm() -> None:
    before = Allocation.of([0.5, 0.3, 0.2, 0.0])

    after = before.reallocate([0.3, 0.2, 0.4, 0.1])

    from_control = [p for p in POINTS if before.arm_of(p) == CONTROL != after.arm_of(p)]
    assert {after.arm_of(p) for p in from_control} == {2}


def test_ramping_down_again_gives_back_the_latest_users_first() -> None:
    first = Allocation.of([0.8, 0.1, 0.1])

    assert first.reallocate([0.4, 0.3, 0.3]).reallocate([0.8, 0.1, 0.1]) == first


def test_the_same_shares_again_move_nobody() -> None:
    found = Allocation.of([1 / 3, 1 / 3, 1 / 3])

    assert found.reallocate([1 / 3, 1 / 3, 1 / 3]) == found


def test_arms_without_a_share_are_known_to_the_caller_alone() -> None:
    found = Allocation.of([1.0, 0.0, 0.0])

    assert (found.starts, found.arms) == ((0,), (0,))
    assert found.shares(3) == (1.0, 0.0, 0.0)
    assert found.reallocate([0.0, 0.0, 1.0]).shares() == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("shares", [[0.5, -0.5], [0.0, 0.0], [], [math.nan, 1.0], [math.inf, 1.0]])
def test_shares_that_are_none_are_refused(shares: list[float]) -> None:
    with pytest.raises(InvalidValue, match="shares must be"):
        Allocation.of(shares)


def test_an_arm_that_holds_users_cannot_be_forgotten() -> None:
    with pytest.raises(InvalidValue, match="arm 2 holds users"):
        Allocation.of([0.5, 0.3, 0.2]).reallocate([0.5, 0.5])


@pytest.mark.parametrize("shares", [[0.9, 0.1], [0.5, 0.5], [0.33, 0.33, 0.34], [0.999, 0.001]])
def test_users_spread_as_the_shares_say(shares: list[float]) -> None:
    found = Allocation.of(shares)

    for arm, share in enumerate(shares):
        users = sum(found.arm_of(p) == arm for p in POINTS)
        deviation = math.sqrt(len(USERS) * share * (1 - share))
        assert abs(users - len(USERS) * share) < 4 * deviation


def test_experiments_draw_independent_samples() -> None:
    chosen = [{user for user in USERS if point(user, salt=salt) < SPACE // 2} for salt in range(5)]

    for one, other in combinations(chosen, 2):
        assert len(one & other) / len(USERS) == pytest.approx(0.25, abs=0.015)


def test_any_text_has_a_place() -> None:
    for user in ("", "\x00", "\ud800", "é", "🎛️", "a" * 100_000):
        assert 0 <= point(user, salt=SPACE - 1) < SPACE


@pytest.mark.guarantee(12)
@pytest.mark.parametrize("vector", VECTORS["points"])
def test_a_user_keeps_the_place_for_ever(vector: dict[str, object]) -> None:
    assert point(str(vector["user_id"]), salt=int(str(vector["salt"]))) == vector["point"]


def test_a_ramp_keeps_its_intervals_for_ever() -> None:
    found = allocations([step["shares"] for step in VECTORS["ramp"]])

    assert [list(a.starts) for a in found] == [step["starts"] for step in VECTORS["ramp"]]
    assert [list(a.arms) for a in found] == [step["arms"] for step in VECTORS["ramp"]]
