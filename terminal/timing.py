"""The times that people type: when to begin, and by when to be done."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from terminal.console import Usage

if TYPE_CHECKING:
    from domain.plan import RolloutPlan


def start(at: str | None, after: str | None) -> str | None:
    """Return the instant of `--at` or `--in`, as a request says it; None for at once.

    Raises:
        Usage: Both were given, or one is not what it should be.
    """
    from domain.instants import read_instant

    if at and after:
        raise Usage("give either --at or --in, not both")
    if at is not None:
        try:
            return read_instant(at).isoformat()
        except ValueError as error:
            raise Usage(f"--at {error}") from error
    if after is None:
        return None
    return (datetime.now(UTC) + duration(after, option="--in")).isoformat(timespec="seconds")


def ending(plan: "RolloutPlan", deadline: str | None) -> "RolloutPlan":
    """Return the plan with another deadline, if one was given.

    Raises:
        Usage: It is neither a duration nor an instant.
    """
    from domain.windows.deadline import read_deadline

    if deadline is None:
        return plan
    try:
        return plan.model_copy(update={"deadline": read_deadline(deadline)})
    except ValueError as error:
        raise Usage(f"--deadline {error}") from error


def duration(text: str, *, option: str) -> timedelta:
    """Return the duration that an option names.

    Raises:
        Usage: It names none, or one below half a second.
    """
    from pydantic import TypeAdapter, ValidationError

    from domain.duration import Tick
    from domain.value import complaint

    try:
        found: timedelta = TypeAdapter(Tick).validate_python(text)
    except ValidationError as error:
        raise Usage(f"{option} {complaint(error)}") from error
    return found
