"""How the numbers of both arms are distributed: their histograms on one paper."""

import math
from collections.abc import Mapping
from itertools import pairwise

from markupsafe import Markup

from domain.stats.histogram import FLOOR, RATIO, Histogram, Levels
from pictures import scales
from pictures.canvas import BASELINE, CANDIDATE, FAINT, WIDTH, Canvas, short
from pictures.frame import LEFT, TOP
from pictures.scales import Scale
from pictures.thinning import Point

HEIGHT, BOTTOM, RIGHT = 262, 192.0, WIDTH - 30.0
BARS = 48  # about
LEFT_OUT = 0.0005  # of the observations, at either end, to show the others large
MARKED = (0.5, 0.95, 0.99)

Shares = Mapping[int, float]  # of the observations, by bar


def spread(  # an arm has a name and a histogram
    key: str, metric: str, candidate: Histogram, baseline: Histogram, *,
    names: tuple[str, str], unit: str = "",
) -> Markup:  # fmt: skip
    """Draw both arms' histograms over a logarithmic axis; of ratings, over their levels.

    Args:
        key: Tells the picture from every other one on a page.
        metric: What is measured.
        candidate: What `read_observed` or `read_cells` found of it.
        baseline: Likewise.
        names: The versions: the candidate's, then the baseline's.
        unit: Of the metric, `s`.
    """
    both = {CANDIDATE: (names[0], candidate), BASELINE: (names[1], baseline)}
    canvas = Canvas(f"spread-{key}", f"Distribution of {metric}", height=HEIGHT)
    whole = [candidate, baseline]
    if not any(histogram.counts for histogram in whole):
        canvas.text(LEFT, 60, f"nobody has reported {metric} yet", colour=FAINT)
        return canvas.svg(f"Nobody has reported {metric} yet.")
    bars = _Bars.over(whole)
    shares = {colour: bars.shares(histogram) for colour, (_, histogram) in both.items()}
    top = max(share for found in shares.values() for share in found.values())
    y = scales.linear([0, top], start=BOTTOM, end=TOP, say=scales.percent)
    _axes(canvas, bars, y, f"{metric}{f' ({unit})' if unit else ''}")
    for colour in (BASELINE, CANDIDATE):
        line = bars.outline(shares[colour], y)
        canvas.band(line, [(x, BOTTOM) for x, _ in line], colour)
        canvas.line(line, colour)
    _mark(canvas, bars, both)
    return canvas.svg(_said(metric, both, unit))


class _Bars:
    """Which buckets share a bar, and where it stands."""

    def __init__(self, low: int, high: int, *, kind: type[Histogram]) -> None:
        self._kind = kind
        self._low = low
        self._wide = 1 if kind is Levels else max(1, round((high - low + 1) / BARS))
        self.many = (high - low) // self._wide + 1
        self._high = low + self.many * self._wide - 1

    @classmethod
    def over(cls, histograms: list[Histogram]) -> "_Bars":
        whole = histograms[0].merge(histograms[1])
        kind = type(whole)
        if kind is Levels:
            return cls(min(1, *whole.counts), max(5, *whole.counts), kind=kind)
        ends = [whole.quantile(q) or 0.0 for q in (LEFT_OUT, 1 - LEFT_OUT)]
        low, high = (kind.bucket(value) for value in ends)
        return cls(low - 10, high + 10, kind=kind)  # 20 % beyond, so that both ends are seen

    def place(self, bucket: float) -> float:
        """Return where a bucket is on the paper."""
        part = (bucket - self._low) / (self._high + 1 - self._low)
        return LEFT + min(1.0, max(0.0, part)) * (RIGHT - LEFT)

    def at(self, value: float) -> float:
        """Return where a value is."""
        if self._kind is Levels:
            return self.place(value + 0.5)
        if value <= 0:
            return self.place(Histogram.bucket(value) + 0.5)
        return self.place(1 + math.log(value / FLOOR) / math.log(RATIO))

    def shares(self, histogram: Histogram) -> Shares:
        """Return which part of the observations is in each bar; the ends hold what is beyond."""
        n = sum(histogram.counts.values())
        found = dict.fromkeys(range(self.many), 0.0)
        for bucket, count in histogram.counts.items():
            bar = min(self.many - 1, max(0, (bucket - self._low) // self._wide))
            found[bar] += count / n
        return found

    def outline(self, shares: Shares, y: Scale) -> list[Point]:
        """Return the line over the bars."""
        line = [(LEFT, y(0))]
        for bar, share in sorted(shares.items()):
            left, right = (self.place(self._low + n * self._wide) for n in (bar, bar + 1))
            line += [(left, y(share)), (right, y(share))]
        return [*line, (RIGHT, y(0))]

    def ticks(self) -> tuple[scales.Tick, ...]:
        """Return the round values of the axis."""
        if self._kind is Levels:
            return tuple(
                scales.Tick(level, f"{level}") for level in range(self._low, self._high + 1)
            )
        if self._low <= 0:
            middles = range(self._low, self._high, max(1, (self._high - self._low) // 5))
            return tuple(scales.Tick(v, scales.figure(v)) for v in map(Histogram.middle, middles))
        low, high = (FLOOR * RATIO ** (end - 1) for end in (self._low, self._high + 1))
        return scales.logarithmic(low, high, start=LEFT, end=RIGHT, say=scales.figure).ticks


Both = Mapping[str, tuple[str, Histogram]]


def _axes(canvas: Canvas, bars: _Bars, y: Scale, title: str) -> None:
    for tick in y.ticks:
        at = y(tick.value)
        canvas.rule((LEFT, at), (RIGHT, at), width=0.75)
        canvas.text(LEFT - 8, at + 4, tick.label, colour=FAINT, anchor="end")
    canvas.rule((LEFT, BOTTOM), (RIGHT, BOTTOM), FAINT)
    for tick in bars.ticks():
        x = bars.at(tick.value)
        canvas.rule((x, BOTTOM), (x, BOTTOM + 4), FAINT)
        canvas.text(x, BOTTOM + 17, tick.label, colour=FAINT, anchor="middle")
    canvas.text(4, 13, f"share of observations, by {title}", colour=FAINT)


def _mark(canvas: Canvas, bars: _Bars, both: Both) -> None:
    """Mark the quantiles of both arms below the axis, and name the arms."""
    for row, (colour, (name, histogram)) in enumerate(both.items()):
        height = BOTTOM + 48 + 15 * row
        n = sum(histogram.counts.values())
        canvas.text(
            RIGHT,
            13 + 16 * row,
            f"{short(name)}: {n:,} observations",
            colour=colour,
            anchor="end",
            bold=True,
        )
        if isinstance(histogram, Levels):
            continue
        canvas.text(4, height + 4, short(name, 8), colour=colour)
        places = [
            (q, bars.at(value)) for q in MARKED if (value := histogram.quantile(q)) is not None
        ]
        for (_, one), (_, other) in pairwise(places):
            canvas.rule((one, height), (other, height), colour, width=1)
        for q, x in places:
            canvas.dot(
                x,
                height,
                colour,
                told=f"p{100 * q:g} of {name}: {scales.figure(histogram.quantile(q) or 0)}",
            )
        for q, x in places:
            if row == 0:
                canvas.text(x, height - 7, f"p{100 * q:g}", colour=FAINT, anchor="middle")


def _said(metric: str, both: Both, unit: str) -> str:
    told = []
    for name, histogram in both.values():
        values = [(q, histogram.quantile(q)) for q in MARKED]
        parts = [
            f"p{100 * q:g} {scales.figure(v)} {unit}".strip() for q, v in values if v is not None
        ]
        n = sum(histogram.counts.values())
        told.append(f"{name} {', '.join(parts)} of {n} observations" if n else f"{name} none")
    return f"How {metric} is distributed: {'; '.join(told)}."
