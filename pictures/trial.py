"""Pictures of an experiment over time: its arms, their differences, the evidence of harm."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from domain.trials.contest import Span
from domain.trials.findings import ArmReport, Trial, TrialLine
from pictures import evidence, scales
from pictures.canvas import BAD, BASELINE, CANDIDATE, DASHES, Canvas, short
from pictures.forest import shift
from pictures.frame import LEFT, RIGHT, TOP, Frame, Name
from pictures.scales import Scale, rounded
from pictures.thinning import spread_out

HEIGHT, BOTTOM = 250, 214.0
MOST = 80  # looks that are drawn


class Look(NamedTuple):
    """One arm at one look."""

    at: datetime
    arm: ArmReport


def arms(trial: Trial, lines: Sequence[TrialLine], *, until: datetime | None = None) -> Markup:
    """Draw the goal of every arm over time; of rates with bands that hold at every look."""
    title = f"{trial.plan.goal} of the arms of {trial.prompt} over time"
    canvas = Canvas(f"arms-{trial.id}", title, height=HEIGHT)
    say = scales.percent if trial.plan.goal_is_rate else scales.figure

    def value(arm: ArmReport) -> tuple[float | None, Span | None]:
        return arm.rate, arm.interval

    title = f"{trial.plan.goal} of each arm, all {trial.plan.per}s so far"
    ends = _over_time(canvas, trial, lines, value, until=until, say=say, zero=None, title=title)
    return canvas.svg(f"{trial.plan.goal} of each arm. At the end: {ends}.")


def differences(
    trial: Trial, lines: Sequence[TrialLine], *, until: datetime | None = None
) -> Markup:
    """Draw each arm minus control over time, with bands that hold at every look."""
    title = f"Arms of {trial.prompt} against {trial.plan.baseline} over time"
    canvas = Canvas(f"differences-{trial.id}", title, height=HEIGHT)
    say = scales.points if trial.plan.goal_is_rate else scales.figure

    def value(arm: ArmReport) -> tuple[float | None, Span | None]:
        return arm.difference, arm.difference_interval

    ends = _over_time(
        canvas, trial, lines, value, until=until, say=say, zero=0.0, title=shift(trial)
    )
    return canvas.svg(
        f"Each arm minus {trial.plan.baseline}. Each band holds at all looks at once: where it does"
        f" not touch 0, a difference is shown. At the end: {ends}."
    )


def harm(trial: Trial, lines: Sequence[TrialLine], *, until: datetime | None = None) -> Markup:
    """Draw the evidence of harm by each arm towards where it is stopped."""
    enough = math.log(len(trial.plan.treatments) / trial.plan.alpha)
    title = f"Evidence of harm by the arms of {trial.prompt}"
    canvas = Canvas(f"trial-harm-{trial.id}", title, height=HEIGHT)
    drawn = [
        evidence.Line(
            version,
            [(look.at, look.arm.log_e) for look in looks if not look.arm.stopped],
            CANDIDATE,
            width=2,
            dash=DASHES[(number - 1) % len(DASHES)],
        )
        for number, (version, looks) in enumerate(_looks(trial, lines).items())
        if version != trial.plan.baseline
    ]
    frame = _frame(canvas, trial, lines, until)
    title = "evidence of harm: times likelier than without (log scale)"
    evidence.draw(frame, drawn, enough=enough, title=title, end=("stopped", BAD))
    return canvas.svg(
        f"How many times likelier what was seen is with harm than without any;"
        f" {math.exp(enough):g} stops an arm. {evidence.ends(drawn)}"
    )


Value = Callable[[ArmReport], tuple[float | None, Span | None]]


def _over_time(
    canvas: Canvas, trial: Trial, lines: Sequence[TrialLine], value: Value, *,
    until: datetime | None, say: scales.Say, zero: float | None, title: str,
) -> str:  # fmt: skip
    """Draw a figure of every arm and its band; return how they ended, in words."""
    frame = _frame(canvas, trial, lines, until)
    shown = {version: [*_figures(looks, value)] for version, looks in _looks(trial, lines).items()}
    y = _scale(shown, say, zero, rate=trial.plan.goal_is_rate)
    frame.axes(y, title)
    names, ends = [], []
    if zero is not None:
        canvas.rule((LEFT, y(zero)), (RIGHT, y(zero)), BASELINE, width=1.5)
        names.append(Name(y(zero), trial.plan.baseline, BASELINE))
    for number, (version, found) in enumerate(shown.items()):
        if not found:
            continue
        colour = BASELINE if version == trial.plan.baseline else CANDIDATE
        _line(frame, found, y, colour, dash=DASHES[max(0, number - 1) % len(DASHES)])
        last = found[-1][1]
        ends.append(f"{version} {say(rounded(last))}")
        names.append(Name(y(last), f"{say(rounded(last))} {short(version, 11)}", colour))
    frame.names(names)
    return ", ".join(ends) or "nothing was seen yet"


Shown = Sequence[tuple[datetime, float, Span | None]]


def _figures(looks: Sequence[Look], value: Value) -> Iterator[tuple[datetime, float, Span | None]]:
    for look in looks:
        figure, span = value(look.arm)
        if figure is not None:
            yield look.at, figure, span


def _line(frame: Frame, found: Shown, y: Scale, colour: str, *, dash: str) -> None:
    banded = [(frame.x(at), span) for at, _, span in found if span]
    upper, lower = ([(x, y(span[end])) for x, span in banded] for end in (1, 0))
    frame.canvas.band(upper, lower, colour)
    frame.line([(frame.x(at), y(value)) for at, value, _ in found], colour, dash=dash)


def _scale(shown: Mapping[str, Shown], say: scales.Say, zero: float | None, *, rate: bool) -> Scale:
    values = [] if zero is None else [zero]
    for found in shown.values():
        values += [value for _, value, _ in found]
        values += [end for _, _, span in found[-1:] if span for end in span]
    within = ((0.0, 1.0) if zero is None else (-1.0, 1.0)) if rate else (-math.inf, math.inf)
    return scales.linear(
        values or [0.0, 1.0],
        start=BOTTOM,
        end=TOP,
        say=say,
        least=0.02 if rate else 0,
        within=within,
    )


def _looks(trial: Trial, lines: Sequence[TrialLine]) -> dict[str, list[Look]]:
    """Return what there is to draw of each arm, control first; one that is stopped ends there."""
    reports = [line.report for line in lines if line.report and line.report.at]
    few = spread_out(reports, MOST, keep=lambda report: report.epoch)
    found: dict[str, list[Look]] = {version: [] for version in trial.plan.arms}
    for report in few:
        for arm in report.arms:
            if arm.version in found and report.at and not arm.stopped:
                found[arm.version].append(Look(report.at, arm))
    return found


def _frame(
    canvas: Canvas, trial: Trial, lines: Sequence[TrialLine], until: datetime | None
) -> Frame:
    latest = lines[-1].at if lines else trial.opened_at
    end = max(trial.concluded_at or until or latest, latest)
    return Frame(canvas, trial.opened_at, end, bottom=BOTTOM)
