"""Fewer points that draw the same line: no peak, no trough and no step is lost."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Point = tuple[float, float]
T = TypeVar("T")

COLUMNS = 90  # of the paper, in each of which a line needs at most four points


def thinned(points: Sequence[Point], *, width: float) -> list[Point]:
    """Return what of a line can be seen, from the left to the right of a paper `width` wide.

    The first, lowest, highest and last point of each column: Jugel, Jerzak, Hackenbroich & Markl,
    "M4", Proceedings of the VLDB Endowment 7 (2014).
    """
    if len(points) <= COLUMNS:
        return [*points]
    return [points[number] for number in _kept(points, width=width)]


def spread_out(items: Sequence[T], most: int, *, keep: Callable[[T], object]) -> list[T]:
    """Return at most `most` evenly chosen items, and those that begin or end what `keep` tells."""
    stride = max(1, -(-len(items) // most))
    last = len(items) - 1
    return [
        item
        for number, item in enumerate(items)
        if number % stride == 0
        or number == last
        or keep(item) != keep(items[number - 1])
        or keep(item) != keep(items[number + 1])
    ]


def _kept(points: Sequence[Point], *, width: float) -> Iterator[int]:
    left = points[0][0]
    columns: dict[int, list[int]] = {}
    for number, (x, _) in enumerate(points):
        columns.setdefault(int((x - left) / width * COLUMNS), []).append(number)
    for numbers in columns.values():
        lowest = min(numbers, key=lambda n: points[n][1])
        highest = max(numbers, key=lambda n: points[n][1])
        yield from sorted({numbers[0], lowest, highest, numbers[-1]})
