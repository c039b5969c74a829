"""An event as it travels: decoded and judged in C, event by event, and packed for the stream.

The limits, and the words of a refusal, are those of `domain.limits`; so are those of the events
that are recorded in this process (`domain.events`).
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from reprlib import repr as shortened
from typing import Annotated, Any

import msgspec
import uuid_utils
from msgspec import Meta, Struct, field

from domain import limits
from domain.errors import RampartError
from domain.limits import BATCH_LIMIT, LARGEST, MAX_AGE, SKEW
from domain.refusals import Refusal as Refusal
from domain.refusals import Unsaid, refused, translated

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

TEXTS = ("version_id", "event_id", "user_id", "experiment_id")

_BUILT_IN = "|".join((limits.SUCCESS, *limits.MEASURED))
_arrival: ContextVar[datetime | None] = ContextVar("arrival", default=None)

Text = Annotated[str, Meta(min_length=1, max_length=limits.TEXT_LIMIT)]
Name = Annotated[str, Meta(pattern=rf"^(?!(?:{_BUILT_IN})\Z){limits.NAME.pattern}\Z")]
Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Numbers = Annotated[dict[Name, Number], Meta(max_length=limits.NUMBERS_LIMIT)]


def new_event_id() -> str:
    """Return an id that sorts by time: random ones cost 6 to 10 times as much to index."""
    return str(uuid_utils.uuid7())


def _now() -> datetime:
    return _arrival.get() or datetime.now(UTC)


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What happened to one user of one version.

    Judged where it is decoded; one that is made in Python is trusted.

    Attributes:
        event_id: Idempotency key: an event is counted once, however often it is sent.
        experiment_id: None lets the collector find the live experiment of the version's prompt.
        response_time: Seconds, 0 to 1e100.
        user_rating: 1 to 5.
        numbers: Custom named measurements, within ±1e100.
        occurred_at: Aware; the instant of its arrival when the caller gives none.
    """

    version_id: Text
    event_id: Text = field(default_factory=new_event_id)
    user_id: Text | None = None
    experiment_id: Text | None = None
    success: bool = True
    response_time: Annotated[float, Meta(ge=0, le=LARGEST)] | None = None
    tokens: Annotated[int, Meta(ge=0, le=limits.TOKENS_LARGEST)] | None = None
    user_rating: Annotated[float, Meta(ge=1, le=5)] | None = None
    numbers: Numbers = {}
    metadata: dict[str, Any] = {}
    occurred_at: Annotated[datetime, Meta(tz=True)] = field(default_factory=_now)


class Decoded(Struct, frozen=True):
    """The events of a body that are taken, and why the others are not."""

    events: list[Event]
    refusals: list[Refusal]


class Malformed(RampartError):
    """The body as a whole is not what it says; nothing of it was taken."""


class TooMany(Malformed):
    """The body holds more events than may be sent at once; nothing of it was taken."""


class _Envelope(Struct, forbid_unknown_fields=True):
    events: list[Event]


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_LIST = msgspec.json.Decoder(list[Event])
_LINE = msgspec.json.Decoder(Event)
_PACKED = msgspec.msgpack.Decoder(list[Event])
_PACKER = msgspec.msgpack.Encoder()


def decode_json(body: bytes, *, now: datetime) -> Decoded:
    """Return the events of `{"events": [...]}`, or of the list alone.

    Raises:
        Malformed: It is not JSON in UTF-8, or neither of the two.
        TooMany: It holds more than 10 000 events.
    """
    with _arriving(now):
        try:
            if body.lstrip()[:1] == b"[":
                events = _LIST.decode(body)
            else:
                events = _ENVELOPE.decode(body).events
        except UNREADABLE:
            items = _items(_loads(body, what="body"))
            return _one_by_one(enumerate(items), now=now)
    return _sifted(events, escaped=b"\\u" in body, now=now)


def decode_lines(body: bytes, *, now: datetime) -> Decoded:
    r"""Return the events of NDJSON: one a line; empty lines are skipped and have no index.

    Raises:
        TooMany: It holds more than 10 000 events.
    """
    with _arriving(now):
        lines = [line for line in body.split(b"\n") if line.strip()]
        _check_count(len(lines))
        try:
            events = [_LINE.decode(line) for line in lines]
        except UNREADABLE:
            return _line_by_line(lines, now=now)
    return _sifted(events, escaped=b"\\u" in body, now=now)


def pack(events: Sequence[Event]) -> bytes:
    """Return the events in MessagePack."""
    return _PACKER.encode(events)


def unpack(data: bytes) -> list[Event]:
    """Return the events that were packed.

    Raises:
        Malformed: These are not packed events.
    """
    try:
        return _PACKED.decode(data)
    except UNREADABLE as error:
        raise Malformed(f"not packed events: {error}") from error


@contextmanager
def _arriving(now: datetime) -> Iterator[None]:
    """Let events that do not say when they happened happen now."""
    token = _arrival.set(now)
    try:
        yield
    finally:
        _arrival.reset(token)


def _sifted(events: list[Event], *, escaped: bool, now: datetime) -> Decoded:
    """Return what C has let pass, less what it cannot judge: age, metadata, and escaped texts."""
    _check_count(len(events))
    oldest, newest = now - MAX_AGE, now + SKEW
    suspects = [
        index
        for index, event in enumerate(events)
        if escaped or event.metadata or not oldest <= event.occurred_at <= newest
    ]
    found = {index: _refusal(index, events[index], now=now) for index in suspects}
    refused = {index: refusal for index, refusal in found.items() if refusal}
    if refused:
        events = [event for index, event in enumerate(events) if index not in refused]
    return Decoded(events, list(refused.values()))


def _one_by_one(items: Iterable[tuple[int, object]], *, now: datetime) -> Decoded:
    """Judge each item alone, for at least one of them is wrong."""
    events, refusals = list[Event](), list[Refusal]()
    for index, item in items:
        try:
            event = msgspec.convert(item, Event)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            refusals.append(translated(index, item, str(error)))
            continue
        refusal = _refusal(index, event, now=now)
        if refusal:
            refusals.append(refusal)
        else:
            events.append(event)
    return Decoded(events, refusals)


def _line_by_line(lines: Sequence[bytes], *, now: datetime) -> Decoded:
    broken, items = list[Refusal](), list[tuple[int, object]]()
    for index, line in enumerate(lines):
        try:
            items.append((index, _loads(line, what="event")))
        except Malformed as error:
            broken.append(Refusal(index, None, "", str(error)))
    found = _one_by_one(items, now=now)
    refusals = sorted([*found.refusals, *broken], key=lambda refusal: refusal.index)
    return Decoded(found.events, refusals)


def _check_count(count: int) -> None:
    if count > BATCH_LIMIT:
        raise TooMany(f"events must be at most {BATCH_LIMIT} at once, got {count}")


def _finite(text: str) -> object:
    value = float(text)
    return value if math.isfinite(value) else Unsaid(text)


def _loads(body: bytes, *, what: str) -> object:
    try:
        return json.loads(body.decode(), parse_constant=Unsaid, parse_float=_finite)
    except RecursionError as error:
        raise Malformed(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise Malformed(f"{what} is not JSON: {error}") from error


def _items(body: object) -> list[object]:
    allowed = 'body must be {"events": [...]} or [...]'
    if isinstance(body, dict):
        if strange := sorted(body.keys() - {"events"}):
            raise Malformed(f"{allowed}, got the unknown field {shortened(strange[0])}")
        body = body.get("events")
    if not isinstance(body, list):
        raise Malformed(f"{allowed}, got {shortened(body)}")
    _check_count(len(body))
    return body


def _refusal(index: int, event: Event, *, now: datetime) -> Refusal | None:
    """Judge what C cannot: NUL and half surrogates, the size of metadata, and the age."""
    for name in TEXTS:
        text = getattr(event, name)
        if text is not None and not limits.TEXT.fullmatch(text):
            return refused(index, event.event_id, name, text)
    if event.metadata and not _is_packable(event.metadata):
        return refused(index, event.event_id, "metadata", event.metadata)
    if not now - MAX_AGE <= event.occurred_at <= now + SKEW:
        at, timely = event.occurred_at.isoformat(), f"{limits.TIMELY} {now.isoformat()}"
        return refused(index, event.event_id, "occurred_at", at, timely)
    return None


def _is_packable(metadata: dict[str, Any]) -> bool:
    try:
        packed = _PACKER.encode(metadata)
    except (TypeError, OverflowError, UnicodeEncodeError, RecursionError):
        return False
    return len(packed) <= limits.METADATA_BYTES and not limits.is_too_deep(metadata)
