"""How many users got the candidate over time, and what was done when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from domain.judge import Action
from domain.record import Decision, Kind, Rollout
from pictures import scales
from pictures.canvas import (
    BAD,
    BASELINE,
    CANDIDATE,
    FAINT,
    GOOD,
    INK,
    LETTER,
    WAIT,
    WIDTH,
    Canvas,
    plain,
    short,
)  # fmt: skip
from pictures.frame import LEFT, RIGHT, Frame
from pictures.scales import Scale, Tick
from pictures.thinning import Point

HEIGHT = 174.0  # of the plot
LANE, LANES = 16.0, 4  # rows above it for the names of marks: how high each is, how many at most
RUG = 6.0

MARKS = {
    Kind.PAUSED: ("paused", WAIT),
    Kind.RESUMED: ("resumed", INK),
    Kind.WAITING: ("asks for approval", WAIT),
    Kind.APPROVED: ("approved", GOOD),
    Kind.HURRIED: ("sent on", INK),
    Kind.SKIPPED: ("stage skipped", INK),
    Kind.EXTENDED: ("extended", INK),
    Kind.AMENDED: ("amended", INK),
    Kind.CLOSED: ("window closed", WAIT),
    Kind.PROMOTED: ("promoted", GOOD),
    Kind.COMPLETED: ("completed", GOOD),
    Kind.ROLLING_BACK: ("rolled back", BAD),
    Kind.ROLLBACK_INCOMPLETE: ("rollback incomplete", BAD),
    Kind.RECONCILED: ("reconciled", WAIT),
}
VERDICTS = {
    Action.ADVANCE: ("advance", GOOD),
    Action.HOLD: ("hold", WAIT),
    Action.ROLL_BACK: ("roll back", BAD),
}


@dataclass(frozen=True, slots=True)
class Level:
    """From when on which percent of users got the candidate."""

    since: datetime
    percent: float


def ramp(
    rollout: Rollout, decisions: Sequence[Decision], *, until: datetime | None = None
) -> Markup:
    """Draw the ramp: percent of users over time, every decision, every check.

    Args:
        rollout: Whose.
        decisions: Its journal, oldest first.
        until: Now, while it is live; by default its last decision.
    """
    latest = decisions[-1].at if decisions else rollout.opened_at
    end = max(rollout.concluded_at or until or latest, latest)
    marks, lanes = _placed(decisions, rollout.opened_at, end)
    top = 18.0 + LANE * lanes
    title = f"Ramp of {rollout.prompt} from {rollout.baseline} to {rollout.candidate}"
    canvas = Canvas(f"ramp-{rollout.id}", title, height=round(top + HEIGHT + 64))
    frame = Frame(canvas, rollout.opened_at, end, top=top, bottom=top + HEIGHT)
    steps = levels(rollout, decisions)
    ticks = tuple(Tick(share, f"{share} %") for share in (0, 25, 50, 75, 100))
    y = Scale(0, 100, frame.bottom, top, ticks=ticks)
    _shade(frame, decisions, end)
    frame.axes(y)
    _area(frame, steps, y, end)
    _label(frame, rollout, steps, y)
    _rug(frame, decisions)
    for mark in marks:
        mark.draw(frame)
    return canvas.svg(_said(rollout, decisions, steps))


def levels(rollout: Rollout, decisions: Sequence[Decision]) -> list[Level]:
    """Return the steps of the ramp, oldest first; a holdback counts as not given."""
    found = [Level(rollout.opened_at, 0.0)]
    for line in decisions:
        percent = _percent(rollout, line)
        if percent is not None and percent != found[-1].percent:
            found.append(Level(line.at, percent))
    return found


def _percent(rollout: Rollout, line: Decision) -> float | None:
    match line.kind:
        case Kind.RAMPED:
            return min(line.percent, 100 - rollout.plan.holdback)
        case Kind.COMPLETED:
            return 100.0
        case Kind.ROLLING_BACK | Kind.ROLLED_BACK:
            return 0.0
        case _:
            return None


def _area(frame: Frame, steps: Sequence[Level], y: Scale, end: datetime) -> None:
    """Draw the candidate's users below the line, the baseline's above it."""
    line: list[Point] = []
    for number, level in enumerate(steps):
        until = steps[number + 1].since if number + 1 < len(steps) else end
        line += [(frame.x(level.since), y(level.percent)), (frame.x(until), y(level.percent))]
    canvas = frame.canvas
    canvas.band(line, [(x, frame.bottom) for x, _ in line], CANDIDATE)
    canvas.line(line, CANDIDATE, width=2.25)


def _label(frame: Frame, rollout: Rollout, steps: Sequence[Level], y: Scale) -> None:
    percent = steps[-1].percent
    canvas = frame.canvas
    at = min(max(y(percent), frame.top + 16), frame.bottom - 14)
    mine, theirs = (
        f"{p:g} % {short(v, 12)}"
        for p, v in ((percent, rollout.candidate), (100 - percent, rollout.baseline))
    )
    canvas.text(RIGHT + 7, at - 8, theirs, colour=BASELINE)
    canvas.text(RIGHT + 7, at + 8, mine, colour=CANDIDATE, bold=True)
    ends = [frame.x(level.since) for level in steps[1:]] + [RIGHT]
    for level, end in zip(steps, ends, strict=True):
        x, said = frame.x(level.since) + 4, f"{level.percent:g} %"
        height = y(level.percent) - 5
        height += 19 if height < frame.top + 10 else 0
        if level.percent and x + LETTER * len(said) < end:
            canvas.text(x, height, said, colour=CANDIDATE, bold=True)


def _shade(frame: Frame, decisions: Sequence[Decision], end: datetime) -> None:
    """Shade while it was paused, and while the promoted version is still watched."""
    for since, until, colour in _phases(decisions, end):
        left = frame.x(since)
        frame.canvas.box(
            (left, frame.top), max(1.0, frame.x(until) - left), frame.bottom - frame.top,
            fill=colour, opacity=0.12,
        )  # fmt: skip


def _phases(
    decisions: Sequence[Decision], end: datetime
) -> Iterator[tuple[datetime, datetime, str]]:
    paused = promoted = None
    for line in decisions:
        over = line.kind in (Kind.RESUMED, Kind.ROLLING_BACK, Kind.COMPLETED)
        if line.kind is Kind.PAUSED and paused is None:
            paused = line.at
        elif paused and over:
            yield paused, line.at, WAIT
            paused = None
        if line.kind is Kind.PROMOTED:
            promoted = line.at
        elif promoted and line.kind in (Kind.ROLLING_BACK, Kind.COMPLETED):
            yield promoted, line.at, GOOD
            promoted = None
    if paused:
        yield paused, end, WAIT
    if promoted:
        yield promoted, end, GOOD


def _rug(frame: Frame, decisions: Sequence[Decision]) -> None:
    """Draw a short line for each check, in the colour of its verdict."""
    base, x = frame.bottom + 36, RIGHT + 7
    frame.canvas.text(LEFT - 8, base + RUG, "checks", colour=FAINT, anchor="end")
    for action, (word, colour) in VERDICTS.items():
        found = [frame.x(line.at) for line in decisions if line.action is action]
        seen = dict.fromkeys(place // 3 * 3 for place in found)
        frame.canvas.ticks(seen, colour, top=base - 1, height=RUG + 2)
        said = f"{len(found)} {word}"
        if found and x + LETTER * len(said) > WIDTH:
            base, x = base + 15, RIGHT + 7
        if found:
            frame.canvas.text(x, base + RUG, said, colour=colour)
            x += LETTER * (len(said) + 1)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a person or the end did; `lane` is where its name is written, None where no room is."""

    line: Decision
    lane: int | None
    left: bool

    @property
    def word(self) -> str:
        return MARKS[self.line.kind][0]

    def draw(self, frame: Frame) -> None:
        """Draw it down to the axis, and its name; pointed at, it tells more."""
        x, (word, colour) = frame.x(self.line.at), MARKS[self.line.kind]
        top = frame.top - (0 if self.lane is None else 14 + LANE * self.lane)
        frame.canvas.rule((x, top), (x, frame.bottom), colour, width=0.75, dash="3 3")
        frame.canvas.dot(x, top, colour, told=_told(self.line, word))
        if self.lane is not None:
            place, anchor = (x - 7, "end") if self.left else (x + 7, "start")
            frame.canvas.text(place, top + 4, word, colour=colour, anchor=anchor)


def _placed(
    decisions: Sequence[Decision], since: datetime, end: datetime
) -> tuple[list[_Mark], int]:
    """Return the marks, each in the lowest lane that is free, and how many lanes they need."""
    x = scales.times(since, end, start=LEFT, end=RIGHT)
    free, marks = [0.0] * LANES, list[_Mark]()
    for line in decisions:
        if line.kind not in MARKS:
            continue
        at, length = x(line.at.timestamp()), LETTER * len(MARKS[line.kind][0]) + 12
        left = at + length > WIDTH
        begins = at - length if left else at - 4
        lane = next((n for n, taken in enumerate(free) if begins >= taken), None)
        if lane is not None:
            free[lane] = begins + length + 8
        marks.append(_Mark(line, lane, left))
    return marks, 1 + max((mark.lane for mark in marks if mark.lane is not None), default=-1)


def _told(line: Decision, word: str) -> str:
    by = f" by {line.by}" if line.by else ""
    return f"{line.at:%d %b %H:%M:%S} {word}{by}: {short(line.reason, 160)}"


def _said(rollout: Rollout, decisions: Sequence[Decision], steps: Sequence[Level]) -> str:
    """Return the picture in words."""
    ramped = (
        ", ".join(f"{s.percent:g} % at {s.since:%H:%M:%S}" for s in steps[1:]) or "not yet ramped"
    )
    marks = [
        f"{MARKS[line.kind][0]} at {line.at:%H:%M:%S}" + (f" by {line.by}" if line.by else "")
        for line in decisions
        if line.kind in MARKS
    ]
    many = sum(line.action is not None for line in decisions)
    told = f" Marked: {'; '.join(marks[:30])}." if marks else ""
    return plain(
        f"Percent of users on {rollout.candidate} since {rollout.opened_at:%Y-%m-%d %H:%M} UTC:"
        f" {ramped}.{told} {many} checks."
    )
