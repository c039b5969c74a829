"""The paper of a picture over time: its axes, the stages above it, the names of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pictures import scales
from pictures.canvas import FAINT, LETTER, LINE, SIZE, WIDTH, Canvas, short
from pictures.scales import Scale
from pictures.thinning import Point, thinned

LEFT, RIGHT = 58.0, WIDTH - 146.0  # of the plot: the same for all, so that one stands above another
TOP = 38.0
GAP = 14.0  # between two names of lines


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the time, and its name: a stage.

    Attributes:
        since: When it began.
        name: `10 %`.
    """

    since: datetime
    name: str


@dataclass(frozen=True, slots=True)
class Name:
    """What is written where a line ends."""

    y: float
    said: str
    colour: str


class Frame:
    """A plot over time on a canvas."""

    def __init__(
        self, canvas: Canvas, since: datetime, until: datetime, *, bottom: float, top: float = TOP
    ) -> None:
        self.canvas, self.top, self.bottom = canvas, top, bottom
        self._since, self._until = since, until
        self._x = scales.times(since, until, start=LEFT, end=RIGHT)

    def x(self, at: datetime) -> float:
        """Return where an instant is."""
        return self._x(at.timestamp())

    def axes(self, y: Scale, title: str = "") -> None:
        """Draw both axes; the vertical one's name stands above it."""
        canvas = self.canvas
        for tick in y.ticks:
            at = y(tick.value)
            canvas.rule((LEFT, at), (RIGHT, at), width=0.75)
            canvas.text(LEFT - 8, at + 4, tick.label, colour=FAINT, anchor="end")
        self.clock()
        if title:
            canvas.text(4, 13, title, colour=FAINT)

    def clock(self) -> None:
        """Draw the axis of time."""
        canvas, base = self.canvas, self.bottom
        canvas.rule((LEFT, base), (RIGHT, base), FAINT)
        for tick in self._x.ticks:
            at = self._x(tick.value)
            canvas.rule((at, base), (at, base + 4), FAINT)
            canvas.text(at, base + 17, tick.label, colour=FAINT, anchor="middle")
        said = f"{scales.days(self._since, self._until)}, UTC"
        canvas.text(WIDTH - 4, base + 17, said, colour=FAINT, anchor="end")

    def stages(self, spans: Sequence[Span]) -> None:
        """Draw where stages begin; names that would stand on one another are left out."""
        free = LEFT - 1
        for span in spans:
            at = self.x(span.since)
            self.canvas.rule((at, self.top - 4), (at, self.bottom), LINE, dash="2 3")
            if at >= free:
                self.canvas.text(at + 3, self.top - 5, span.name, colour=FAINT)
                free = at + 12 + LETTER * len(span.name)

    def line(
        self, points: Sequence[Point], colour: str, *, width: float = 1.75, dash: str = ""
    ) -> None:
        """Draw a line of places on the paper, without those nobody could tell."""
        found = thinned(points, width=RIGHT - LEFT)
        self.canvas.line(found, colour, width=width, dash=dash)

    def limit(self, y: float, said: str, colour: str) -> Name:
        """Draw what must not be crossed, and return its name."""
        self.canvas.rule((LEFT, y), (RIGHT, y), colour, width=1.25, dash="5 3")
        return Name(y, said, colour)

    def names(self, names: Sequence[Name]) -> None:
        """Write the names of lines at their right ends, none on another."""
        highest, lowest = self.top + 4, self.bottom
        ordered = sorted(names, key=lambda name: name.y)
        places = _apart([name.y for name in ordered], highest, lowest)
        for y, name in zip(places, ordered, strict=True):
            self.canvas.text(RIGHT + 7, y + SIZE / 3, short(name.said, 19), colour=name.colour)


def _apart(ys: Sequence[float], highest: float, lowest: float) -> list[float]:
    """Move heights, sorted, as little as needed for a gap between any two."""
    found: list[float] = []
    for y in ys:
        found.append(max(y, highest, found[-1] + GAP if found else highest))
    limit = lowest
    for number in range(len(found) - 1, -1, -1):
        found[number] = min(found[number], limit)
        limit = found[number] - GAP
    return found
