"""Which arm of an experiment a user is in. Pure arithmetic: the same on every machine, for ever."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from mmh3 import mmh3_32_uintdigest as hash32

from domain.errors import InvalidValue

SPACE = 2**32
CONTROL = 0  # the index of the control arm
ROUNDING = 1e-12  # a sum of shares this near to 1 is 1; more could not be told from a point's width

Span = tuple[int, int]  # half-open


def point(user_id: str, *, salt: int) -> int:
    """Return the user's fixed place in [0, SPACE).

    The salt, in [0, SPACE), keeps experiments independent: without it the same people would be the
    guinea pigs of every one.
    """
    try:
        return hash32(user_id.encode(), salt)
    except UnicodeEncodeError:  # a lone surrogate: mmh3 itself would crash the process on it
        return hash32(user_id.encode("utf-8", "surrogatepass"), salt)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Which intervals of [0, SPACE) each arm holds.

    Interval i is [starts[i], starts[i + 1]) and belongs to arm arms[i]; neighbours differ.
    """

    starts: tuple[int, ...]
    arms: tuple[int, ...]

    @classmethod
    def of(cls, shares: Sequence[float]) -> Self:
        """Return a fresh allocation, arm after arm, control first.

        Raises:
            InvalidValue: A share is negative or not finite, or all of them are 0.
        """
        return cls((0,), (CONTROL,)).reallocate(shares)

    def reallocate(self, shares: Sequence[float]) -> Self:
        """Return the allocation of the new shares that moves the fewest users.

        Shrinking arms give back what they got last; growing arms take it, control's first. An arm
        that does not shrink loses nobody, so nobody treated flips while their arm grows.

        Raises:
            InvalidValue: As for `of`, or an arm that holds space is given no share at all.
        """
        sizes = _sizes(shares)
        held = self._spans(len(sizes))
        freed: list[Span] = []
        for arm, size in enumerate(sizes):
            held[arm], given = _shrunk(held[arm], to=size, from_end=arm == CONTROL)
            freed += given
        for arm, size in enumerate(sizes):
            taken, freed = _split(freed, size - _length(held[arm]))
            held[arm] += taken
        return self._joined(held)

    def arm_of(self, place: int) -> int:
        """Return the arm that holds the place, which is in [0, SPACE)."""
        return self.arms[bisect_right(self.starts, place) - 1]

    def sizes(self, count: int = 0) -> tuple[int, ...]:
        """Return how much of the space each arm holds, for at least `count` arms."""
        return tuple(_length(spans) for spans in self._spans(max(count, max(self.arms) + 1)))

    def shares(self, count: int = 0) -> tuple[float, ...]:
        """Return each arm's part of all users, for at least `count` arms.

        The last arms may hold nothing and then leave no trace: the caller knows how many there are.
        """
        return tuple(size / SPACE for size in self.sizes(count))

    def _spans(self, count: int) -> list[list[Span]]:
        spans: list[list[Span]] = [[] for _ in range(count)]
        for start, end, arm in zip(self.starts, (*self.starts[1:], SPACE), self.arms, strict=True):
            if arm >= count:
                raise InvalidValue(f"{count} shares given, but arm {arm} holds users")
            spans[arm].append((start, end))
        return spans

    @classmethod
    def _joined(cls, held: Sequence[Sequence[Span]]) -> Self:
        pieces = sorted((start, arm) for arm, spans in enumerate(held) for start, _ in spans)
        before = [None, *(arm for _, arm in pieces)]
        kept = [piece for piece, arm in zip(pieces, before, strict=False) if piece[1] != arm]
        return cls(tuple(start for start, _ in kept), tuple(arm for _, arm in kept))


def _sizes(shares: Sequence[float]) -> list[int]:
    """Return whole sizes that sum to SPACE, within one point of exact.

    What rounding down leaves over is control's, so that a treatment's size depends on its own share
    alone and never falls when that rises; without a control it goes to the largest remainders.
    """
    exact = [share * SPACE for share in _normalised(shares)]
    sizes = [math.floor(size) for size in exact]
    left = SPACE - sum(sizes)
    if sizes[CONTROL]:
        sizes[CONTROL] += left
    else:
        for arm in sorted(range(len(sizes)), key=lambda arm: sizes[arm] - exact[arm])[:left]:
            sizes[arm] += 1
    return sizes


def _normalised(shares: Sequence[float]) -> list[Fraction]:
    if not all(math.isfinite(share) and share >= 0 for share in shares) or not any(shares):
        raise InvalidValue(f"shares must be >= 0 and finite, one above 0, got {list(shares)}")
    exact = [Fraction(share) for share in shares]
    total = sum(exact, start=Fraction())
    return exact if abs(total - 1) <= ROUNDING else [share / total for share in exact]


def _shrunk(spans: list[Span], *, to: int, from_end: bool) -> tuple[list[Span], list[Span]]:
    """Return what is kept and what is given back.

    Growing treatments take control's end, so it lies before what they had: giving back from the
    front, they lose their latest users first, and control is whole again.
    """
    if from_end:
        return _split(spans, to)
    given, kept = _split(spans, _length(spans) - to)
    return kept, given


def _split(spans: Sequence[Span], size: int) -> tuple[list[Span], list[Span]]:
    """Return the first `size` points of the spans, and the others."""
    first: list[Span] = []
    others: list[Span] = []
    for start, end in spans:
        cut = start + min(max(size, 0), end - start)
        size -= cut - start
        first += [(start, cut)] if cut > start else []
        others += [(cut, end)] if cut < end else []
    return first, others


def _length(spans: Sequence[Span]) -> int:
    return sum(end - start for start, end in spans)
