"""How a number is distributed in each arm over time: its median and its tail."""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup

from domain.evidence.looks import Arm, Judged
from domain.guardrail import RATING, Guardrail
from domain.record import Rollout
from pictures import course, scales
from pictures.canvas import BAD, BASELINE, CANDIDATE, Canvas, short
from pictures.course import Seen
from pictures.frame import TOP, Frame, Name
from pictures.scales import Scale

HEIGHT, BOTTOM = 260, 224.0
FIGURES = {"p50": 1.25, "p95": 2.25, "p99": 1.25}  # and how wide their lines are
DASHES = {"p99": "2 2"}


def numbers(
    rollout: Rollout, checks: Sequence[Judged], *, number: int, until: datetime | None = None
) -> Markup:
    """Draw p50, p95 and p99 of guardrail `number` (from 0), stage by stage; of ratings the mean.

    Args:
        rollout: Whose.
        checks: Oldest first.
        number: Of the guardrail in the plan; one that is not of a rate.
        until: Now, while it is live; by default its last check.
    """
    guardrail = rollout.plan.guardrails[number]
    title = f"{guardrail.metric} of {rollout.candidate} and {rollout.baseline} over time"
    canvas = Canvas(f"numbers-{number}-{rollout.id}", title, height=HEIGHT)
    frame = course.frame(canvas, rollout, checks, until=until, bottom=BOTTOM)
    found = course.seen(rollout, checks, number)
    shown = figures(guardrail)
    limits = [one.limit for one in course.alike(rollout, number) if one.limit is not None]
    y = _scale(found, shown, limits)
    unit = f" ({unit})" if (unit := scales.UNITS.get(guardrail.metric)) else ""
    whose = f"{course.unit(guardrail)} in the stage"
    frame.axes(y, f"{guardrail.metric}{unit}, {' '.join(shown)} of {whose}")
    frame.stages(course.spans(checks))
    names = []
    for version, colour, treatment in (
        (rollout.baseline, BASELINE, False),
        (rollout.candidate, CANDIDATE, True),
    ):
        for figure in shown:
            last = _draw(frame, found, y, figure=figure, colour=colour, treatment=treatment)
            if last is not None:
                whose = short(version, 8) if figure == shown[-1] else ""
                said = f"{figure} {scales.figure(last)} {whose}".strip()
                names.append(Name(y(last), said, colour))
    names += [frame.limit(y(at), f"limit {scales.figure(at)}", BAD) for at in limits]
    frame.names(names)
    return canvas.svg(_said(rollout, guardrail, found))


def figures(guardrail: Guardrail) -> tuple[str, ...]:
    """Return what is shown of a number: a few levels have no quantiles."""
    return ("mean",) if guardrail.metric == RATING else tuple(FIGURES)


def of(arm: Arm, figure: str) -> float | None:
    """Return a figure of an arm; None without observations."""
    value = getattr(arm, figure) if arm.n else None
    return float(value) if value is not None else None


def _arm(one: Seen, *, treatment: bool) -> Arm:
    if one.sample.error:
        return Arm()
    return one.sample.treatment if treatment else one.sample.control


def _scale(found: Sequence[Seen], shown: Sequence[str], limits: Sequence[float]) -> Scale:
    both = [(_arm(one, treatment=treatment)) for one in found for treatment in (True, False)]
    values = [value for arm in both for figure in shown if (value := of(arm, figure)) is not None]
    values += limits
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high > 3 * low:
        return scales.logarithmic(low / 1.15, high * 1.15, start=BOTTOM, end=TOP, say=scales.figure)
    return scales.linear([low, high], start=BOTTOM, end=TOP, say=scales.figure, least=high / 10)


def _draw(  # a line has no fewer parts
    frame: Frame, found: Sequence[Seen], y: Scale, *, figure: str, colour: str, treatment: bool
) -> float | None:
    """Draw one figure of one arm, and return it as it was last."""
    last: float | None = None
    for stretch in course.stretches(found):
        line = [
            (frame.x(one.at), value)
            for one in stretch
            if (value := of(_arm(one, treatment=treatment), figure)) is not None
        ]
        places = [(x, y(value)) for x, value in line]
        width, dash = FIGURES.get(figure, 2.0), DASHES.get(figure, "")
        frame.line(places, colour, width=width, dash=dash)
        last = line[-1][1] if line else last
    return last


def _said(rollout: Rollout, guardrail: Guardrail, found: Sequence[Seen]) -> str:
    """Return the picture in words."""
    unit, told = scales.UNITS.get(guardrail.metric, ""), []
    for version, treatment in ((rollout.candidate, True), (rollout.baseline, False)):
        arms = [arm for one in found if (arm := _arm(one, treatment=treatment)).n]
        parts = [
            f"{figure} {scales.figure(value)} {unit}".strip()
            for figure in figures(guardrail)
            if arms and (value := of(arms[-1], figure)) is not None
        ]
        many = f" of {arms[-1].n} {course.unit(guardrail)}" if arms else ""
        told.append(f"{version} {', '.join(parts) or 'had nothing'}{many}")
    anew = "by stage, which begins anew at each ramp"
    return f"{guardrail.metric} {anew}. At the end: {'; '.join(told)}."
