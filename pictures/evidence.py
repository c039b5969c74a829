"""The evidence of a rollout over time, towards where it is enough."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from domain.evidence.looks import Judged
from domain.evidence.weighing import strength
from domain.guardrail import GuardrailKind
from domain.policy import Policy
from domain.record import Rollout
from pictures import course, scales
from pictures.canvas import BAD, DASHES, FAINT, GOOD, INK, Canvas
from pictures.course import Seen
from pictures.frame import TOP, Frame, Name
from pictures.scales import Scale

HEIGHT, BOTTOM = 250, 214.0
LEAST, MOST = math.log(1e-2), math.log(1e9)  # what is drawn of a log e-value


class Line(NamedTuple):
    """A log e-value over time."""

    name: str
    points: list[tuple[datetime, float]]
    colour: str = INK
    width: float = 1.5
    dash: str = ""


def harm(rollout: Rollout, checks: Sequence[Judged], *, until: datetime | None = None) -> Markup:
    """Draw the evidence of harm: of all guardrails together, and the part of each.

    A part is the guardrail's evidence times its share of alpha; the parts sum to the whole. Of a
    guardrail without a share, all of its evidence is drawn, faint: it never rolls back.

    Args:
        rollout: Whose.
        checks: Oldest first.
        until: Now, while it is live; by default its last check.
    """
    policy = _policy(rollout)
    parts = [
        line for n in range(len(policy.guardrails)) if (line := _part(rollout, policy, checks, n))
    ]
    acting = [line for line in parts if line.colour == INK]
    if len(acting) == 1:
        parts = [
            line._replace(width=2.5, dash="") if line.colour == INK else line for line in parts
        ]
    elif acting:
        parts.append(Line("together", [(c.look.at, c.evidence.log_e) for c in checks], width=2.5))
    said = (
        f"How many times likelier what was seen is with harm than without any; {1 / policy.alpha:g}"
        f" rolls back. {ends(parts)}"
    )
    canvas = Canvas(f"harm-{rollout.id}", f"Evidence of harm by {rollout.candidate}", height=HEIGHT)
    title = "evidence of harm: times likelier than without (log scale)"
    frame = course.frame(canvas, rollout, checks, until=until, bottom=BOTTOM)
    frame.stages(course.spans(checks))
    draw(frame, parts, enough=-math.log(policy.alpha), title=title, end=("rolls back", BAD))
    return canvas.svg(said)


def safety(rollout: Rollout, checks: Sequence[Judged], *, until: datetime | None = None) -> Markup:
    """Draw each guardrail's evidence that the candidate is within its margin.

    Args:
        rollout: Whose.
        checks: Oldest first.
        until: Now, while it is live; by default its last check.
    """
    policy = _policy(rollout)
    lines = [
        Line(
            guardrail.name,
            [(one.at, one.trail.log_safe) for one in course.seen(rollout, checks, number)],
            dash=DASHES[number % len(DASHES)],
        )
        for number, guardrail in enumerate(policy.guardrails)
        if guardrail.kind is not GuardrailKind.THRESHOLD
    ]
    said = (
        f"How many times likelier what was seen is within the margin than beyond it;"
        f" {1 / policy.alpha:g} shows it. {ends(lines)}"
    )
    canvas = Canvas(
        f"safety-{rollout.id}", f"Evidence that {rollout.candidate} is safe", height=HEIGHT
    )
    title = "evidence of safety: times likelier than beyond the margin (log scale)"
    frame = course.frame(canvas, rollout, checks, until=until, bottom=BOTTOM)
    frame.stages(course.spans(checks))
    draw(frame, lines, enough=-math.log(policy.alpha), title=title, end=("shown safe", GOOD))
    return canvas.svg(said)


def _policy(rollout: Rollout) -> Policy:
    return rollout.judging(rollout.plan).policy_at(max(1, rollout.stage))


def _part(rollout: Rollout, policy: Policy, checks: Sequence[Judged], number: int) -> Line | None:
    """Return what a guardrail adds to the whole; None of one that keeps no evidence."""
    guardrail = policy.guardrails[number]
    if guardrail.kind is GuardrailKind.THRESHOLD:
        return None
    found = course.seen(rollout, checks, number)
    colour = INK if guardrail.weighs else FAINT
    points = [(one.at, one.trail.log_e + _share(one, policy, number)) for one in found]
    return Line(guardrail.name, points, colour, dash=DASHES[(number + 1) % len(DASHES)])


def _share(one: Seen, policy: Policy, number: int) -> float:
    """Return the logarithm of its share of alpha at that check; 0 if it has none."""
    stakes = one.check.evidence.stakes
    share = stakes[one.place] if one.place < len(stakes) else policy.weights[number]
    return math.log(share) if share > 0 else 0.0


def draw(
    frame: Frame, lines: Sequence[Line], *, enough: float, title: str, end: tuple[str, str]
) -> None:
    """Draw log e-values towards where they are enough; `end` is what happens there, its colour."""
    y = _scale(lines, enough)
    frame.axes(y, title)
    said, colour = end
    names = [frame.limit(y(math.exp(enough)), f"{said} at {math.exp(enough):.4g}", colour)]
    for line in lines:
        points = [(frame.x(when), y(math.exp(_within(log_e)))) for when, log_e in line.points]
        if points:
            frame.line(points, line.colour, width=line.width, dash=line.dash)
            names.append(Name(points[-1][1], _name(line), line.colour))
    frame.names(names)


def ends(lines: Sequence[Line]) -> str:
    """Say where they stand, in a sentence."""
    told = [
        f"{line.name} {strength(line.points[-1][1])}"
        f" (highest {strength(max(log_e for _, log_e in line.points))})"
        for line in lines
        if line.points
    ]
    return f"At the end: {', '.join(told)}." if told else "Nothing was checked yet."


def _scale(lines: Sequence[Line], enough: float) -> Scale:
    found = [_within(log_e) for line in lines for _, log_e in line.points]
    low = math.exp(min([math.log(0.5), *found]) - 0.1)
    high = math.exp(max([enough + math.log(2.5), *found]) + 0.1)
    return scales.logarithmic(low, high, start=BOTTOM, end=TOP, say=_times)


def _within(log_e: float) -> float:
    return min(MOST, max(LEAST, log_e))


def _times(value: float) -> str:
    if value >= 1e6:
        return f"10{_raised(round(math.log10(value)))}"
    return f"{value:,.10g}"


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _name(line: Line) -> str:
    return f"{_strength(line.points[-1][1])} {line.name}"


def _strength(log_e: float) -> str:
    if log_e < LEAST:
        return f"< {math.exp(LEAST):g}"
    told = strength(log_e)
    return "> 10⁶" if told.startswith("over") else told
