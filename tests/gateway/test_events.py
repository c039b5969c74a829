"""Events over HTTP: 202 means durable, each wrong one is named, and no input is a 500."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

from domain.database import Database
from domain.errors import Unavailable
from domain.intake.intake import Overloaded, Refused
from domain.tokens import Role
from domain.wire import Event
from gateway.limits import Limits
from tests.gateway.entrance import Entrance, entrance

LINES = "application/x-ndjson"


async def uses(way_in: Entrance, version_id: str) -> int:
    return (await way_in.house.metrics.get_metrics(version_id)).total_uses


async def test_a_batch_is_counted_once_however_often_it_is_sent(way_in: Entrance) -> None:
    version = (await way_in.house.get("1.0.0")).version_id
    batch = [{"version_id": version, "event_id": f"e-{number}"} for number in range(100)]

    first = await way_in.report({"events": batch})
    again = await way_in.report(batch)

    assert (first.status_code, first.json()) == (202, {"accepted": 100, "errors": []})
    assert again.json() == first.json()
    assert await uses(way_in, version) == 100


async def test_lines_are_taken_too(way_in: Entrance) -> None:
    version = (await way_in.house.get("1.0.0")).version_id
    line = json.dumps({"version_id": version, "success": False, "numbers": {"cost": 0.5}})

    answer = await way_in.send(f"{line}\n\n{line}\n".encode(), kind=f"{LINES}; charset=utf-8")

    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert await uses(way_in, version) == 2


async def test_what_is_sound_is_kept_and_what_is_wrong_is_named_by_its_index(
    way_in: Entrance,
) -> None:
    version = (await way_in.house.get("1.0.0")).version_id
    good = {"version_id": version}

    answer = await way_in.report(
        [good, {"version_id": ""}, good, good | {"event_id": "e", "user_rating": 6}, "no"]
    )

    errors = answer.json()["errors"]
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert [(each["index"], each["field"]) for each in errors] == [
        (1, "version_id"),
        (3, "user_rating"),
        (4, ""),
    ]
    assert errors[1]["event_id"] == "e"
    assert "between 1.0 and 5.0" in errors[1]["message"]
    assert await uses(way_in, version) == 2


async def test_a_batch_of_which_nothing_can_be_taken_is_refused_as_a_whole(
    way_in: Entrance,
) -> None:
    answer = await way_in.report([{"success": True}, 7])

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["accepted"] == 0
    assert [each["index"] for each in answer.json()["errors"]] == [0, 1]


async def test_an_empty_batch_is_taken(way_in: Entrance) -> None:
    assert (await way_in.report([])).status_code == 202
    assert (await way_in.send(b"", kind=LINES)).status_code == 202


async def test_events_of_a_deleted_version_are_counted_for_it(way_in: Entrance) -> None:
    gone = (await way_in.house.get("1.1.0")).version_id
    await way_in.house.versions.delete_version(gone)

    answer = await way_in.report([{"version_id": gone}])

    assert answer.status_code == 202
    assert await uses(way_in, gone) == 1


DEEP = b'[{"version_id": "v", "metadata": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]"


IMPOSSIBLE = [
    (b"", 400),
    (b"{", 400),
    (b'{"events": [{"version_id": "v"}', 400),
    (b'"events"', 400),
    (b"null", 400),
    (b'{"event": []}', 400),
    (b'{"events": {}}', 400),
    (b"\xff\xfe", 400),
    (b"\xef\xbb\xbf[]", 400),
    (b"[" * 1_000_000, 400),
    (DEEP, 400),
    (b'[{"version_id": NaN}]', 422),
    (b'[{"version_id": "v", "response_time": NaN}]', 422),
    (b'[{"version_id": "v", "response_time": 1e999}]', 422),
    (b'[{"version_id": "v", "tokens": 1' + b"0" * 5_000 + b"}]", 400),
    (b'[{"version_id": "v", "tokens": 99999999999999999999}]', 422),
    (b'[{"version_id": "\\ud800"}]', 422),
    (b'[{"version_id": "v", "event_id": "\\udfff"}]', 422),
    (b'[{"version_id": "\\u0000"}]', 422),
    (b'[{"version_id": "v", "user_id": "a\\u0000b"}]', 422),
    (b'[{"version_id": "v", "metadata": {"a": "\\ud800"}}]', 422),
    (b'[{"version_id": "v", "\\ud800": 1}]', 422),
    (b'[{"version_id": "v", "numbers": {"\\u0000": 1}}]', 422),
    (b'[{"version_id": "v", "occurred_at": "yesterday"}]', 422),
    (b'[{"version_id": "v", "occurred_at": "0001-01-01T00:00:00+14:00"}]', 422),
    (b'[{"version_id": "v", "occurred_at": "9999-12-31T23:59:59-14:00"}]', 422),
    (b'[{"version_id": "v", "occurred_at": "1999-01-01T00:00:00Z"}]', 422),
    (b'[{"version_id": "v", "success": "yes"}]', 422),
    (b'[{"version_id": ["v"]}]', 422),
]


async def test_a_body_that_cannot_be_is_refused_and_never_a_500(way_in: Entrance) -> None:
    answers = {body: await way_in.send(body) for body, _ in IMPOSSIBLE}

    statuses = {body[:60]: answer.status_code for body, answer in answers.items()}
    assert statuses == {body[:60]: status for body, status in IMPOSSIBLE}
    for answer in answers.values():
        assert answer.json()["status"] == answer.status_code
        assert answer.json()["detail"]


async def test_an_instant_too_far_ahead_is_refused_and_one_of_today_is_not(
    way_in: Entrance,
) -> None:
    now = datetime.now(UTC)
    at = [now + timedelta(days=365), now - timedelta(hours=1), now + timedelta(minutes=1)]

    answer = await way_in.report([{"version_id": "v", "occurred_at": t.isoformat()} for t in at])

    assert [each["index"] for each in answer.json()["errors"]] == [0]
    assert "ahead" in answer.json()["errors"][0]["message"]


async def test_a_body_of_a_broken_line_names_it(way_in: Entrance) -> None:
    answer = await way_in.send(b'{"version_id": "v"}\n{"version_id"\n', kind=LINES)

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert answer.json()["errors"][0]["index"] == 1


async def test_another_kind_of_body_is_not_taken(way_in: Entrance) -> None:
    for kind in (
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json5",
        "json",
    ):
        answer = await way_in.send(b"[]", kind=kind)

        assert answer.status_code == 415
        assert "application/json" in answer.headers["accept"]


async def test_a_body_may_be_zipped_and_is_not_unzipped_beyond_the_limit(
    way_in: Entrance,
) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}

    async def send(content: bytes) -> int:
        answer = await way_in.ask(
            "POST", "/v1/events", role=Role.INGEST, content=content, headers=headers
        )
        return answer.status_code

    whole = gzip.compress(b'[{"version_id": "v"}]')
    assert await send(whole) == 202
    assert await send(whole[:-4]) == 400
    assert await send(whole + whole) == 400
    assert await send(b"no gzip") == 400
    assert await send(gzip.compress(b" " * 2**26, 1)) == 413
    headers["content-encoding"] = "br"
    assert await send(b"[]") == 415


async def test_a_large_body_is_refused_before_and_while_it_comes(sqlite: Database) -> None:
    seen = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal seen
        for _ in range(1_000):
            seen += 1
            yield b" " * 1_000

    async with entrance(sqlite, limits=Limits(events_bytes=10_000)) as way_in:
        declared = await way_in.send(b" " * 10_001)
        headers = {"content-type": "application/json"}
        streamed = await way_in.ask("POST", "/v1/events", content=endless(), headers=headers)
        too_many = await way_in.send(b"{}\n" * 10_001, kind=LINES)
        lying = await way_in.send(b"[]" + b" " * 9_990)

    assert (declared.status_code, streamed.status_code, too_many.status_code) == (413, 413, 413)
    assert declared.headers["connection"] == "close"
    assert seen < 20
    assert lying.status_code == 202


async def test_more_events_than_a_batch_holds_are_refused(way_in: Entrance) -> None:
    answer = await way_in.send(b'{"version_id":"v"}\n' * 10_001, kind=LINES)

    assert answer.status_code == 413
    assert "at most 10000" in answer.json()["detail"]


async def test_a_million_names_of_numbers_make_no_million_metrics(way_in: Entrance) -> None:
    version = (await way_in.house.get("1.0.0")).version_id
    crowded = {"version_id": version, "numbers": {f"n{n}": 1 for n in range(100_000)}}
    batch = [
        {"version_id": version, "numbers": {f"m{event}_{n}": 1 for n in range(50)}}
        for event in range(20)
    ]

    refused = await way_in.report([crowded])
    answer = await way_in.report([crowded | {"numbers": {f"n{n}": 1 for n in range(51)}}, *batch])

    cells = await way_in.house.metrics.read_cells([version])
    assert refused.status_code == 422
    assert answer.status_code == 202
    assert answer.json()["errors"][0]["field"] == "numbers"
    assert len(cells) <= 205


class Scripted:
    """An intake that says what it is told to."""

    def __init__(self, *script: Exception) -> None:
        self._script = list(script)

    async def accept(self, _events: Sequence[Event]) -> None:
        raise self._script.pop(0)


async def test_what_cannot_be_taken_now_is_said_to_be_sent_again(sqlite: Database) -> None:
    full = Overloaded(100, limit=99, unit="events", retry_after=timedelta(seconds=1.5))
    intake = Scripted(full, Unavailable("database is unavailable: test"))
    async with entrance(sqlite, intake=intake) as way_in:
        overloaded = await way_in.report([{"version_id": "v"}])
        away = await way_in.report([{"version_id": "v"}])

    assert (overloaded.status_code, overloaded.headers["retry-after"]) == (429, "2")
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")


async def test_what_the_database_refuses_is_named_by_its_index_too(sqlite: Database) -> None:
    intake = Scripted(Refused({"b": "too many names"}))
    async with entrance(sqlite, intake=intake) as way_in:
        answer = await way_in.report(
            [{"version_id": ""}, {"version_id": "v"}, {"version_id": "v", "event_id": "b"}]
        )

    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    errors = answer.json()["errors"]
    assert [(each["index"], each["event_id"]) for each in errors] == [(0, None), (2, "b")]
    assert errors[1]["message"] == "too many names"


async def test_many_clients_at_once_lose_and_double_nothing(way_in: Entrance) -> None:
    version = (await way_in.house.get("1.0.0")).version_id

    async def client(number: int) -> None:
        for batch in range(5):
            events = [
                {"version_id": version, "event_id": f"{number // 2}-{batch}-{each}"}
                for each in range(20)
            ]
            assert (await way_in.report(events)).status_code == 202

    await asyncio.gather(*(client(number) for number in range(20)))

    assert await uses(way_in, version) == 10 * 5 * 20


async def test_the_wrong_method_is_told_the_right_one(way_in: Entrance) -> None:
    answer = await way_in.ask("GET", "/v1/events", role=Role.INGEST)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_exposures_of_an_experiment_are_recorded_all_or_none(way_in: Entrance) -> None:
    house = way_in.house
    experiment = await way_in.split("1.0.0", "1.1.0")
    epoch = (await house.routing.epochs())["greeting", "system"]
    good = {"experiment_id": experiment, "user_id": "u-1", "version": "1.1.0", "epoch": epoch}

    async def tell(*exposures: object) -> tuple[int, int, list[dict[str, str]]]:
        answer = await way_in.ask(
            "POST", "/v1/exposures", role=Role.INGEST, json={"exposures": exposures}
        )
        told = answer.json()
        return answer.status_code, told.get("accepted", -1), told.get("errors", [])

    assert await tell(good, good) == (202, 2, [])
    status, accepted, errors = await tell(good, good | {"experiment_id": "nope"})
    assert (status, accepted) == (202, 1)
    assert errors[0]["experiment_id"] == "nope"
    assert (await tell(good | {"version": "9.9.9"}))[0] == 422
    assert (await tell(good | {"user_id": "\x00"}))[0] == 422
    assert (await tell(good | {"experiment_id": "\x00"}))[0] == 422
    assert (await tell(good | {"epoch": 10**30}))[0] == 422
    assert (await tell(good | {"epoch": "1"}))[0] == 422
    assert (await tell(7))[0] == 422
    counts = await house.experiments.get_exposure_counts(experiment)
    assert counts == {"1.0.0": 0, "1.1.0": 1}
