"""By when a rollout has to be promoted: after so long, or at an instant."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter, ValidationError

from domain.duration import Tick, spell
from domain.instants import EXAMPLE, read_instant

WhenLate = Literal["hold", "roll_back"]
_TICK: TypeAdapter[timedelta] = TypeAdapter(Tick)


def read_deadline(value: object) -> datetime | timedelta:
    """Read `7d`, or an instant with its offset.

    Raises:
        ValueError: One line that shows the value and what is allowed.
    """
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return read_instant(value)
    try:
        return _TICK.validate_python(value)
    except ValidationError as error:
        raise ValueError(
            f"must be a duration such as 7d, or an instant such as {EXAMPLE}, got {value!r:.60}"
        ) from error


def _write(value: datetime | timedelta) -> str:
    return value.isoformat() if isinstance(value, datetime) else spell(value)


Deadline = Annotated[
    datetime | timedelta,
    BeforeValidator(read_deadline),
    PlainSerializer(_write, return_type=str, when_used="json"),
]


def instant_of(deadline: datetime | timedelta | None, *, begun: datetime | None) -> datetime | None:
    """Return the instant that is meant, of a rollout that was opened at `begun`."""
    if isinstance(deadline, timedelta):
        return begun + deadline if begun else None
    return deadline
