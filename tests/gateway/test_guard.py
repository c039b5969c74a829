"""Closed by default: what is answered to whom, and how often."""

import pytest

from domain.database import Database
from domain.tokens import Role
from gateway.limits import Limits
from gateway.rates import Rates
from tests.gateway.entrance import ON_SQLITE, Entrance, entrance

PATHS = [
    ("POST", "/v1/events", {Role.INGEST, Role.ADMIN}),
    ("POST", "/v1/exposures", {Role.INGEST, Role.ADMIN}),
    ("POST", "/ofrep/v1/evaluate/flags", {Role.EVALUATE, Role.OPERATE, Role.ADMIN}),
    ("POST", "/ofrep/v1/evaluate/flags/greeting.system",
     {Role.EVALUATE, Role.OPERATE, Role.ADMIN}),
    ("GET", "/v1/rollouts", {Role.OPERATE, Role.ADMIN}),
    ("POST", "/v1/rollouts/greeting.system/rollback", {Role.OPERATE, Role.ADMIN}),
    ("GET", "/v1/prompts", {Role.OPERATE, Role.ADMIN}),
    ("GET", "/v1/tokens", {Role.ADMIN}),
    ("POST", "/v1/tokens", {Role.ADMIN}),
    ("GET", "/v1/nothing", {Role.ADMIN}),
    ("GET", "/v1/tokens/", {Role.ADMIN}),
    ("GET", "//v1/tokens", {Role.ADMIN}),
    ("GET", "/v1/rollouts/../tokens", {Role.ADMIN}),
    ("GET", "/metrics", set(Role)),
]  # fmt: skip


@ON_SQLITE
async def test_a_path_opens_to_the_roles_that_it_needs_and_to_no_other(
    way_in: Entrance,
) -> None:
    for method, path, allowed in PATHS:
        answers = {role: await way_in.ask(method, path, role=role) for role in Role}
        nobody = await way_in.ask(method, path, role=None)

        passed = {role for role, answer in answers.items() if answer.status_code != 403}
        assert passed == allowed, path
        assert not [each for each in answers.values() if each.status_code in (401, 500)]
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Bearer")


@ON_SQLITE
async def test_health_and_the_description_of_the_api_are_open_to_everybody(
    way_in: Entrance,
) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert (await way_in.ask("GET", path, role=None)).status_code == 200


ODD = ["", "Bearer", "Bearer ", "Bearer x", "Basic cm9vdDpyb290", "rampart_1_2", "Bearer ünï"]


@ON_SQLITE
async def test_what_is_no_bearer_token_is_answered_401(way_in: Entrance) -> None:
    for authorization in ODD:
        headers = {"authorization": authorization.encode()}
        answer = await way_in.ask("POST", "/v1/events", role=None, headers=headers)

        assert answer.status_code == 401
        assert "invalid_token" in answer.headers["www-authenticate"]
        assert answer.headers["content-type"] == "application/problem+json"


@ON_SQLITE
async def test_a_token_is_taken_as_an_api_key_too(way_in: Entrance) -> None:
    key = {"x-api-key": way_in.texts[Role.EVALUATE]}
    body = {"context": {"targetingKey": "user-1"}}

    answer = await way_in.ask("POST", "/ofrep/v1/evaluate/flags", role=None, headers=key, json=body)

    assert answer.status_code == 200


async def test_a_token_that_is_made_passes_at_once_and_revoked_soon_not_any_more(
    way_in: Entrance,
) -> None:
    made = await way_in.ask("POST", "/v1/tokens", json={"name": "new", "roles": ["operate"]})
    headers = {"authorization": f"Bearer {made.json()['text']}"}

    async def status() -> int:
        answer = await way_in.ask("GET", "/v1/prompts", role=None, headers=headers)
        return answer.status_code

    await way_in.until(status, 200)
    revoked = await way_in.ask("POST", f"/v1/tokens/{made.json()['token']['id']}/revoke")
    await way_in.until(status, 401)

    assert (made.status_code, revoked.status_code) == (201, 200)
    assert revoked.json()["revoked_by"] == "admin"
    listed = (await way_in.ask("GET", "/v1/tokens")).text
    assert made.json()["text"].split("_")[2] not in listed


async def test_who_asks_too_often_is_told_when_to_come_back(sqlite: Database) -> None:
    limits = Limits(per_second=0.001, burst=2)
    async with entrance(sqlite, limits=limits) as way_in:
        answers = [await way_in.evaluate("greeting.system", targetingKey="u") for _ in range(3)]
        other = await way_in.report([])

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 100
    assert other.status_code == 202  # another token has a rate of its own


def test_a_rate_lets_pass_what_it_says_and_forgives_with_time() -> None:
    now = 0.0
    rates = Rates(10, burst=3, clock=lambda: now)

    at_once = [rates.take("a") for _ in range(5)]
    now = 0.25
    later = [rates.take("a") for _ in range(3)]

    assert [not wait for wait in at_once] == [True, True, True, False, False]
    assert at_once[3].total_seconds() == pytest.approx(0.1)
    assert [not wait for wait in later] == [True, True, False]


async def test_scripts_of_other_origins_may_ask_only_where_they_are_allowed(
    sqlite: Database,
) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    path = "/ofrep/v1/evaluate/flags"
    async with entrance(sqlite) as way_in:
        closed = await way_in.ask("OPTIONS", path, role=None, headers=asked)
    async with entrance(sqlite, origins=("https://app.example",)) as way_in:
        opened = await way_in.ask("OPTIONS", path, role=None, headers=asked)
        stranger = await way_in.ask(
            "OPTIONS", path, role=None, headers=asked | {"origin": "https://evil.example"}
        )

    assert closed.status_code in (401, 405)
    assert "access-control-allow-origin" not in closed.headers
    assert opened.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in stranger.headers
