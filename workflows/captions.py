"""What the timeline of a rollout says of its timers and activities. Pure.

A caption is told before its outcome is known: a timer, therefore, tells what the last check said.
"""

from datetime import datetime

from domain.judge import Verdict
from workflows.markdown import CAPTION, literal, words
from workflows.phase import Phase
from workflows.progress import clock
from workflows.state import State


def wait(state: State, *, now: datetime) -> str:
    """Return `check 3: hold; baking at 10 % until 2026-01-31 12:00:00 UTC`."""
    judged = state.verdict != Verdict()
    said = f"check {state.checks}: {words(state.verdict.action)}; " if judged else ""
    return literal(f"{said}{_doing(state, now=now)}"[:CAPTION])


def _doing(state: State, *, now: datetime) -> str:
    phase = state.phase(now)
    doing = f"{words(phase)} at {state.percent:g} %"
    if phase is Phase.PAUSED and state.pause is not None:
        return f"{doing} by {state.pause}"
    if phase is Phase.WAITING_FOR_WINDOW:
        return f"{doing}: {state.calendar.shut(now)}"
    if phase in (Phase.BAKING, Phase.FINAL_BAKE):
        left = state.step.bake - state.elapsed(now)
        return f"{doing}, past its bake" if state.due(now) else f"{doing} until {clock(now + left)}"
    return doing


def ramp(state: State, stage: int) -> str:
    """Return `to 10 %, stage 1 of 3`."""
    stages = state.plan.stages
    return f"to {stages[stage - 1].percent:g} %, stage {stage} of {len(stages)}"
