"""Whether users reach the arms in the shares they should, over time."""

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from markupsafe import Markup

from domain.evidence.looks import Judged
from domain.evidence.weighing import MISMATCH_ALPHA, strength
from domain.record import Rollout
from domain.stats.intervals import rate_interval
from pictures import course, scales
from pictures.canvas import BAD, CANDIDATE, FAINT, INK, Canvas
from pictures.frame import LEFT, RIGHT, TOP, Name
from pictures.thinning import spread_out

HEIGHT, BOTTOM = 220, 184.0
MOST = 60
LEAST = 0.02


class Off(NamedTuple):
    """How far from what it should be the candidate's share is, and what is not refuted."""

    at: datetime
    off: float
    low: float
    high: float


def split(rollout: Rollout, checks: Sequence[Judged], *, until: datetime | None = None) -> Markup:
    """Draw how far the candidate's share of users is from the one it should have.

    The band holds at all looks at once, at the level of the test of the split.

    Args:
        rollout: Whose.
        checks: Oldest first; those where nobody told who was served say nothing.
        until: Now, while it is live; by default its last check.
    """
    title = f"Split of users between {rollout.candidate} and {rollout.baseline}"
    canvas = Canvas(f"split-{rollout.id}", title, height=HEIGHT)
    frame = course.frame(canvas, rollout, checks, until=until, bottom=BOTTOM)
    told = [check for check in checks if sum(check.look.exposures)]
    few = spread_out(told, MOST, keep=lambda check: check.look.epoch)
    stages = [[_off(c) for c in group] for _, group in groupby(few, key=lambda c: c.look.epoch)]
    values = [0.0, *(one.off for looks in stages for one in looks)]
    values += [end for looks in stages for end in (looks[-1].low, looks[-1].high)]
    y = scales.linear(values, start=BOTTOM, end=TOP, say=scales.points, least=LEAST, within=(-1, 1))
    frame.axes(y, f"share of {rollout.candidate} minus the share it should have, points")
    frame.stages(course.spans(checks))
    canvas.rule((LEFT, y(0)), (RIGHT, y(0)), INK, width=1)
    names = [Name(y(0), "as it should be", FAINT)]
    for looks in stages:
        xs = [frame.x(one.at) for one in looks]
        ys = [(y(one.high), y(one.low), y(one.off)) for one in looks]
        upper, lower, line = ([*zip(xs, column, strict=True)] for column in zip(*ys, strict=True))
        canvas.band(upper, lower, CANDIDATE)
        canvas.line(line, CANDIDATE)
    if told:
        off = _off(told[-1]).off
        names.append(Name(y(off), f"{scales.points(round(off, 4))} now", CANDIDATE))
    if checks and checks[-1].evidence.log_mismatch >= -math.log(MISMATCH_ALPHA):
        names.append(Name(frame.top, "sure to be wrong", BAD))
    frame.names(names)
    return canvas.svg(_said(rollout, checks, told))


def _off(check: Judged) -> Off:
    mine, theirs = check.look.exposures
    low, high = rate_interval(mine, mine + theirs, alpha=MISMATCH_ALPHA)
    should = check.look.share
    return Off(check.look.at, mine / (mine + theirs) - should, low - should, high - should)


def _said(rollout: Rollout, checks: Sequence[Judged], told: Sequence[Judged]) -> str:
    """Return the picture in words."""
    if not told:
        return "Not recorded: nobody told who was served."
    mine, theirs = told[-1].look.exposures
    return (
        f"In the last stage {mine} of {mine + theirs} users ({100 * mine / (mine + theirs):.1f} %)"
        f" got {rollout.candidate}; {100 * told[-1].look.share:.4g} % should. Evidence of a wrong"
        f" split, over all stages: {strength(checks[-1].evidence.log_mismatch)};"
        f" {1 / MISMATCH_ALPHA:g} is enough."
    )
