"""What the timeline of an experiment says of its timers. Pure."""

from datetime import datetime

from workflows.experiments.phase import Phase
from workflows.experiments.state import State
from workflows.markdown import CAPTION, literal, words
from workflows.progress import clock


def wait(state: State, *, now: datetime) -> str:
    """Return `look 3: 1.1.0 not harmed, 1.2.0 stopped; running until 2026-01-31 12:00:00 UTC`."""
    arms = [arm for arm in state.report.arms if not arm.is_control]
    seen = (f"{arm.version} {'stopped' if arm.stopped else words(arm.standing)}" for arm in arms)
    told = f"look {state.looks}: {', '.join(seen)}; " if arms else ""
    return literal(f"{told}{_doing(state, now=now)}"[:CAPTION])


def _doing(state: State, *, now: datetime) -> str:
    phase = state.phase()
    if phase is Phase.PAUSED and state.pause is not None:
        return f"paused by {state.pause}"
    left = state.plan.min_duration - state.elapsed(now)
    if phase is Phase.RUNNING and left.total_seconds() > 0:
        return f"running until {clock(now + left)} at least"
    return words(phase)
