"""How a tracking event of OpenFeature is read as an event of ours. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from domain.errors import InvalidValue
from domain.limits import MEASURED, SUCCESS

OUTCOMES = (SUCCESS, "outcome")
FAILURES = ("failure", "error")
FLAG = "flag"
VERSION_ID = "version_id"
EVENT_ID = "event_id"
OWN = (SUCCESS, FLAG, VERSION_ID, EVENT_ID, *MEASURED)


@dataclass(frozen=True)
class Tracked:
    """What a tracking event says.

    Attributes:
        flag: The flag key of the prompt that was used; the event's own name if nothing else.
        version_id: The version that was used, where the caller has kept it.
        measured: `response_time`, `tokens` and `user_rating`, those that were given.
        numbers: Every other number.
        metadata: Everything that is no number, and the event's name.
    """

    flag: str
    success: bool
    version_id: str | None = None
    event_id: str | None = None
    measured: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, name: str, *, value: float | None, attributes: Mapping[str, Any]) -> Self:
        """Read an event by its name, its value and its attributes.

        | name | success | value |
        |---|---|---|
        | `success`, `outcome`, the flag key | 1 true, 0 false, none true | |
        | `failure`, `error` | false | unused |
        | `response_time`, `tokens`, `user_rating` | true | that measurement |
        | another | true | the number of that name |

        The attribute `success` overrides the second column.

        Raises:
            InvalidValue: `success`, `flag`, `version_id`, `event_id` or the value of an outcome is
                of the wrong kind. Other values are judged when the event is.
        """
        own = {key: attributes[key] for key in OWN if attributes.get(key) is not None}
        rest = {key: each for key, each in attributes.items() if key not in OWN}
        numbers = {key: each for key, each in rest.items() if _is_number(each)}
        metadata = {key: each for key, each in rest.items() if key not in numbers}
        flag = _text(own, FLAG)
        measured = {key: own[key] for key in MEASURED if key in own}
        outcome = name in OUTCOMES or flag in (None, name)
        if name in MEASURED and value is not None:
            measured.setdefault(name, _whole(value) if name == "tokens" else value)
        elif not outcome and name not in FAILURES:
            metadata.setdefault("event", name)
            numbers |= {name: value} if value is not None else {}
        return cls(
            flag or name,
            _success(name, own, value=value if outcome else None),
            _text(own, VERSION_ID),
            _text(own, EVENT_ID),
            measured,
            numbers,
            metadata,
        )


def _success(name: str, own: Mapping[str, Any], *, value: float | None) -> bool:
    given = own.get(SUCCESS, name not in FAILURES if value is None else value)
    if given not in (0, 1):  # True and False are 1 and 0
        raise InvalidValue(f"success must be True or False, 1 or 0, got {given!r}")
    return bool(given)


def _text(own: Mapping[str, Any], key: str) -> str | None:
    value = own.get(key)
    if value is not None and not isinstance(value, str):
        raise InvalidValue(f"{key} must be a text, got {value!r}")
    return value


def _whole(value: float) -> float:
    return int(value) if math.isfinite(value) and value == int(value) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
