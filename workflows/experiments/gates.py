"""When a person's command to an experiment cannot be followed, and why: the sentence they get."""

from workflows.experiments.commands import Choice, Verb
from workflows.experiments.phase import Phase
from workflows.experiments.state import State


def refusal(state: State, verb: Verb, choice: Choice) -> str:
    """Return why `verb` cannot be followed now; empty when it can. A stop always can, once."""
    phase = state.phase()
    if state.ending is not None:
        return f"it is {phase} already"
    if verb is Verb.STOP:
        return "it is stopping already" if state.stop else ""
    if state.stop is not None:
        return "it is stopping"
    if state.choice is not None or state.hurry is not None:
        return "a decision was taken already"
    if verb is Verb.PAUSE:
        return _pause(state, phase)
    if verb is Verb.RESUME:
        return "" if state.pause else f"it is not paused: it is {phase}"
    return _decide(state, verb, choice)


def _pause(state: State, phase: Phase) -> str:
    if phase is Phase.WAITING_FOR_DECISION:
        return "it is over and waits for a decision: conclude or deploy"
    return f"it is paused already by {state.pause}" if state.pause else ""


def _decide(state: State, verb: Verb, choice: Choice) -> str:
    if state.trial is None:
        return "it is still opening"
    version, arms = choice.version, state.plan.arms
    if version and version not in arms:
        return f"{version} is none of its arms: they are {', '.join(arms)}"
    if version in state.opened.stopped:
        return f"{version} was stopped because it harmed"
    if verb is Verb.DEPLOY and not (version or state.winner):
        return f"no arm has won: name one of {', '.join(state.treatments) or 'none'}"
    return ""
