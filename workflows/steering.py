"""What a person's command does to the state of a rollout, and what it answers."""

from datetime import datetime, timedelta
from math import ceil

from pydantic import JsonValue

from domain.duration import spell
from workflows.commands import KINDS, Change, Command, Extension, Promotion, Skip, Verb
from workflows.phase import Phase
from workflows.state import FULLY, State
from workflows.wishes import Wish

NEXT = "after one more check, unless that finds harm"


def obey(state: State, verb: Verb, command: Command, *, now: datetime) -> str:
    """Do what was asked, as far as a field can; return the answer for the operator."""
    reason = command.reason
    if isinstance(command, Skip):
        state.target = destination(state, command)
        reason = ": ".join(part for part in (f"to stage {state.target}", reason) if part)
    elif isinstance(command, Promotion):
        state.target = FULLY if command.full and not state.final else 0
        reason = ": ".join(part for part in ("fully" * command.full, reason) if part)
    if verb in KINDS:
        state.notes.say(KINDS[verb], command.by, reason)
    return {
        Verb.PAUSE: _pause,
        Verb.RESUME: _resume,
        Verb.PROMOTE: _hurry,
        Verb.SKIP: _hurry,
        Verb.APPROVE: _approve,
        Verb.ROLLBACK: _roll_back,
    }[verb](state, command, now)


def _pause(state: State, command: Command, now: datetime) -> str:
    state.baked, state.since, state.pause = state.elapsed(now), None, command
    return "paused: the ramp holds, the guardrails stay on"


def _resume(state: State, _command: Command, now: datetime) -> str:
    state.pause, state.since = None, now
    left = (state.step.bake - state.baked).total_seconds() if state.stage else 0
    return f"resumed: {spell(timedelta(seconds=max(round(left), 0)))} of the bake are left"


def _hurry(state: State, command: Command, now: datetime) -> str:
    state.hurry, but = command, state.calendar.but(now)
    if state.target == FULLY:
        said = f"promoted fully: it goes to the last stage {NEXT}, and likewise to production"
    elif state.target:
        percent = state.plan.stages[state.target - 1].percent
        said = f"skipped: it goes to stage {state.target}, {percent:g} %, {NEXT}"
    else:
        said = f"promoted: it goes on {NEXT}"
    return said + but


def _approve(state: State, command: Command, now: datetime) -> str:
    state.approval = command
    return f"approved: it goes on {NEXT} or doubt{state.calendar.but(now)}"


def _roll_back(state: State, command: Command, now: datetime) -> str:
    withdrawn = state.phase(now) is Phase.SCHEDULED
    state.rollback = command
    return "withdrawn: it was not opened, nothing was changed" if withdrawn else "rolling back"


def destination(state: State, command: Skip) -> int:
    """Return the stage that is skipped to: the one named, else the one after the next."""
    return command.to or state.stage + 2


def wish(
    state: State, verb: Verb, command: Command, *, now: datetime, signalled: bool = False
) -> int:
    """Take down a change to the plan, for the loop to carry out; return its number."""
    requests = state.requests
    requests.wished += 1
    requests.wishes.append(
        Wish(
            number=requests.wished,
            verb=verb,
            change=change(state, command, now=now),
            signalled=signalled,
            by=command.by,
            reason=command.reason,
            key=command.key,
            asks=command.asks,
        )
    )
    return requests.wished


def change(state: State, command: Command, *, now: datetime) -> dict[str, JsonValue]:
    """Return what is to change in the plan."""
    if isinstance(command, Change):
        return command.wish
    if isinstance(command, Extension):
        return {"set": extended(state, command.longer, now=now)}
    return {}


def extended(state: State, longer: timedelta, *, now: datetime) -> dict[str, JsonValue]:
    """Return what a longer bake changes: from its end, or from now if that has passed.

    A `max_bake` moves along, so that doubt is given as long as before once the bake is over.
    """
    step = state.step
    baked = timedelta(seconds=ceil(state.elapsed(now).total_seconds()))
    bake = max(step.bake, baked) + longer
    if state.final:
        return {"final_bake": spell(bake)}
    found: dict[str, JsonValue] = {f"stages.{state.stage}.bake": spell(bake)}
    if step.max_bake is not None:
        found[f"stages.{state.stage}.max_bake"] = spell(step.max_bake + bake - step.bake)
    return found
