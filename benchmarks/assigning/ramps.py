"""Whom a growing ramp moves: of those treated already, how many end up in another arm.

Shares of the treatments grow from step to step, none ever shrinks; so nobody who is treated has to
move. Every contender is given the same shares, as its users would write them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random

from growthbook import Experiment, GrowthBook
from yggdrasil_engine.engine import UnleashEngine  # type: ignore[import-untyped]

from domain.assignment import CONTROL, Allocation, point

Arms = list[int]  # of each user
Shares = list[float]  # of each arm, control first
Ramp = Callable[[Sequence[Shares], Sequence[str]], Iterator[Arms]]

ARMS = (2, 3, 4, 5)
TREATED = (0.02, 0.1, 0.3, 0.6, 0.9)  # of all users, in each step
SALT, FLAG = 20_260_101, "greeting.system"


def flips(users: Sequence[str], *, ramps: int, seed: int) -> dict[str, dict[int, float]]:
    """Return, by contender and number of arms, the percent of treated users that were moved."""
    chance = Random(seed)  # noqa: S311  # reproducible, and guards no secret
    plans = {arms: [growing(arms, chance) for _ in range(ramps)] for arms in ARMS}
    contenders = {
        "rampart": _ours,
        "growthbook, by weights": _weights,
        "growthbook, by coverage": _coverage,
        "unleash": _unleash,
    }
    return {
        name: {arms: _percent(ramp, plans[arms], users) for arms in ARMS}
        for name, ramp in contenders.items()
    }


def growing(arms: int, chance: Random) -> list[Shares]:
    """Return the shares of each step: at every one, each treatment gets some more."""
    shares, steps, before = [0.0] * (arms - 1), [], 0.0
    for treated in TREATED:
        parts = [chance.random() for _ in shares]
        grown = (treated - before) / sum(parts)
        shares = [share + part * grown for share, part in zip(shares, parts, strict=True)]
        steps.append([1 - sum(shares), *shares])
        before = treated
    return steps


def _percent(ramp: Ramp, plans: Sequence[Sequence[Shares]], users: Sequence[str]) -> float:
    moved = treated = 0
    for plan in plans:
        steps = [*ramp(plan, users)]
        for before, after in pairwise(steps):
            pairs = [pair for pair in zip(before, after, strict=True) if pair[0] != CONTROL]
            treated += len(pairs)
            moved += sum(was != now for was, now in pairs)
    return round(100 * moved / treated, 2)


def _ours(plan: Sequence[Shares], users: Sequence[str]) -> Iterator[Arms]:
    places = [point(user, salt=SALT) for user in users]
    allocation = Allocation((0,), (CONTROL,))
    for shares in plan:
        allocation = allocation.reallocate(shares)
        yield [allocation.arm_of(place) for place in places]


def _weights(plan: Sequence[Shares], users: Sequence[str]) -> Iterator[Arms]:
    """Everybody is in the experiment, and control's weight falls."""
    for shares in plan:
        arms = [*range(len(shares))]
        yield _run(Experiment(FLAG, arms, weights=shares, seed=FLAG, hashVersion=2), users)


def _coverage(plan: Sequence[Shares], users: Sequence[str]) -> Iterator[Arms]:
    """Treatments alone are in the experiment, and it covers ever more users."""
    for shares in plan:
        treated = sum(shares[1:])
        weights = [share / treated for share in shares[1:]]
        arms = [*range(1, len(shares))] if len(shares) > 2 else [1, 1]
        even = weights if len(shares) > 2 else [0.5, 0.5]  # it wants two at least
        experiment = Experiment(FLAG, arms, weights=even, coverage=treated, seed=FLAG)
        yield _run(experiment, users)


def _run(experiment: Experiment[int], users: Sequence[str]) -> Arms:
    growthbook, arms = GrowthBook(), []
    for user in users:
        growthbook.set_attributes({"id": user})
        result = growthbook.run(experiment)
        arms.append(result.value if result.inExperiment else CONTROL)
    return arms


def _unleash(plan: Sequence[Shares], users: Sequence[str]) -> Iterator[Arms]:
    engine = UnleashEngine()
    for shares in plan:
        engine.take_state(json.dumps({"version": 1, "features": [_feature(shares)]}))
        yield [int(engine.get_variant(FLAG, {"userId": user}).variant.name) for user in users]


def _feature(shares: Shares) -> dict[str, object]:
    """Return the flag of one step; Unleash's weights are thousandths."""
    strategy = {
        "name": "flexibleRollout",
        "parameters": {"rollout": "100", "stickiness": "userId", "groupId": FLAG},
    }
    variants = [
        {
            "name": str(arm),
            "weight": round(1000 * share),
            "stickiness": "userId",
            "weightType": "variable",
        }
        for arm, share in enumerate(shares)
    ]
    return {"name": FLAG, "enabled": True, "strategies": [strategy], "variants": variants}
