"""When a rollout may be asked to begin: later than now, and within a year."""

from datetime import datetime, timedelta

from domain.duration import LONGEST, spell
from domain.errors import InvalidPlan
from domain.instants import clock


def refuse_past(start_at: datetime | None, now: datetime) -> None:
    """Refuse what is most likely a slip. Who reads a request late opens it at once instead.

    Raises:
        InvalidPlan: The start lies before now.
    """
    if start_at is not None and start_at <= now:
        raise InvalidPlan(
            f"request: start_at must be later than now, {clock(now)}, got {start_at.isoformat()}"
        )


def refuse_far(start_at: datetime | None, now: datetime) -> None:
    """Refuse a start that nobody alive to it will remember.

    Raises:
        InvalidPlan: The start is more than a year away.
    """
    if start_at is not None and start_at - now > LONGEST:
        most = f"within {spell(LONGEST)} from now, {clock(now)}"
        raise InvalidPlan(f"request: start_at must be {most}, got {start_at.isoformat()}")


def refuse_after_deadline(start_at: datetime | None, deadline: datetime | timedelta | None) -> None:
    """Refuse a start that would be too late.

    Raises:
        ValueError: The deadline is an instant, and not after the start.
    """
    if start_at and isinstance(deadline, datetime) and deadline <= start_at:
        raise ValueError(
            f"start_at {start_at.isoformat()} is not before the deadline {deadline.isoformat()}"
        )
