"""A rollout in the words of its page. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from control.picture import Phase, Picture
from domain.duration import spell
from domain.evidence.looks import Arm
from domain.evidence.weighing import strength
from domain.hindsight.explanation import Explanation
from domain.hindsight.outlook import Sureness
from gateway.dashboard.instants import rounded
from gateway.dashboard.rollouts.sheet import Sheet, left

RETURNED = (
    Phase.ROLLING_BACK.value,
    Phase.ROLLBACK_INCOMPLETE.value,
    Phase.ROLLED_BACK.value,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the ramp; `now` is done, now, next, or back: where it was rolled back."""

    name: str
    now: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """How far something is; `full` 1 is all the way.

    Attributes:
        said: The same in words.
    """

    name: str
    full: float
    said: str
    bad: bool = False


def lead(sheet: Sheet) -> str:
    """Return in a sentence or two what is going on."""
    picture, shown = sheet.picture, sheet.picture.progress
    who = shown.candidate or "the candidate"
    if picture.phase == Phase.ROLLBACK_INCOMPLETE:
        return f"Everybody is on {shown.baseline} again, but not all is as it was before."
    if picture.phase == Phase.ROLLING_BACK:
        return f"{shown.baseline} is being restored for everybody."
    if picture.phase == Phase.PROMOTED:
        return f"{who} serves everybody, after {spell(rounded(sheet.lasted))}."
    if picture.phase == Phase.ROLLED_BACK:
        return f"Everybody is on {shown.baseline} again, after {spell(rounded(sheet.lasted))}."
    if picture.phase == Phase.WITHDRAWN:
        return "It was never opened; nothing was changed."
    if picture.ended:
        return f"It ended by itself: {picture.phase.replace('_', ' ')}."
    if not shown.stage:
        return f"Nobody gets {who} yet."
    if shown.stage > len(shown.stages):
        return f"{who} is in production, and still watched."
    return f"{shown.percent:g} % of users get {who}."


def steps(picture: Picture) -> list[Step]:
    """Return the ramp, and the watch after it."""
    shown, stages = picture.progress, picture.rollout.plan.stages if picture.rollout else ()
    bakes = [f"bakes {spell(stage.bake)}" for stage in stages] or [""] * len(shown.stages)
    final = [f"for {spell(picture.rollout.plan.final_bake)}"] if picture.rollout else [""]
    names = [f"{percent:g} %" for percent in shown.stages]
    reached = len(names) + 2 if picture.promoted else shown.stage
    here = "back" if picture.phase in RETURNED else "now"
    return [
        Step(name=name, hint=hint, now=_now(number, reached, here))
        for number, (name, hint) in enumerate(zip([*names, "watched"], [*bakes, *final]), 1)  # noqa: B905
    ]


def _now(number: int, reached: int, here: str) -> str:
    if number == reached:
        return here
    return "done" if number < reached else "next"


def clock(picture: Picture) -> Bar | None:
    """Return how much of the present bake is over; None while its clock stands."""
    found = left(picture)
    if found is None:
        return None
    done, bake = found
    full = done / bake if bake > timedelta(0) else 1.0
    return Bar(name="baked", full=full, said=f"{spell(rounded(done))} of {spell(bake)}")


def announcement(sheet: Sheet) -> str:
    """Return what somebody who does not see the page is told when it changes."""
    picture, shown = sheet.picture, sheet.picture.progress
    at = f" at {shown.percent:g} %" if shown.stage and not picture.ended else ""
    paused = f": {shown.waiting_for}" if picture.phase == Phase.PAUSED else ""
    return f"{picture.prompt} {shown.candidate} is {picture.phase.replace('_', ' ')}{at}{paused}"


def seen(shown: Explanation, arm: Arm) -> str:
    """Return what one arm did in the present stage."""
    if not arm.n:
        return "nobody yet"
    if shown.metric == "success":
        return f"{arm.mean:.1%} of {arm.n:,} {shown.unit}"
    tail = "" if arm.p95 is None else f", p95 {arm.p95:.4g}"
    return f"{arm.mean:.4g}{tail}, {arm.n:,} {shown.unit}"


def difference(shown: Explanation, alpha: float) -> str:
    """Return candidate less baseline with its interval; empty of what has none."""
    if shown.interval is None:
        return ""
    low, high = (100 * end for end in shown.interval)
    points = 100 * (shown.treatment.mean - shown.control.mean)
    sure = f"{low:+.1f} to {high:+.1f} at {100 * (1 - alpha):g} %, however often one looks"
    return f"{points:+.1f} points ({sure})"


def harm(sure: Sureness) -> Bar:
    """Return the evidence of harm on its way to a rollback."""
    said = f"{strength(sure.harm)}, needs {strength(sure.enough)} to roll back"
    return _towards("evidence of harm", sure.harm, sure.enough, said=said, bad=True)


def safety(sure: Sureness) -> Bar:
    """Return the evidence of safety on its way to being shown."""
    said = f"{strength(sure.safe)}, needs {strength(sure.enough_safe)} to be shown"
    return _towards("evidence of safety", sure.safe, sure.enough_safe, said=said)


def _towards(name: str, log_e: float, enough: float, *, said: str, bad: bool = False) -> Bar:
    """Evidence multiplies: on a scale of logarithms equal steps are equally hard."""
    full = log_e / enough if enough > 0 else 0.0
    return Bar(name=name, full=min(1.0, max(0.0, full)), said=said, bad=bad)
