"""What an event must be before it is counted, and how it is kept."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any

from domain.errors import InvalidValue
from domain.prompts import Json, MetricEvent
from domain.tables import EventRow

SUCCESS = "success"
MEASURED = ("response_time", "tokens", "user_rating")  # built in, besides success
SKEW = timedelta(minutes=10)  # how far a caller's clock may run ahead of ours
TEXT_LIMIT = 200
NUMBERS_LIMIT = 50  # custom numbers of one event
LARGEST = 1e100  # so that squares and their sums stay finite
TOKENS_LARGEST = 2**63 - 1

# What both databases keep: PostgreSQL takes no NUL, and UTF-8 no half of a surrogate pair.
_TEXT = re.compile(f"[^\0\ud800-\udfff]{{1,{TEXT_LIMIT}}}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)


def check(event: MetricEvent, *, now: datetime) -> None:
    """Refuse an event that must not be counted. The one place where events are judged.

    Raises:
        InvalidValue: A field is out of its range; the message names field, value and range.
    """
    _check_texts(event)
    _require(isinstance(event.success, bool), "success", event.success, "True or False")
    _check_measured(event)
    _check_numbers(event.numbers)
    _check_metadata(event.metadata)
    at = event.timestamp
    timely = isinstance(at, datetime) and at <= now + SKEW
    _require(timely, "timestamp", at, f"an instant, at most {SKEW} ahead of {now.isoformat()}")


def measurements(event: MetricEvent) -> dict[str, float]:
    """Return what the event says of each metric."""
    measured = {name: getattr(event, name) for name in MEASURED}
    given = {name: float(value) for name, value in measured.items() if value is not None}
    numbers = {name: float(value) for name, value in event.numbers.items()}
    return {SUCCESS: float(event.success)} | given | numbers


def to_row(event: MetricEvent, *, epoch: int | None) -> Json:
    """Return the columns of the event's row."""
    found = measurements(event)
    return {
        "id": event.event_id,
        "version_id": event.version_id,
        "experiment_id": event.experiment_id,
        "epoch": epoch,
        "user_id": event.user_id,
        "success": event.success,
        "response_time": found.get("response_time"),
        "tokens": None if event.tokens is None else int(event.tokens),
        "user_rating": found.get("user_rating"),
        "numbers": {name: found[name] for name in event.numbers},
        "details": event.metadata,
        "occurred_at": event.timestamp,
    }


def from_row(row: EventRow) -> MetricEvent:
    """Return the event that a row keeps."""
    return MetricEvent(
        version_id=row.version_id,
        timestamp=row.occurred_at,
        success=row.success,
        response_time=row.response_time,
        tokens=row.tokens,
        user_rating=row.user_rating,
        metadata=row.details,
        event_id=row.id,
        user_id=row.user_id,
        experiment_id=row.experiment_id,
        numbers=row.numbers,
    )


def _require(holds: bool, field: str, value: object, allowed: str) -> None:
    if not holds:
        raise InvalidValue(f"{field} must be {allowed}, got {shortened(value)}")


def _check_texts(event: MetricEvent) -> None:
    texts = {name: getattr(event, name) for name in ("event_id", "user_id", "experiment_id")}
    given = {name: value for name, value in texts.items() if value is not None}
    for name, value in ({"version_id": event.version_id} | given).items():
        allowed = f"a text of 1 to {TEXT_LIMIT} characters, without NUL"
        holds = isinstance(value, str) and _TEXT.fullmatch(value) is not None
        _require(holds, name, value, allowed)


def _is_number(value: object, *, low: float, high: float) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return bool(value <= high) and not value < low  # so that NaN is refused


def _check_measured(event: MetricEvent) -> None:
    seconds, tokens, rating = (getattr(event, name) for name in MEASURED)
    if seconds is not None:
        holds = _is_number(seconds, low=0, high=LARGEST)
        _require(holds, "response_time", seconds, "a finite number of seconds >= 0")
    if tokens is not None:
        holds = isinstance(tokens, Integral) and _is_number(tokens, low=0, high=TOKENS_LARGEST)
        _require(holds, "tokens", tokens, f"an integer from 0 to {TOKENS_LARGEST}")
    if rating is not None:
        holds = _is_number(rating, low=1, high=5)
        _require(holds, "User rating", rating, "between 1.0 and 5.0")


def _check_numbers(numbers: Mapping[str, Any]) -> None:
    _require(isinstance(numbers, Mapping), "numbers", numbers, "names with their numbers")
    _require(len(numbers) <= NUMBERS_LIMIT, "numbers", numbers, f"at most {NUMBERS_LIMIT}")
    for name, value in numbers.items():
        free = isinstance(name, str) and name not in (SUCCESS, *MEASURED)
        holds = free and _NAME.fullmatch(name) is not None
        _require(holds, "the name of a number", name, f"{_NAME.pattern}, and no built-in metric")
        holds = _is_number(value, low=-LARGEST, high=LARGEST)
        _require(holds, f"numbers[{name!r}]", value, f"a number within ±{LARGEST:g}")


def _check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse what JSON cannot hold: NaN, objects, circles."""
    try:
        json.dumps(metadata, allow_nan=False)
        holds = isinstance(metadata, dict)
    except (TypeError, ValueError, RecursionError):
        holds = False
    _require(holds, "metadata", metadata, "a JSON object")
