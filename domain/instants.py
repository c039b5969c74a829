"""Instants as people write and read them: ISO 8601 with an offset in, UTC out."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator

EXAMPLE = "2026-12-01T09:00+01:00"


def read_instant(value: object) -> datetime:
    """Return the instant that a text means; a local time without its offset means none.

    Raises:
        ValueError: One line that shows the value and what is allowed.
    """
    allowed = f"must be an instant with its offset, such as {EXAMPLE}, got {str(value)!r:.60}"
    if not isinstance(value, str | datetime):
        raise ValueError(allowed)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        found.astimezone(UTC)  # what lies outside of the calendar
    except (ValueError, OverflowError) as error:
        raise ValueError(allowed) from error
    if found.tzinfo is None:
        raise ValueError(allowed)
    return found


def clock(instant: datetime) -> str:
    """Return an instant as all our pages write it."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


Instant = Annotated[datetime, BeforeValidator(read_instant)]
