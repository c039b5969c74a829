"""What the calendar does to a rollout: deadlines that pass, steps that are refused for now."""

from datetime import datetime

from temporalio.exceptions import ActivityError, ApplicationError

from domain.instants import clock
from domain.record import Kind
from domain.windows.opening import Closed
from workflows.commands import Command
from workflows.execution import GivenUp, cause
from workflows.state import Phase, State

DEADLINE = "deadline"  # who rolls back when nobody promoted in time
WINDOWS = "windows"  # who holds when they are closed
FOR_NOW = ("NotNow", "Stale")  # what the domain calls a step that may be taken later


def expire(state: State, now: datetime) -> None:
    """Order a rollback if it was to be promoted by now, and the plan says so."""
    if state.rollback is None and state.plan.when_late == "roll_back" and state.overdue(now):
        deadline = state.calendar.deadline(state.plan) or now
        said = f"it was not promoted by its deadline, {clock(deadline)}"
        state.rollback = Command(reason=said, by=DEADLINE)


def put_off(state: State, error: ActivityError, *, asked: datetime, now: datetime) -> None:
    """Take in that a step was refused for now; raise any other error.

    What could not be done for so long that its verdict is too old leaves the rollout as blind as
    if the metrics could not have been read.

    Raises:
        GivenUp: That was so for so long that the plan rolls back.
    """
    refusal = error.cause
    if not isinstance(refusal, ApplicationError) or refusal.type not in FOR_NOW:
        raise error
    if refusal.type == "Stale":
        state.blind_since = state.blind_since or asked
        state.judged(state.blind(cause(error), now=now))
        if state.rollback is not None:
            raise GivenUp from error
        return
    until = datetime.fromisoformat(refusal.details[0]) if refusal.details else None
    state.calendar.closed = Closed(until=until, why=refusal.message)


def tell_of_windows(state: State, now: datetime) -> None:
    """Have it journalled, once, that nothing but closed windows is in the way."""
    if state.phase(now) is Phase.WAITING_FOR_WINDOW and (why := state.calendar.news(now)):
        state.notes.say(Kind.CLOSED, WINDOWS, why)
