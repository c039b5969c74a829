"""From values to places on paper, and which of them get a label. Pure arithmetic."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MINUTE, HOUR, DAY = 60, 3_600, 86_400
STEPS = (
    1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY,
    91 * DAY, 364 * DAY,
)  # fmt: skip
NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
FEW = 5  # ticks of an axis, about

UNITS = {"response_time": "s"}  # of metrics; the others say theirs by their names

Say = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Tick:
    """A value that gets a label."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Places values between two points of the paper; what is beyond is placed at its end.

    Attributes:
        low: The value at `start`; `high` that at `end`, both in units of the paper.
        log: Whether equal ratios, and not equal differences, are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    ticks: tuple[Tick, ...] = ()

    def __call__(self, value: float) -> float:
        """Return where a value is."""
        low, high, at = self._even(self.low), self._even(self.high), self._even(value)
        part = (at - low) / (high - low) if high > low else 0.0
        return self.start + min(1.0, max(0.0, part)) * (self.end - self.start)

    def _even(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value


def linear(
    values: Iterable[float], *, start: float, end: float, say: Say, least: float = 0.0,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Scale:  # fmt: skip
    """Return a scale that holds all values, from one tick to another.

    Args:
        values: At least one.
        start: Where the lowest is.
        end: And the highest.
        say: The label of a value.
        least: How much the scale has to hold at least, so that chance does not look like news.
        within: What no value can exceed.
    """
    found = [*values]
    low, high = min(found), max(found)
    if (missing := max(least, abs(high) * 1e-3, 1e-9) - (high - low)) > 0:
        low, high = low - missing / 2, high + missing / 2
    if low < within[0]:
        low, high = within[0], min(within[1], high + within[0] - low)
    if high > within[1]:
        low, high = max(within[0], low - (high - within[1])), within[1]
    step = _nice((high - low) / (FEW - 1))
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    marks = [number * step for number in range(first, last + 1)]
    ticks = tuple(Tick(mark, say(mark)) for mark in marks)
    return Scale(marks[0], marks[-1], start, end, ticks=ticks)


def logarithmic(low: float, high: float, *, start: float, end: float, say: Say) -> Scale:
    """Return a scale from low to high, 0 < low < high, with ticks at round numbers."""
    ticks = tuple(Tick(mark, say(mark)) for mark in _marks(low, high) if low <= mark <= high)
    return Scale(low, high, start, end, log=True, ticks=ticks)


def _marks(low: float, high: float) -> Iterator[float]:
    """Yield round numbers, some beyond the ends; where these are close, evenly spaced ones."""
    decades = math.log10(high / low)
    if decades < 0.7:
        step = _nice((high - low) / FEW)
        yield from (number * step for number in range(int(low / step), int(high / step) + 2))
        return
    digits = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
    stride = max(1, math.ceil(decades / (FEW + 1)))
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        if power % stride == 0:
            yield from (digit * 10.0**power for digit in digits)


def times(since: datetime, until: datetime, *, start: float, end: float) -> Scale:
    """Return a scale of instants, as seconds of the epoch; ticks are round in UTC."""
    low, high = since.timestamp(), max(until, since + timedelta(seconds=1)).timestamp()
    step = next((s for s in STEPS if (high - low) / s <= FEW + 1), STEPS[-1])
    ticks = tuple(_instants(low, high, step=step))
    return Scale(low, high, start, end, ticks=ticks)


def _instants(low: float, high: float, *, step: int) -> Iterator[Tick]:
    day = ""
    for number in range(math.ceil(low / step), math.floor(high / step) + 1):
        at = datetime.fromtimestamp(number * step, UTC)
        today = f"{at.day} {at:%b}"
        clock = f"{at:%H:%M:%S}" if step < MINUTE else f"{at:%H:%M}"
        if step >= DAY:
            yield Tick(number * step, today)
        else:
            yield Tick(number * step, clock if day in ("", today) else today)
        day = today


def days(since: datetime, until: datetime) -> str:
    """Return `26 Nov 2026`; of several days, whose ticks name them, `2026`, or `2026/27`."""
    first, last = since.astimezone(UTC), until.astimezone(UTC)
    if first.date() == last.date():
        return f"{last.day} {last:%b %Y}"
    return f"{last.year}" if first.year == last.year else f"{first.year}/{last:%y}"


def percent(value: float) -> str:
    """Return `2.5 %` for 0.025."""
    return f"{100 * value:.10g} %".replace("-", "−")


def points(value: float) -> str:
    """Return `+2.5` for 0.025: percentage points."""
    return f"{100 * value:+.10g}".replace("-", "−") if abs(value) > 1e-12 else "0"


def figure(value: float) -> str:
    """Return three digits: `1.23`, `12,300`, `0.004`."""
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.2g}"
    size = math.floor(math.log10(abs(value))) if value else 0
    return f"{round(value, 2 - size):,.10g}".replace("-", "−")


def rounded(value: float) -> float:
    """Return three digits of it."""
    return float(f"{value:.3g}")


def _nice(least: float) -> float:
    """Return the smallest round number that is not below `least`."""
    size = 10.0 ** math.floor(math.log10(least))
    return next(nice * size for nice in NICE if nice * size >= least * (1 - 1e-9))
