"""OFREP 0.3: one flag and all of them, from memory, with the protocol's errors."""

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest

from domain.database import Database
from domain.tokens import Role
from tests.gateway.entrance import ON_SQLITE, Entrance, entrance
from tests.house import USERS

ONE = "/ofrep/v1/evaluate/flags/greeting.system"
ALL = "/ofrep/v1/evaluate/flags"


async def variants(way_in: Entrance, users: list[str]) -> dict[str, str]:
    answers = [await way_in.evaluate("greeting.system", targetingKey=user) for user in users]
    return {user: answer.json()["variant"] for user, answer in zip(users, answers, strict=True)}


async def routed(way_in: Entrance) -> None:
    """Wait until the gateway knows what the database says."""

    async def knows() -> bool:
        held = way_in.gateway._services.router.snapshots
        known = {prompt: snapshot.epoch for prompt, snapshot in held.items()}
        return known == await way_in.house.routing.epochs()

    await way_in.until(knows, True)


async def test_a_flag_without_an_experiment_serves_production(way_in: Entrance) -> None:
    version = await way_in.house.get("1.0.0")

    answer = await way_in.evaluate("greeting.system", targetingKey="user-1")

    assert answer.status_code == 200
    told = answer.json()
    assert told["metadata"].pop("epoch") >= 1
    assert told == {
        "key": "greeting.system",
        "value": "Hello 1.0.0",
        "variant": "1.0.0",
        "reason": "DEFAULT",
        "metadata": {"version_id": version.version_id, "rampart_reason": "DEFAULT"},
    }


async def test_users_are_split_as_the_snapshot_says_and_recorded_once(way_in: Entrance) -> None:
    experiment = await way_in.split("1.0.0", "1.1.0")
    await routed(way_in)
    snapshot = await way_in.house.routing.snapshot("greeting", "system")
    assert snapshot

    given = await variants(way_in, USERS[:300])
    assert given == await variants(way_in, USERS[:300])

    assert given == {user: snapshot.evaluate(user).version for user in USERS[:300]}
    counts = way_in.house.experiments.get_exposure_counts
    await way_in.until(lambda: counts(experiment), dict(Counter(given.values())))
    shown = (await way_in.ask("GET", "/metrics")).text
    assert "rampart_exposures_recorded_total 300.0" in shown
    assert "rampart_exposures_dropped_total 0.0" in shown


@ON_SQLITE
async def test_all_flags_come_at_once_and_again_only_when_they_changed(way_in: Entrance) -> None:
    await way_in.split("1.0.0", "1.1.0")
    await way_in.house.versions.create_version("farewell", "user", "Bye", tags=["production"])
    await routed(way_in)

    first = await way_in.evaluate(targetingKey="user-1")
    etag = {"if-none-match": f'"other", W/{first.headers["etag"]}'}
    body: dict[str, Any] = {"context": {"targetingKey": "user-1"}}
    same = await way_in.ask("POST", ALL, json=body, headers=etag)
    await way_in.split_ends()
    await routed(way_in)
    changed = await way_in.ask("POST", ALL, json=body, headers=etag)

    assert [flag["key"] for flag in first.json()["flags"]] == ["farewell.user", "greeting.system"]
    assert first.json()["eventStreams"][0]["type"] == "sse"
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]


UNKNOWN = [
    "nope.system",
    "greeting",
    "greeting.",
    ".system",
    "greeting.system.",
    "%00",
    "%2e%2e%2f",
    "..%2f..%2fetc%2fpasswd",
    "greeting.system/",
    "a" * 5_000,
    "%F0%9F%8E%9B.x",
    "%ff.system",
    "greeting%2Esystem%00",
]


@ON_SQLITE
async def test_a_flag_nobody_knows_is_not_found(way_in: Entrance) -> None:
    body = {"context": {"targetingKey": "user-1"}}
    for key in UNKNOWN:
        answer = await way_in.ask("POST", f"{ALL}/{key}", json=body)

        assert answer.status_code == 404, key
        assert answer.json()["errorCode"] == "FLAG_NOT_FOUND"
        assert "key" in answer.json()


IMPOSSIBLE = [
    (b"", "PARSE_ERROR"),
    (b"{", "PARSE_ERROR"),
    (b"[]", "PARSE_ERROR"),
    (b'"x"', "PARSE_ERROR"),
    (b"\xff", "PARSE_ERROR"),
    (b'{"context": {"targetingKey": NaN}}', "PARSE_ERROR"),
    (b'{"context": ' + b'{"a":' * 100_00 + b"1" + b"}" * 100_01, "PARSE_ERROR"),
    (b'{"context": ' + b"[" * 10_000, "INVALID_CONTEXT"),
    (b'{"context": "user-1"}', "INVALID_CONTEXT"),
    (b'{"context": null}', "INVALID_CONTEXT"),
    (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
    (b'{"context": {"targetingKey": ["a"]}}', "INVALID_CONTEXT"),
    (b'{"context": {"targetingKey": "a\\u0000"}}', "INVALID_CONTEXT"),
    (b'{"context": {"targetingKey": "' + b"a" * 201 + b'"}}', "INVALID_CONTEXT"),
    (b"{}", "TARGETING_KEY_MISSING"),
    (b'{"context": {}}', "TARGETING_KEY_MISSING"),
    (b'{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
    (b'{"context": {"targetingKey": null}}', "TARGETING_KEY_MISSING"),
    (b'{"context": {"targetingkey": "user-1"}}', "TARGETING_KEY_MISSING"),
]


@pytest.mark.parametrize("path", [ONE, ALL])
@ON_SQLITE
async def test_a_request_that_cannot_be_evaluated_gets_the_protocols_code(
    way_in: Entrance, path: str
) -> None:
    headers = {"content-type": "application/json"}
    for body, code in IMPOSSIBLE:
        answer = await way_in.ask("POST", path, content=body, headers=headers)

        assert (answer.status_code, answer.json()["errorCode"]) == (400, code), body[:60]
        assert answer.json()["errorDetails"]
        assert ("key" in answer.json()) == (path == ONE)


@pytest.mark.parametrize("path", [ONE, ALL])
@ON_SQLITE
async def test_refusals_have_the_protocols_shape(way_in: Entrance, path: str) -> None:
    body = {"context": {"targetingKey": "user-1"}}
    answers = {
        401: await way_in.ask("POST", path, role=None, json=body),
        403: await way_in.ask("POST", path, role=Role.INGEST, json=body),
        405: await way_in.ask("GET", path),
        413: await way_in.ask("POST", path, json=body | {"a": "b" * 70_000}),
        415: await way_in.ask("POST", path, data={"context": "user-1"}),
    }

    assert {wanted: answer.status_code for wanted, answer in answers.items()} == {
        status: status for status in answers
    }
    for answer in answers.values():
        assert answer.json()["errorCode"] == "GENERAL"
        assert answer.json()["errorDetails"]


async def test_odd_users_and_attributes_are_served_as_everybody_else(way_in: Entrance) -> None:
    for user in ("ünï", "🎛️", "a b", "x" * 200, '"', "null", "\u200b"):
        answer = await way_in.evaluate(
            "greeting.system", targetingKey=user, plan={"a": [None, 1.5, {}]}, user_id=7
        )
        assert answer.status_code == 200


async def test_a_version_that_is_gone_leaves_the_value_to_the_application(
    way_in: Entrance,
) -> None:
    await way_in.split("1.0.0", "1.1.0", "9.9.9")
    await routed(way_in)

    answers = [await way_in.evaluate("greeting.system", targetingKey=user) for user in USERS[:50]]

    unregistered = [
        told for told in map(httpx.Response.json, answers) if "9.9.9" in told["variant"]
    ]
    assert unregistered
    for told in unregistered:
        assert "value" not in told
        assert "version_id" not in told["metadata"]


async def test_serving_goes_on_without_the_database_and_asks_it_nothing(
    way_in: Entrance,
) -> None:
    await way_in.split("1.0.0", "1.1.0")
    await routed(way_in)
    before = await variants(way_in, USERS[:20])

    async with way_in.outage():
        during = await variants(way_in, USERS[:20])
        fresh = await way_in.evaluate("greeting.system", targetingKey="somebody-new")

    assert during == before
    assert fresh.status_code == 200


async def test_without_a_database_from_the_beginning_nothing_is_said_to_be_unknown(
    sqlite: Database,
) -> None:
    async with entrance(sqlite) as way_in:
        router = way_in.gateway._services.router
        router._snapshots.clear()
        router._stale = True
        answer = await way_in.evaluate("nobody.knows", targetingKey="u")
        ready = await way_in.ask("GET", "/readyz", role=None)
        router._stale = False

    assert (answer.status_code, answer.json()["errorCode"]) == (503, "GENERAL")
    assert answer.headers["retry-after"]
    assert ready.status_code == 503


async def test_a_rollback_is_served_without_being_asked_for(way_in: Entrance) -> None:
    rollout = await way_in.house.ramped(1)
    await routed(way_in)
    treated = set((await variants(way_in, USERS[:200])).values())

    await way_in.house.rollouts.roll_back(rollout.id, reason="enough", by="ada")
    async with asyncio.timeout(30):
        while set((await variants(way_in, USERS[:200])).values()) != {"1.0.0"}:
            await asyncio.sleep(0.02)

    assert treated == {"1.0.0", "1.1.0"}
