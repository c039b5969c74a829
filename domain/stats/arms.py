"""The best of several arms, asked once, at the end of an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

from domain.errors import InvalidValue
from domain.stats.significance import Rate, Significance, compare_rates


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmComparison:
    """One arm against control.

    Attributes:
        against_control: Control is its A, the arm its B. Not adjusted for the number of arms.
        adjusted_p: Its p-value by Holm over all pairs of arms.
    """

    arm: str
    against_control: Significance
    adjusted_p: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmsResult:
    """The answer on all arms.

    Attributes:
        winner: The arm, control or not, that beats every other one significantly; else None.
        comparisons: Of every arm but control, in the order given.
    """

    winner: str | None
    comparisons: tuple[ArmComparison, ...]


def best_arm(rates: Mapping[str, Rate], *, control: str, alpha: float = 0.05) -> ArmsResult:
    """Compare every pair of arms, and name the one that beats all others.

    The chance that any two equal arms are called different, and so that one of several equally good
    arms wins, is at most alpha: Holm over all pairs.

    Args:
        rates: By arm, at least two.
        control: One of the arms.
        alpha: Of all comparisons together, in (0, 1).

    Raises:
        InvalidValue: Fewer than two arms, an unknown control, or as `compare_rates`.
    """
    if len(rates) < 2 or control not in rates:
        raise InvalidValue(f"control {control!r} and another arm are needed, got {sorted(rates)}")
    arms = [control, *(arm for arm in rates if arm != control)]
    pairs = list(combinations(arms, 2))
    found = [compare_rates(rates[a], rates[b], alpha=alpha) for a, b in pairs]
    adjusted = holm([comparison.p_value for comparison in found])
    beaten = {
        (a, b) if comparison.winner == "A" else (b, a)
        for (a, b), comparison, p in zip(pairs, found, adjusted, strict=True)
        if p < alpha
    }
    winners = (arm for arm in arms if {(arm, other) for other in arms if other != arm} <= beaten)
    return ArmsResult(
        winner=next(winners, None),
        comparisons=tuple(
            ArmComparison(arm=b, against_control=comparison, adjusted_p=p)
            for (a, b), comparison, p in zip(pairs, found, adjusted, strict=True)
            if a == control
        ),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return the p-values adjusted for their number, in the order given.

    Holm, Scandinavian Journal of Statistics 6 (1979): rejecting those below alpha, the chance of
    any false rejection is at most alpha.

    Args:
        p_values: In [0, 1].

    Raises:
        InvalidValue: A p-value that is not.
    """
    if not all(0 <= p <= 1 for p in p_values):
        raise InvalidValue(f"p-values must be between 0 and 1, got {list(p_values)}")
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    steps = [min(1.0, p_values[i] * (len(order) - rank)) for rank, i in enumerate(order)]
    adjusted = dict(zip(order, accumulate(steps, max), strict=True))
    return tuple(adjusted[i] for i in range(len(p_values)))
