"""Events as they travel: what is taken of a body, and what is said of the rest."""

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import limits, wire
from domain.wire import Event, Malformed, TooMany, decode_json, decode_lines

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEEP = 100_000


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def refused(event: Any) -> list[tuple[str, str]]:
    """Send an event between two right ones, both ways; return the fields and messages."""
    events = [{"version_id": "v1"}, event, {"version_id": "v2"}]
    lines = b"\n".join(json.dumps(each).encode() for each in events)
    found = decode_json(json.dumps(events).encode(), now=NOW)
    by_line = decode_lines(lines, now=NOW)
    assert found.refusals == by_line.refusals
    assert {refusal.index for refusal in found.refusals} <= {1}
    assert len(found.events) == len(by_line.events) == 3 - len(found.refusals)
    assert msgspec.json.encode(found.refusals)
    return [(refusal.field, refusal.message) for refusal in found.refusals]


def test_an_event_says_everything_it_can() -> None:
    said = {
        "version_id": "v1",
        "event_id": "e1",
        "user_id": "ü",
        "experiment_id": "x",
        "success": False,
        "response_time": 1,
        "tokens": 7,
        "user_rating": 4.5,
        "numbers": {"cost": 0.1},
        "metadata": {"a": [None, {"b": "ü"}]},
        "occurred_at": "2026-11-23T13:00:00+01:00",
    }

    [event] = decode_json(json.dumps([said]).encode(), now=NOW).events

    assert event == Event(
        version_id="v1", event_id="e1", user_id="ü", experiment_id="x", success=False,
        response_time=1.0, tokens=7, user_rating=4.5, numbers={"cost": 0.1},
        metadata={"a": [None, {"b": "ü"}]}, occurred_at=NOW,
    )  # fmt: skip


def test_what_is_not_said_is_filled_in() -> None:
    body = b'{"events": [{"version_id": "v1"}, {"version_id": "v1"}]}'

    first, second = decode_json(body, now=NOW).events

    assert first.occurred_at == second.occurred_at == NOW
    assert first.event_id < second.event_id
    assert (first.success, first.user_id, first.numbers, first.metadata) == (True, None, {}, {})


def test_an_event_made_here_happens_now() -> None:
    before = datetime.now(UTC)

    assert before <= Event(version_id="v1").occurred_at <= datetime.now(UTC)


A_TEXT = "_id must be a text of 1 to 200 characters, without NUL, got "
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"user_rating": 5.5}, "user_rating must be between 1.0 and 5.0, got 5.5"),
    ({"user_rating": True}, "user_rating must be between 1.0 and 5.0, got True"),
    ({"response_time": -0.1}, "response_time must be a finite number of seconds >= 0, got -0.1"),
    ({"response_time": "1"}, "response_time must be a finite number of seconds >= 0, got '1'"),
    ({"response_time": float("nan")}, "response_time must be a finite .* >= 0, got NaN"),
    ({"response_time": float("-inf")}, "response_time must be a finite .* got -Infinity"),
    ({"response_time": 10**400}, "response_time must be a finite .* got 1000.*000"),
    ({"tokens": -1}, "tokens must be an integer from 0 to 9223372036854775807, got -1"),
    ({"tokens": 1.5}, "tokens must be an integer .* got 1.5"),
    ({"tokens": 2**63}, "tokens must be an integer .* got 9223372036854775808"),
    ({"success": 1}, "success must be True or False, got 1"),
    ({"numbers": {"cost": float("inf")}}, r"numbers\['cost'\] must be .*1e\+100, got Infinity"),
    ({"numbers": {"cost": 1e101}}, r"numbers\['cost'\] must be a number within ±1e\+100, got 1e"),
    ({"numbers": {"a b": 1}}, "the name of a number must be .* got 'a b'"),
    ({"numbers": {"a\n": 1}}, r"the name of a number must be .* got 'a\\n'"),
    ({"numbers": {"tokens": 1}}, "no built-in metric, got 'tokens'"),
    ({"numbers": {f"n{i}": 1 for i in range(51)}}, "numbers must be at most 50 names"),
    ({"numbers": [1]}, r"numbers must be at most 50 names with their numbers, got \[1\]"),
    ({"version_id": ""}, f"version{A_TEXT}''"),
    ({"version_id": "x" * 201}, f"version{A_TEXT}'xxx"),
    ({"version_id": None}, f"version{A_TEXT}None"),
    ({"version_id": 7}, f"version{A_TEXT}7"),
    ({"event_id": "a\0b"}, rf"event{A_TEXT}'a\\x00b'"),
    ({"event_id": "\ud800"}, rf"event{A_TEXT}'\\ud800'"),
    ({"user_id": "\udc00"}, rf"user{A_TEXT}'\\udc00'"),
    ({"experiment_id": ""}, f"experiment{A_TEXT}''"),
    ({"metadata": [1]}, r"metadata must be a JSON object of at most 16384 bytes .* got \[1\]"),
    ({"metadata": {"x": float("nan")}}, "metadata must be .* got {'x': NaN}"),
    ({"metadata": {"x": 2**64}}, "metadata must be .* got {'x': 18446744073709551616}"),
    ({"metadata": {"x": "\ud800"}}, r"metadata must be .* got {'x': '\\ud800'}"),
    ({"metadata": {"x": "y" * 16_384}}, "metadata must be .* at most 16384 bytes"),
    ({"metadata": nested(33)}, "metadata must be .* 32 levels, got"),
    ({"occurred_at": 1_700_000_000}, "occurred_at must be an instant in ISO 8601 .* got 17000"),
    ({"occurred_at": "2026-11-23T12:00:00"}, "occurred_at must be .* with its offset, got '2026"),
    ({"occurred_at": "noon"}, "occurred_at must be an instant in ISO 8601 .* got 'noon'"),
    ({"occurred_at": "2026-11-23T12:10:01Z"}, "at most 0:10:00 ahead of 2026-11-23T12:00:00"),
    ({"occurred_at": "2026-10-24T11:59:59Z"}, "at most 30 days behind .* got '2026-10-24T11"),
    ({"occurred_at": "9999-12-31T23:59:59-12:00"}, "at most 30 days behind .* got '9999"),
    ({"zz": 3}, "zz must be one of the fields version_id, .* occurred_at, got 3"),
    ({"numbers": {"\ud800": 1}}, r"the name of a number must be .* got '\\ud800'"),
    ({"a`\ud800": 3}, r"a`\\ud800 must be one of the fields"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "message"), REFUSED)
def test_a_wrong_event_is_refused_alone_by_field_and_value(
    wrong: dict[str, Any], message: str
) -> None:
    [(field, said)] = refused({"version_id": "v1", "event_id": "e1"} | wrong)

    assert [field] == [repr(name)[1:-1] for name in wrong]
    assert re.search(message, said)


@pytest.mark.parametrize(
    "right",
    [
        {"tokens": 2**63 - 1},
        {"numbers": {"a.b-c_D": -1e100, "x" * 64: 1}},
        {"version_id": "x" * 200, "user_id": "😀" * 200},
        {"metadata": {"nul": "\0", "escaped": "ü😀", "large": 2**64 - 1}},
        {"metadata": nested(32)},
        {"occurred_at": "2026-11-23T12:10:00Z"},
        {"occurred_at": "2026-10-24T12:00:00Z"},
    ],
)
def test_the_limits_themselves_are_taken(right: dict[str, Any]) -> None:
    assert refused({"version_id": "v1"} | right) == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3, "event must be a JSON object, got 3"),
        (None, "event must be a JSON object, got None"),
        ([], r"event must be a JSON object, got \[\]"),
        ({}, "version_id must be a text .* got nothing"),
    ],
)
def test_what_is_no_event_is_refused_alone(item: Any, message: str) -> None:
    [(_, said)] = refused(item)

    assert re.search(message, said)


def test_a_refusal_names_the_event() -> None:
    body = b'[{"version_id": "v1"}, {"version_id": "v1", "event_id": "e2", "tokens": -1}]'

    [refusal] = decode_json(body, now=NOW).refusals

    assert (refusal.index, refusal.event_id, refusal.field) == (1, "e2", "tokens")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body is not JSON: Expecting value"),
        (b'[{"version_id": "v1"}', "body is not JSON: Expecting ',' delimiter"),
        (b'{"events": [{"version_id": "v1"', "body is not JSON"),
        (b'[{"version_id": "v1"}] 1', "body is not JSON: Extra data"),
        (b'\xef\xbb\xbf[{"version_id": "v1"}]', "body is not JSON"),
        (b'[{"version_id": "\xff"}]', "body is not JSON: 'utf-8' codec can't decode"),
        (b'[{"tokens": ' + b"9" * 5_000 + b"}]", "body is not JSON"),
        (b"[" * DEEP, "body is nested too deeply"),
        (b'{"events":' * DEEP, "body is nested too deeply"),
        (b"3", r'body must be {"events": \[...\]} or \[...\], got 3'),
        (b"{}", "body must be .* got None"),
        (b'{"events": {}}', "body must be .* got {}"),
        (b'{"events": [], "event": []}', "got the unknown field 'event'"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused_whole(body: bytes, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        decode_json(body, now=NOW)


@pytest.mark.parametrize("right", [True, False])
def test_more_events_than_a_body_may_hold_are_refused_whole(right: bool) -> None:
    line = b'{"version_id": "v1"}' if right else b"{}"
    lines = [line] * (limits.BATCH_LIMIT + 1)

    for decode, body in (
        (decode_json, b"[%b]" % b",".join(lines)),
        (decode_lines, b"\n".join(lines)),
    ):
        with pytest.raises(TooMany, match="at most 10000 at once, got 10001"):
            decode(body, now=NOW)


def test_lines_that_are_empty_are_skipped_and_the_broken_are_refused_alone() -> None:
    lines = [
        b'{"version_id": "v1"}\r', b"", b" \r", b'{"version_id": NaN}', b"\xff", b"[" * DEEP,
        b'{"version_id": "v2"} {}', b'{"version_id": "v3", "metadata": {"a": NaN}}',
        b'{"version_id": "v4"}', b'{"version_id": "v5"',
    ]  # fmt: skip

    found = decode_lines(b"\n".join(lines), now=NOW)

    assert [event.version_id for event in found.events] == ["v1", "v4"]
    assert [(refusal.index, refusal.field) for refusal in found.refusals] == [
        (1, "version_id"), (2, ""), (3, ""), (4, ""), (5, "metadata"), (7, "")
    ]  # fmt: skip
    assert decode_lines(b"\n \n", now=NOW) == decode_json(b"[]", now=NOW)


def test_a_packed_event_comes_back_as_it_was() -> None:
    events = [
        Event(version_id="v1", numbers={"cost": 0.1}, metadata={"a": [None, 2**64 - 1, "\0"]}),
        Event(version_id="v2", occurred_at=NOW - timedelta(days=1), tokens=2**63 - 1),
    ]

    assert wire.unpack(wire.pack(events)) == events


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"\x91" * DEEP, wire.pack([])[:-1], msgspec.msgpack.encode([{}]),
        msgspec.msgpack.encode([{"version_id": "v1", "response_time": float("nan")}]),
        msgspec.msgpack.encode([{"version_id": "v1", "numbers": {"cost": float("nan")}}]),
    ],
)  # fmt: skip
def test_what_was_not_packed_here_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed, match="not packed events"):
        wire.unpack(data)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from([*Event.__struct_fields__, "events", "x"]), inner
    ),
))  # fmt: skip
def test_whatever_is_sent_is_taken_or_refused_and_what_is_taken_can_be_packed(body: Any) -> None:
    sent = json.dumps(body).encode()

    for decode in (decode_json, decode_lines):
        try:
            found = decode(sent, now=NOW)
        except Malformed:
            continue
        assert wire.unpack(wire.pack(found.events)) == found.events
        assert msgspec.json.encode(found.refusals)


@given(st.binary())
def test_no_bytes_break_the_decoder(body: bytes) -> None:
    for decode in (decode_json, decode_lines):
        with suppress(Malformed):
            assert decode(body, now=NOW).events == []
