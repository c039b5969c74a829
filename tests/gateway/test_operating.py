"""The operator's verbs over HTTP: what `control` does, said in statuses and problems."""

import json
from typing import Any
from uuid import uuid4

import pytest

from domain.segments.lanes import SegmentManager
from domain.tokens import Role
from tests.gateway.entrance import ON_SQLITE, Entrance

PLAN = {"stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}], "check_max": "1h"}
STARTED = {"flag": "greeting.system", "candidate": "1.1.0", "plan": PLAN, "reason": "better"}


async def operate(
    way_in: Entrance, path: str, body: Any = None, *, key: str = ""
) -> tuple[int, Any]:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "idempotency-key": key}
    answer = await way_in.ask(
        "POST", f"/v1/{path}", role=Role.OPERATE, content=content, headers=headers
    )
    return answer.status_code, answer.json()


async def look(way_in: Entrance, path: str) -> tuple[int, Any]:
    answer = await way_in.ask("GET", f"/v1/{path}", role=Role.OPERATE)
    return answer.status_code, answer.json()


@ON_SQLITE
async def test_a_rollout_is_started_paused_resumed_and_rolled_back_over_http(
    operated: Entrance,
) -> None:
    status, opened = await operate(operated, "rollouts", STARTED)
    assert status == 201
    assert opened["progress"]["candidate"] == "1.1.0"

    again = await operate(operated, "rollouts", STARTED)
    paused = await operate(operated, "rollouts/greeting.system/pause", {"reason": "lunch"})
    refused = await operate(operated, "rollouts/greeting.system/pause")
    resumed = await operate(operated, "rollouts/greeting.system/resume")
    gone = await operate(operated, "rollouts/greeting.system/rollback", {"reason": "enough"})

    assert (again[0], paused[0], refused[0], resumed[0], gone[0]) == (409, 200, 409, 200, 200)
    assert "live already" in again[1]["detail"]
    assert refused[1]["title"] == "Conflict"
    await operated.until(lambda: phase(operated), "rolled_back")
    status, journal = await look(operated, "rollouts/greeting.system/decisions")
    by = {(line["kind"], line["by"]) for line in journal if line["by"]}
    assert status == 200
    assert by == {
        ("opened", "operate"),
        ("paused", "operate"),
        ("resumed", "operate"),
        ("rolling_back", "operate"),
        ("rolled_back", "operate"),
    }
    assert any("enough" in line["reason"] for line in journal)


@ON_SQLITE
async def test_a_rollout_is_amended_extended_and_steered_once_per_key_over_http(
    operated: Entrance,
) -> None:
    flag, begin = "rollouts/greeting.system", str(uuid4())  # the server is that of other tests, too
    first = await operate(operated, "rollouts", STARTED, key=begin)
    again = await operate(operated, "rollouts", STARTED, key=begin)
    other = await operate(operated, "rollouts", STARTED | {"plan": "demo"}, key=begin)
    change = {"set": {"final_bake": "2h", "stages.1.bake": "20d"}, "reason": "quiet"}
    amended = await operate(operated, f"{flag}/amend", change, key="a")
    repeated = await operate(operated, f"{flag}/amend", change, key="a")
    lower = await operate(operated, f"{flag}/amend", {"set": {"stages.1.percent": 5}})
    wider = await operate(operated, f"{flag}/amend", {"set": {"alpha": 0.5}})
    extended = await operate(operated, f"{flag}/extend", {"longer": "2h"})
    misused = await operate(operated, f"{flag}/pause", key="a")
    skipped = await operate(operated, f"{flag}/skip")
    await operate(operated, f"{flag}/rollback", key="r")

    assert (first[0], again[0], other[0]) == (201, 201, 409)
    assert first[1]["run_id"] == again[1]["run_id"]
    assert amended == repeated
    assert amended[1] == {
        "said": "amended",
        "changes": ["stages.1.bake: 30d → 20d", "final_bake: 30m → 2h"],
    }
    assert [refused[0] for refused in (lower, wider, misused, skipped)] == [409] * 4
    assert "lowers stage 1" in lower[1]["detail"]
    assert "widens" in wider[1]["detail"]
    assert "used for amend already" in misused[1]["detail"]
    assert extended[1]["changes"] == ["stages.1.bake: 20d → 20d2h"]
    await operated.until(lambda: phase(operated), "rolled_back")
    _, journal = await look(operated, f"{flag}/decisions")
    kinds = [line["kind"] for line in journal]
    assert (kinds.count("amended"), kinds.count("extended")) == (1, 1)
    assert next(line for line in journal if line["kind"] == "amended")["by"] == "operate"


async def phase(way_in: Entrance) -> str | None:
    _, found = await look(way_in, "rollouts/greeting.system")
    return found["outcome"]["outcome"] if found["outcome"] else None


async def test_a_rollback_can_be_ordered_directly_and_the_workflow_concludes_so(
    operated: Entrance,
) -> None:
    before = await operated.house.facts()
    await operate(operated, "rollouts", STARTED)

    refused = await operate(operated, "rollouts/greeting.system/pause?direct=true")
    gone = await operate(
        operated, "rollouts/greeting.system/rollback?direct=true", {"reason": "fire"}
    )
    again = await operate(operated, "rollouts/greeting.system/rollback?direct=true")

    assert (refused[0], refused[1]["detail"]) == (422, "direct: only a rollback can be, got pause")
    assert (gone[0], again[0]) == (200, 404)
    assert gone[1]["said"] == "rolled back directly, and read back; its workflow was told"
    assert await operated.house.facts() == before
    await operated.until(lambda: phase(operated), "rolled_back")
    _, found = await look(operated, "rollouts/greeting.system")
    assert (found["outcome"]["by"], found["outcome"]["reason"]) == ("operate", "directly: fire")


async def test_a_direct_rollback_needs_no_temporal_but_the_right_role(way_in: Entrance) -> None:
    before = await way_in.house.facts()
    await way_in.house.ramped(stage=2)
    path = "/v1/rollouts/greeting.system/rollback"

    plain = await way_in.ask("POST", path, role=Role.OPERATE)
    forbidden = await way_in.ask("POST", f"{path}?direct=true", role=Role.EVALUATE)
    status, answer = await operate(way_in, "rollouts/greeting.system/rollback?direct=true")

    assert (plain.status_code, forbidden.status_code, status) == (503, 403, 200)
    assert answer["said"].endswith("its workflow was not reached, and will find it so")
    assert await way_in.house.facts() == before


async def test_verbs_without_a_live_rollout_are_not_found(operated: Entrance) -> None:
    for path in ("rollouts", "experiments", "rings"):
        verb = "stop" if path == "experiments" else "rollback"
        assert (await look(operated, f"{path}/nobody.knows"))[0] == 404
        assert (await operate(operated, f"{path}/nobody.knows/{verb}"))[0] == 404
    assert (await look(operated, "monitors/nobody"))[0] == 404
    assert (await look(operated, "monitors/nobody/alerts"))[0] == 404
    assert (await operate(operated, "monitors/nobody/stop"))[0] == 404
    assert (await look(operated, "rollouts/nobody.knows/decisions"))[0] == 404


async def test_what_the_opening_refuses_is_a_conflict_that_says_why(operated: Entrance) -> None:
    status, problem = await operate(operated, "rollouts", STARTED | {"candidate": "7.7.7"})

    assert status == 409
    assert "7.7.7" in problem["detail"]


@ON_SQLITE
async def test_an_experiment_and_a_monitor_are_started_and_ended(operated: Entrance) -> None:
    plan = {"variants": ["1.0.0", "1.1.0"], "goal": "success"}
    started = await operate(operated, "experiments", {"flag": "greeting.system", "plan": plan})
    described = await look(operated, "experiments/greeting.system")
    stopped = await operate(operated, "experiments/greeting.system/stop", {"reason": "enough"})
    version = (await operated.house.get("1.0.0")).version_id
    watched = {"name": "nightly", "plan": {"versions": [version], "duration": "300d"}}
    monitor = await operate(operated, "monitors", watched)
    alerts = await look(operated, "monitors/nightly/alerts")
    ended = await operate(operated, "monitors/nightly/stop")

    assert (started[0], described[0], stopped[0]) == (201, 200, 200), started
    assert (monitor[0], alerts, ended[0]) == (201, (200, []), 200), monitor


STARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # what is asked, and another thing
    "experiments": (
        {"flag": "greeting.system", "plan": {"variants": ["1.0.0", "1.1.0"]}},
        {"flag": "greeting.system", "plan": {"variants": ["1.1.0", "1.0.0"]}},
    ),
    "rings": (
        {"flag": "greeting.system", "candidate": "1.1.0", "plan": {"plan": PLAN}},
        {"flag": "greeting.system", "candidate": "1.1.0", "plan": {"plan": "demo"}},
    ),
    "monitors": (
        {"name": "keyed", "plan": {"versions": ["v-1"], "duration": "300d"}},
        {"name": "keyed", "plan": {"versions": ["v-2"], "duration": "300d"}},
    ),
}


@pytest.mark.parametrize("place", STARTS)
@ON_SQLITE
async def test_what_is_started_again_with_its_key_is_started_once(
    operated: Entrance, place: str
) -> None:
    asked, other = STARTS[place]
    key = str(uuid4())
    await SegmentManager(operated.house.database).define(
        "greeting", "system", "internal", 'mail.endsWith("@example.com")'
    )

    first = await operate(operated, place, asked, key=key)
    again = await operate(operated, place, asked | {"reason": "a retry"}, key=key)
    without = await operate(operated, place, asked)
    refused = await operate(operated, place, other, key=key)
    mine = f"{place}/{asked.get('name', 'greeting.system')}"
    await operate(operated, f"{mine}/{'rollback' if place == 'rings' else 'stop'}")

    async def over() -> bool:
        return bool((await look(operated, mine))[1]["closed_at"])

    await operated.until(over, True)

    assert (first[0], again[0]) == (201, 201), (first, again)
    assert first[1]["run_id"] == again[1]["run_id"]
    assert without[0] == 409, (first, without)
    assert "is live already" in without[1]["detail"]
    assert refused[0] == 409
    assert "started something else already" in refused[1]["detail"]


IMPOSSIBLE: list[tuple[str, Any]] = [
    ("rollouts", {}),
    ("rollouts", STARTED | {"flag": "greeting"}),
    ("rollouts", STARTED | {"flag": "a\x00.system"}),
    ("rollouts", STARTED | {"plan": "nope"}),
    ("rollouts", STARTED | {"plan": PLAN | {"windows": {"time_zone": "Europe/Berln"}}}),
    ("rollouts", STARTED | {"start_at": "2026-12-01T09:00"}),
    ("rollouts", STARTED | {"plan": {"stages": []}}),
    ("rollouts", STARTED | {"plan": {"stages": [{"percent": 1e999}]}}),
    ("rollouts", STARTED | {"plan": {"name": "a\x00"}}),
    ("rollouts", STARTED | {"plan": {"name": "\ud800"}}),
    ("rollouts", STARTED | {"candidate": "a\x00"}),
    ("rollouts", STARTED | {"reason": "a\x00"}),
    ("rollouts", STARTED | {"reason": "\ud800"}),
    ("rollouts", STARTED | {"reason": "x" * 2_001}),
    ("rollouts", STARTED | {"by": "somebody else"}),
    ("rollouts", []),
    ("rollouts/greeting/pause", None),
    ("rollouts/greeting.system/explode", None),
    ("rollouts/greeting.system/pause", {"reason": 7}),
    ("rollouts/greeting.system/pause", {"longer": "2h"}),
    ("rollouts/greeting.system/extend", {"longer": "soon"}),
    ("rollouts/greeting.system/amend", {}),
    ("rollouts/greeting.system/amend", {"plan": "nope"}),
    ("rollouts/greeting.system/amend", {"plan": {"stages": []}}),
    ("rollouts/greeting.system/amend", {"set": {"final_bake": "a\x00"}}),
    ("rollouts/greeting.system/amend", {"set": []}),
    ("rollouts/greeting.system/skip", {"to": 0}),
    ("rollouts/greeting.system/promote", {"full": "very"}),
    ("experiments", {"flag": "greeting.system", "plan": {}}),
    ("rings", {"flag": "greeting.system", "candidate": "1.1.0", "plan": {"x": 1}}),
    ("monitors", {"name": "m", "plan": {}}),
    ("monitors", {"name": "m", "plan": {"versions": ["v"], "by": "somebody else"}}),
    ("monitors", {"name": "a\x00", "plan": {"versions": ["v"]}}),
    ("prompts/greeting/versions", {"template": "x"}),
    ("prompts/greeting.system/versions", {}),
    ("prompts/greeting.system/versions", {"template": "a\x00"}),
    ("prompts/greeting.system/versions", {"template": "\ud800"}),
    ("prompts/greeting.system/versions", {"template": "x", "version": "one"}),
    ("prompts/greeting.system/versions", {"template": "x", "metadata": {"a": "\ud800"}}),
    ("prompts/greeting.system/versions", {"template": "x", "tags": [""]}),
    ("prompts/greeting.system/tags", {"version": "1.1.0", "tag": "a\nb"}),
    ("prompts/greeting.system/tags", {"version": "1.1.0"}),
]


async def test_what_cannot_be_meant_is_unprocessable_and_says_why(way_in: Entrance) -> None:
    for path, body in IMPOSSIBLE:
        status, problem = await operate(way_in, path, body)

        assert (status, problem["title"]) == (422, "Unprocessable Entity"), (path, body)
        assert problem["detail"]


@ON_SQLITE
async def test_what_is_no_json_is_a_bad_request(way_in: Entrance) -> None:
    headers = {"content-type": "application/json"}
    for content in (b"{", b"\xff", b"[" * 100_000, b'{"a": ' * 50_000):
        answer = await way_in.ask("POST", "/v1/rollouts", content=content, headers=headers)

        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"


@ON_SQLITE
async def test_another_kind_of_body_is_not_taken(way_in: Entrance) -> None:
    answer = await way_in.ask("POST", "/v1/rollouts", data={"flag": "greeting.system"})

    assert answer.status_code == 415


@ON_SQLITE
async def test_a_large_body_is_refused(way_in: Entrance) -> None:
    answer = await way_in.ask("POST", "/v1/rollouts", content=b" " * (2**20 + 1))

    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.guarantee(14)
async def test_while_temporal_is_away_only_what_needs_it_is(way_in: Entrance) -> None:
    away = await way_in.ask("GET", "/v1/rollouts")
    started = await way_in.ask("POST", "/v1/rollouts", json=STARTED)
    rollback = await way_in.ask("POST", "/v1/rollouts/greeting.system/rollback")
    served = await way_in.evaluate("greeting.system", targetingKey="user-1")
    reported = await way_in.report([{"version_id": "v"}])
    prompts = await way_in.ask("GET", "/v1/prompts")

    assert [each.status_code for each in (away, started, rollback)] == [503, 503, 503]
    assert away.headers["retry-after"]
    assert [each.status_code for each in (served, reported, prompts)] == [200, 202, 200]


async def test_versions_are_made_tagged_and_reverted_by_whoever_holds_the_token(
    way_in: Entrance,
) -> None:
    place = "prompts/greeting.system"
    made = await operate(way_in, f"{place}/versions", {"template": "Hi", "metadata": {"a": 1}})
    tagged = await operate(
        way_in, f"{place}/tags", {"version": made[1]["version"], "tag": "production"}
    )
    taken = await operate(way_in, f"{place}/versions", {"template": "Hi", "version": "1.0.0"})
    reverted = await operate(way_in, f"{place}/revert", {"reason": "too short"})
    listed = await look(way_in, f"{place}/versions")
    moves = await look(way_in, f"{place}/history")
    missing = await look(way_in, f"{place}/versions/9.9.9")

    assert (made[0], made[1]["created_by"], made[1]["metadata"]) == (201, "operate", {"a": 1})
    assert tagged[1]["tags"] == ["production"]
    assert taken[0] == 409
    assert reverted[1]["version"] == "1.0.0"
    assert [each["version"] for each in listed[1]] == ["1.1.1", "1.1.0", "1.0.0"]
    assert [(move["by"], move["reason"]) for move in moves[1]][-1] == ("operate", "too short")
    assert missing[0] == 404


TRICKS = [
    "/v1/prompts/%00.system/versions",
    "/v1/prompts/a.b%00/versions",
    "/v1/prompts/../versions",
    "/v1/prompts/greeting.system/versions/%00",
    "/v1/prompts/greeting.system/versions/%ff",
    "/v1/prompts/greeting.system/history?tag=%00",
    "/v1/rollouts/%00.a/decisions",
    "/v1/rollouts/" + "a" * 5_000 + ".b/decisions",
    "/v1/prompts//etc/passwd/versions",
    "/v1/monitors/%00",
]


async def test_tricks_in_a_path_find_nothing(way_in: Entrance) -> None:
    for path in TRICKS:
        answer = await way_in.ask("GET", path)

        assert answer.status_code in (404, 422), path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_name_with_a_slash_is_a_name(way_in: Entrance) -> None:
    await way_in.house.versions.create_version("team/a", "system", "Hi", tags=["production"])

    found = await way_in.ask("GET", "/v1/prompts/team%2Fa.system/versions")
    known = await way_in.ask("GET", "/v1/prompts")

    assert [each["name"] for each in found.json()] == ["team/a"]
    assert "team/a.system" in known.json()
