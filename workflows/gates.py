"""When a person's command cannot be followed, and why: the sentence they are told."""

from datetime import datetime

from workflows.commands import Verb
from workflows.state import Phase, State


def refusal(state: State, verb: Verb, *, now: datetime) -> str:
    """Return why `verb` cannot be followed now; empty when it can. A rollback always can, once."""
    phase = state.phase(now)
    if state.ending is not None:
        return f"it is {phase} already"
    if verb is Verb.ROLLBACK:
        return ""
    if state.rollback is not None:
        return "it is rolling back"
    if phase is Phase.SCHEDULED:
        return f"it is not open yet; it waits for {state.calendar}"
    return {
        Verb.PAUSE: _pause,
        Verb.RESUME: _resume,
        Verb.PROMOTE: _promote,
        Verb.APPROVE: _approve,
    }[verb](state, phase)


def _pause(state: State, _phase: Phase) -> str:
    return f"it is paused already by {state.pause}" if state.pause else ""


def _resume(state: State, phase: Phase) -> str:
    return "" if state.pause else f"it is not paused: it is {phase}"


def _promote(state: State, phase: Phase) -> str:
    if state.pause:
        return f"it is paused by {state.pause}; resume it first"
    if state.stage == 0:
        return f"it is still {phase}"
    return "it waits for an approval; approve it" if phase is Phase.WAITING_FOR_APPROVAL else ""


def _approve(_state: State, phase: Phase) -> str:
    if phase is Phase.WAITING_FOR_APPROVAL:
        return ""
    return f"it is not waiting for an approval: it is {phase}"
