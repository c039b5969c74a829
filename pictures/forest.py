"""The arms of an experiment against control, as they stand or as they ended."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from domain.trials.contest import ArmResult, Span
from domain.trials.findings import ArmReport, Report, Trial
from pictures import scales
from pictures.canvas import BASELINE, CANDIDATE, FAINT, INK, WIDTH, Canvas, short
from pictures.scales import Say, Scale, rounded

TOP, ROW = 38.0, 34.0
LEFT, RIGHT = 130.0, WIDTH - 250.0

Ends = Mapping[str, ArmResult]  # the tests of the end, by arm


def forest(trial: Trial, report: Report) -> Markup:
    """Draw each arm's difference from control: thin, what no look refutes; thick, the end's test.

    Args:
        trial: With its conclusion, once it has one.
        report: The latest look.
    """
    arms = [arm for arm in report.arms if not arm.is_control]
    ends = {r.version: r for r in trial.conclusion.arms} if trial.conclusion else {}
    title = f"Arms of {trial.prompt} against {trial.plan.baseline}"
    height = round(TOP + ROW * len(arms) + 34)
    canvas = Canvas(f"forest-{trial.id}", title, height=height)
    values = [0.0, *(end for a in arms for span in _spans(a, ends) for end in span)]
    values += [arm.difference for arm in arms if arm.difference is not None]
    say = scales.points if trial.plan.goal_is_rate else scales.figure
    x = scales.linear(values, start=LEFT, end=RIGHT, say=say)
    bottom = TOP + ROW * len(arms)
    canvas.text(4, 13, shift(trial), colour=FAINT)
    for tick in x.ticks:
        canvas.rule((x(tick.value), TOP - 8), (x(tick.value), bottom), width=0.75)
        canvas.text(x(tick.value), bottom + 17, tick.label, colour=FAINT, anchor="middle")
    canvas.rule((x(0), TOP - 8), (x(0), bottom), BASELINE, width=1.5)
    for row, arm in enumerate(arms):
        _row(canvas, arm, ends.get(arm.version), x=x, y=TOP + ROW * (row + 0.5), say=say)
    return canvas.svg(_said(trial, arms, ends, say))


def shift(trial: Trial) -> str:
    """Return `success minus that of 1.0.0 (points)`: what a difference is of."""
    unit = "points" if trial.plan.goal_is_rate else scales.UNITS.get(trial.plan.goal, "")
    said = f"{trial.plan.goal} minus that of {short(trial.plan.baseline)}"
    return f"{said} ({unit})" if unit else said


def _row(
    canvas: Canvas, arm: ArmReport, end: ArmResult | None, *, x: Scale, y: float, say: Say
) -> None:
    colour = FAINT if arm.stopped else CANDIDATE
    canvas.text(LEFT - 12, y + 4, short(arm.version, 15), colour=colour, anchor="end", bold=True)
    if arm.difference_interval:
        low, high = (x(value) for value in arm.difference_interval)
        canvas.rule((low, y), (high, y), colour, width=1.5)
        for place in (low, high):
            canvas.rule((place, y - 4), (place, y + 4), colour, width=1.5)
    if end and end.interval:
        canvas.rule((x(end.interval[0]), y), (x(end.interval[1]), y), colour, width=6, opacity=0.5)
    if arm.difference is None:
        canvas.text(x(0) + 8, y + 4, "nothing seen yet", colour=FAINT)
        return
    canvas.dot(x(arm.difference), y, colour, size=4.5)
    told = f"{say(rounded(arm.difference))}, {arm.n:,} seen"
    canvas.text(RIGHT + 14, y - 3, told, colour=INK)
    canvas.text(RIGHT + 14, y + 12, _standing(arm, end), colour=FAINT)


def _standing(arm: ArmReport, end: ArmResult | None) -> str:
    if arm.stopped:
        return "stopped: harm was shown"
    return (
        f"p {end.adjusted_p:.2g} (Holm), asked once"
        if end
        else arm.standing.value.replace("_", " ")
    )


def _spans(arm: ArmReport, ends: Ends) -> list[Span]:
    end = ends.get(arm.version)
    found = [arm.difference_interval, end.interval if end else None]
    return [span for span in found if span]


def _said(trial: Trial, arms: Sequence[ArmReport], ends: Ends, say: Say) -> str:
    told = []
    for arm in arms:
        if arm.difference is None:
            told.append(f"{arm.version} saw nobody yet")
            continue
        span = arm.difference_interval
        within = (
            f" ({say(rounded(span[0]))} to {say(rounded(span[1]))} at every look)" if span else ""
        )
        told.append(
            f"{arm.version} {say(rounded(arm.difference))}{within},"
            f" {_standing(arm, ends.get(arm.version))}"
        )
    return f"{trial.plan.goal} of each arm minus that of {trial.plan.baseline}: {'; '.join(told)}."
