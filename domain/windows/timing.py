"""Whether a step of a rollout is taken at the right time: when its windows are open, and at once.

A step is retried for as long as the database is away. When it is back, the windows may be closed,
and what the step was decided on may be long past.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from domain.duration import spell
from domain.errors import NotNow, Stale
from domain.windows.opening import closed_at
from domain.windows.plan import Windows

FRESH = timedelta(minutes=1)


class When(NamedTuple):
    """When a step is taken, and when it was asked for, by one clock."""

    at: datetime
    asked: datetime


def refuse_unless_timely(windows: Windows, when: When) -> None:
    """Refuse a step that must not be taken now.

    Raises:
        NotNow: The windows are closed.
        Stale: It was asked for more than a minute ago.
    """
    if closed := closed_at(windows, when.at):
        raise NotNow(closed.why, closed.until)
    if (late := when.at - when.asked) > FRESH:
        whole = spell(timedelta(seconds=round(late.total_seconds())))
        raise Stale(f"it could not be done for {whole}: what it was decided on is too old")
