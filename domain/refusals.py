"""Why an event is not taken: msgspec's complaints in the words of `domain.limits`."""

import re
from reprlib import repr as shortened

from msgspec import Struct

from domain import limits
from domain.limits import ALLOWED

MISSING = re.compile(r"missing required field `(.*)`")
PLACE = re.compile(r"`\$\.(\w+)")  # of what is wrong in an event


class Refusal(Struct, frozen=True):
    """Why the event at `index` was not taken; `field` is "" when it is no event at all."""

    index: int
    event_id: str | None
    field: str
    message: str


class Unsaid:
    """What JSON cannot say, though Python's encoder says NaN: so its event alone is refused.

    A class of its own, so that no field takes it, and metadata that holds it cannot be packed.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def translated(index: int, item: object, complaint: str) -> Refusal:
    """Return msgspec's complaint in our words."""
    if not isinstance(item, dict):
        return Refusal(index, None, "", f"event must be a JSON object, got {shortened(item)}")
    event_id = item.get("event_id")
    if strange := [name for name in item if name not in ALLOWED]:
        name = shortened(strange[0])[1:-1]
        allowed = f"one of the fields {', '.join(ALLOWED)}"
        return refused(index, event_id, name, item[strange[0]], allowed)
    place = PLACE.search(complaint) or MISSING.search(complaint)
    name = place[1] if place else "numbers"
    if name == "numbers" and (fault := limits.fault_of_numbers(item.get(name))):
        return Refusal(index, _sayable(event_id), name, fault)
    return refused(index, event_id, name, item.get(name, Unsaid("nothing")))


def refused(
    index: int, event_id: object, name: str, value: object, allowed: str | None = None
) -> Refusal:
    """Return that a field is not what is allowed."""
    message = f"{name} must be {allowed or ALLOWED[name]}, got {shortened(value)}"
    return Refusal(index, _sayable(event_id), name, message)


def _sayable(event_id: object) -> str | None:
    """Return the id if an answer can repeat it."""
    is_text = isinstance(event_id, str) and limits.TEXT.fullmatch(event_id)
    return str(event_id) if is_text else None
