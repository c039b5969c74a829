"""When a person's command cannot be followed, and why: the sentence they are told."""

from datetime import datetime, timedelta

from domain.amendment import Amendment, objection
from domain.errors import InvalidPlan
from workflows import steering
from workflows.commands import Command, Extension, Skip, Verb
from workflows.memory import misused
from workflows.state import Phase, State

BAKING = {Phase.BAKING, Phase.FINAL_BAKE, Phase.PAUSED}


def refusal(state: State, verb: Verb, command: Command, *, now: datetime) -> str:
    """Return why `verb` cannot be followed now; empty when it can. A rollback always can, once."""
    if known := state.requests.known(command.key):
        return misused(known.verb, known.asks, verb=verb, command=command)
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
        Verb.SKIP: _skip,
        Verb.APPROVE: _approve,
        Verb.EXTEND: _extend,
        Verb.AMEND: _amend,
    }[verb](state, command, now)


BEFORE = (Verb.PAUSE, Verb.RESUME, Verb.ROLLBACK)  # it is open


def offers(state: State, *, now: datetime) -> list[Verb]:
    """Return the verbs that would be followed now, were they sent with nothing that is wrong."""
    is_open = state.rollout is not None
    asked = {Verb.SKIP: Skip(), Verb.EXTEND: Extension(longer=timedelta(hours=1))}
    found = [
        verb
        for verb in (Verb if is_open else BEFORE)
        if verb is not Verb.AMEND and not refusal(state, verb, asked.get(verb, Command()), now=now)
    ]
    return found + [Verb.AMEND] * (is_open and not state.is_over)


def _pause(state: State, _command: Command, _now: datetime) -> str:
    return f"it is paused already by {state.pause}" if state.pause else ""


def _resume(state: State, _command: Command, now: datetime) -> str:
    return "" if state.pause else f"it is not paused: it is {state.phase(now)}"


def _promote(state: State, _command: Command, now: datetime) -> str:
    phase = state.phase(now)
    if state.pause:
        return f"it is paused by {state.pause}; resume it first"
    if state.stage == 0:
        return f"it is still {phase}"
    return "it waits for an approval; approve it" if phase is Phase.WAITING_FOR_APPROVAL else ""


def _skip(state: State, command: Command, now: datetime) -> str:
    if why := _promote(state, command, now):
        return why
    here, last = state.stage, len(state.plan.stages)
    if here >= last:
        return f"there is no stage left to skip: stage {last} is the last"
    to = steering.destination(state, command) if isinstance(command, Skip) else 0
    if not here < to <= last:
        named = isinstance(command, Skip) and command.to
        hint = "" if named else "; the next stage is the last one: promote goes there"
        return f"it can skip to stage {here + 1} to {last}, not to {to}{hint}"
    return ""


def _approve(state: State, _command: Command, now: datetime) -> str:
    phase = state.phase(now)
    if phase is Phase.WAITING_FOR_APPROVAL:
        return ""
    return f"it is not waiting for an approval: it is {phase}"


def _extend(state: State, command: Command, now: datetime) -> str:
    phase = state.phase(now)
    if state.stage == 0 or phase not in BAKING:
        return f"it is not baking: it is {phase}"
    if state.hurry is not None:
        return f"it was sent on already by {state.hurry}"
    if not isinstance(command, Extension) or command.longer <= timedelta(0):
        return "say by how much longer than 0s it should bake, such as 2h"
    return _amend(state, command, now)


def _amend(state: State, command: Command, now: datetime) -> str:
    if state.rollout is None:
        return "it is not open yet"
    try:
        after = Amendment.parse(steering.change(state, command, now=now)).of(state.plan)
    except InvalidPlan as error:
        return str(error)
    return objection(state.plan, after, reached=state.stage, fired=state.fired)
