"""The rate of each arm over time, with bands that hold at every look."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from domain.evidence.looks import Judged
from domain.guardrail import Guardrail, GuardrailKind
from domain.record import Rollout
from domain.stats.intervals import rate_interval
from pictures import course, scales
from pictures.canvas import BAD, BASELINE, CANDIDATE, Canvas, short
from pictures.course import Seen
from pictures.frame import TOP, Frame, Name
from pictures.scales import Scale
from pictures.thinning import spread_out

HEIGHT, BOTTOM = 250, 214.0
MOST = 60  # looks with a band: each costs half a millisecond
LEAST = 0.02  # of a rate, from the lowest to the highest of the axis


class Look(NamedTuple):
    """One arm at one look: its rate, and the rates that are not refuted."""

    at: datetime
    n: int
    rate: float
    low: float
    high: float


Arm = list[list[Look]]  # stage by stage


def rates(
    rollout: Rollout, checks: Sequence[Judged], *, number: int, until: datetime | None = None
) -> Markup:
    """Draw both arms of guardrail `number` (from 0), one of a rate, stage by stage.

    Bands are at alpha / 2 each: where they do not touch, a difference is shown.

    Args:
        rollout: Whose.
        checks: Oldest first.
        number: Of the guardrail in the plan.
        until: Now, while it is live; by default its last check.
    """
    guardrail = rollout.plan.guardrails[number]
    sure = 1 - rollout.judging(rollout.plan).alpha / 2
    title = f"{guardrail.metric} of {rollout.candidate} and {rollout.baseline} over time"
    canvas = Canvas(f"rates-{number}-{rollout.id}", title, height=HEIGHT)
    frame = course.frame(canvas, rollout, checks, until=until, bottom=BOTTOM)
    found = course.seen(rollout, checks, number)
    few = spread_out(found, MOST, keep=lambda one: one.check.look.epoch)
    candidate, baseline = (
        _arm(few, treatment=treatment, alpha=1 - sure) for treatment in (True, False)
    )
    limits = [limit for one in course.alike(rollout, number) for limit in _limits(one)]
    y = _scale([*candidate, *baseline], limits)
    frame.axes(y, f"{guardrail.metric}, % of {course.unit(guardrail)} in the stage")
    frame.stages(course.spans(checks))
    names = [
        *_draw(frame, baseline, y, BASELINE, version=rollout.baseline),
        *_draw(frame, candidate, y, CANDIDATE, version=rollout.candidate),
    ]
    names += [frame.limit(y(at), f"{said} {scales.percent(at)}", BAD) for said, at in limits]
    frame.names(names)
    return canvas.svg(_said(rollout, guardrail, candidate, baseline, sure=sure))


def _arm(found: Sequence[Seen], *, treatment: bool, alpha: float) -> Arm:
    arms = [
        [_look(one, treatment=treatment, alpha=alpha) for one in s] for s in course.stretches(found)
    ]
    return [[look for look in looks if look] for looks in arms]


def _look(one: Seen, *, treatment: bool, alpha: float) -> Look | None:
    """Return what one look shows; nothing of an arm nobody was on, or that could not be read."""
    arm = one.sample.treatment if treatment else one.sample.control
    if not arm.n or one.sample.error:
        return None
    low, high = rate_interval(round(arm.mean * arm.n), arm.n, alpha=alpha)
    return Look(one.at, arm.n, arm.mean, low, high)


def _limits(guardrail: Guardrail) -> list[tuple[str, float]]:
    if guardrail.kind is GuardrailKind.LIMIT and guardrail.limit is not None:
        return [("limit", guardrail.limit)]
    if guardrail.kind is GuardrailKind.THRESHOLD:
        return [("floor", guardrail.floor_rate)]
    return [("floor", guardrail.floor)] if guardrail.floor is not None else []


def _scale(stretches: Arm, limits: Sequence[tuple[str, float]]) -> Scale:
    """Hold every rate, and of the bands what is left at the end of each stage."""
    values = [level for _, level in limits]
    for looks in stretches:
        values += [look.rate for look in looks]
        values += [end for look in looks[-1:] for end in (look.low, look.high)]
    return scales.linear(
        values or [0.0, 1.0], start=BOTTOM, end=TOP, say=scales.percent, least=LEAST, within=(0, 1)
    )


def _draw(frame: Frame, arm: Arm, y: Scale, colour: str, *, version: str) -> list[Name]:
    last: Look | None = None
    for looks in arm:
        xs = [frame.x(look.at) for look in looks]
        upper = [(x, y(look.high)) for x, look in zip(xs, looks, strict=True)]
        lower = [(x, y(look.low)) for x, look in zip(xs, looks, strict=True)]
        frame.canvas.band(upper, lower, colour)
        frame.canvas.line([(x, y(look.rate)) for x, look in zip(xs, looks, strict=True)], colour)
        last = looks[-1] if looks else last
    return (
        [Name(y(last.rate), f"{100 * last.rate:.1f} % {short(version, 11)}", colour)]
        if last
        else []
    )


def _said(
    rollout: Rollout, guardrail: Guardrail, candidate: Arm, baseline: Arm, *, sure: float
) -> str:
    """Return the picture in words."""
    told = [
        f"{version} ended at {_figures(arm, guardrail)}" if any(arm) else f"{version} had nobody"
        for version, arm in ((rollout.candidate, candidate), (rollout.baseline, baseline))
    ]
    return (
        f"Share of {course.unit(guardrail)} by stage, which begins anew at each ramp:"
        f" {'; '.join(told)}."
        f" Each band holds at all looks at once, at {100 * sure:.4g} %: where two do not touch,"
        " the difference is shown."
    )


def _figures(arm: Arm, guardrail: Guardrail) -> str:
    last = [look for looks in arm for look in looks][-1]
    return (
        f"{100 * last.rate:.1f} % of {last.n} {course.unit(guardrail)}"
        f" (band {100 * last.low:.1f} to {100 * last.high:.1f} %)"
    )
