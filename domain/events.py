"""What an event must be before it is counted, and how it is kept."""

import json
from collections.abc import Sequence
from datetime import datetime
from numbers import Integral
from reprlib import repr as shortened
from typing import Any

import msgspec

from domain import limits
from domain.errors import InvalidValue
from domain.limits import ALLOWED, LARGEST, MAX_AGE, SKEW, TOKENS_LARGEST
from domain.limits import MEASURED as MEASURED
from domain.limits import SUCCESS as SUCCESS
from domain.limits import TEXT_LIMIT as TEXT_LIMIT
from domain.prompts import MetricEvent
from domain.tables import EventRow
from domain.wire import TEXTS, Event, new_event_id


def check(event: MetricEvent, *, now: datetime) -> None:
    """Refuse an event that must not be counted, in the words in which `wire` refuses it.

    Raises:
        InvalidValue: A field is out of its range; the message names field, value and range.
    """
    for name in TEXTS:
        text = getattr(event, name)
        if text is not None or name == "version_id":
            holds = isinstance(text, str) and limits.TEXT.fullmatch(text) is not None
            _require(holds, name, text)
    _require(isinstance(event.success, bool), "success", event.success)
    _check_measured(event)
    if fault := limits.fault_of_numbers(event.numbers):
        raise InvalidValue(fault)
    _check_metadata(event.metadata)
    at = event.timestamp
    if not (isinstance(at, datetime) and now - MAX_AGE <= at <= now + SKEW):
        timely = f"{limits.TIMELY} {now.isoformat()}"
        raise InvalidValue(f"timestamp must be {timely}, got {shortened(at)}")


def travelling(event: MetricEvent) -> Event:
    """Return an event that was checked as it travels; one without an id is given one."""
    seconds, tokens, rating = event.response_time, event.tokens, event.user_rating
    return Event(
        version_id=event.version_id,
        event_id=new_event_id() if event.event_id is None else event.event_id,
        user_id=event.user_id,
        experiment_id=event.experiment_id,
        success=event.success,
        response_time=None if seconds is None else float(seconds),
        tokens=None if tokens is None else int(tokens),
        user_rating=None if rating is None else float(rating),
        numbers={name: float(value) for name, value in event.numbers.items()},
        metadata=event.metadata,
        occurred_at=event.timestamp,
    )


def arrived(event: Event, *, experiment_id: str | None) -> MetricEvent:
    """Return what travelled, in the words of the seed, with the experiment it counts in."""
    return MetricEvent(
        version_id=event.version_id,
        timestamp=event.occurred_at,
        success=event.success,
        response_time=event.response_time,
        tokens=event.tokens,
        user_rating=event.user_rating,
        metadata=event.metadata,
        event_id=event.event_id,
        user_id=event.user_id,
        experiment_id=experiment_id,
        numbers=event.numbers,
    )


def measurements(event: MetricEvent | Event) -> dict[str, float]:
    """Return what the event says of each metric."""
    found = {SUCCESS: float(event.success)}
    if event.response_time is not None:
        found["response_time"] = event.response_time
    if event.tokens is not None:
        found["tokens"] = float(event.tokens)
    if event.user_rating is not None:
        found["user_rating"] = event.user_rating
    return found | event.numbers if event.numbers else found


def to_columns(
    kept: Sequence[Event], *, experiment_ids: Sequence[str | None], epochs: Sequence[int | None]
) -> list[Sequence[Any]]:
    """Return what the events have in each column of their table."""
    return [
        [event.event_id for event in kept],
        [event.version_id for event in kept],
        experiment_ids,
        epochs,
        [event.user_id for event in kept],
        [event.success for event in kept],
        [event.response_time for event in kept],
        [event.tokens for event in kept],
        [event.user_rating for event in kept],
        [_json(event.numbers) if event.numbers else "{}" for event in kept],
        [_json(event.metadata) if event.metadata else "{}" for event in kept],
        [event.occurred_at for event in kept],
    ]


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


def _json(value: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, UnicodeEncodeError):  # what only Python's encoder takes
        return json.dumps(value)


def _require(holds: bool, field: str, value: object) -> None:
    if not holds:
        raise InvalidValue(f"{field} must be {ALLOWED[field]}, got {shortened(value)}")


def _check_measured(event: MetricEvent) -> None:
    seconds, tokens, rating = event.response_time, event.tokens, event.user_rating
    if seconds is not None:
        _require(limits.is_number(seconds, low=0, high=LARGEST), "response_time", seconds)
    if tokens is not None:
        is_number = limits.is_number(tokens, low=0, high=TOKENS_LARGEST)
        _require(isinstance(tokens, Integral) and is_number, "tokens", tokens)
    if rating is not None and not limits.is_number(rating, low=1, high=5):
        allowed = ALLOWED["user_rating"]
        raise InvalidValue(f"User rating must be {allowed}, got {shortened(rating)}")


def _check_metadata(metadata: object) -> None:
    """Refuse what JSON cannot hold: NaN, objects, circles."""
    if isinstance(metadata, dict) and not metadata:
        return
    try:
        text = json.dumps(metadata, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode(errors="surrogatepass"))
        holds = isinstance(metadata, dict) and size <= limits.METADATA_BYTES
    except (TypeError, ValueError, RecursionError):
        holds = False
    _require(holds and not limits.is_too_deep(metadata), "metadata", metadata)
