"""Every route there is, and who may ask it: a route that is not listed here fails."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from fastapi.routing import APIRoute
from sqlmodel import SQLModel, select
from starlette.routing import BaseRoute

from control.payloads import Codec
from domain.database import Database
from domain.tables import TokenRow
from domain.tokens import Role
from embedded.switch import Switch
from gateway.front import Front
from tests.gateway.entrance import Entrance, entrance

OPERATORS = {Role.OPERATE, Role.ADMIN}
EVALUATORS = {Role.EVALUATE, Role.OPERATE, Role.ADMIN}
REPORTERS = {Role.INGEST, Role.ADMIN}
ADMINS = {Role.ADMIN}
ANYBODY = {*Role, None}  # without a token, too

MAY: dict[str, set[Role | None] | set[Role]] = {
    "GET /healthz": ANYBODY,
    "GET /readyz": ANYBODY,
    "GET /metrics": set(Role),
    "POST /v1/events": REPORTERS,
    "POST /v1/exposures": REPORTERS,
    "POST /ofrep/v1/evaluate/flags": EVALUATORS,
    "POST /ofrep/v1/evaluate/flags/{key}": EVALUATORS,
    "GET /v1/changes": EVALUATORS,
    "GET /v1/rollouts": OPERATORS,
    "POST /v1/rollouts": OPERATORS,
    "GET /v1/rollouts/{flag}": OPERATORS,
    "GET /v1/rollouts/{flag}/decisions": OPERATORS,
    "POST /v1/rollouts/{flag}/{verb}": OPERATORS,
    "POST /v1/rings": OPERATORS,
    "GET /v1/rings/{flag}": OPERATORS,
    "POST /v1/rings/{flag}/{verb}": OPERATORS,
    "GET /v1/experiments": OPERATORS,
    "POST /v1/experiments": OPERATORS,
    "GET /v1/experiments/{flag}": OPERATORS,
    "POST /v1/experiments/{flag}/{verb}": OPERATORS,
    "POST /v1/monitors": OPERATORS,
    "GET /v1/monitors/{name}": OPERATORS,
    "GET /v1/monitors/{name}/alerts": OPERATORS,
    "POST /v1/monitors/{name}/stop": OPERATORS,
    "GET /v1/prompts": OPERATORS,
    "GET /v1/prompts/{flag}/versions": OPERATORS,
    "POST /v1/prompts/{flag}/versions": OPERATORS,
    "GET /v1/prompts/{flag}/versions/{version}": OPERATORS,
    "GET /v1/prompts/{flag}/history": OPERATORS,
    "POST /v1/prompts/{flag}/tags": OPERATORS,
    "POST /v1/prompts/{flag}/revert": OPERATORS,
    "GET /v1/tokens": ADMINS,
    "POST /v1/tokens": ADMINS,
    "POST /v1/tokens/{token_id}/revoke": ADMINS,
    "POST /codec/decode": OPERATORS,
    "POST /codec/encode": OPERATORS,
}
NAMES = {"flag": "greeting.system", "key": "greeting.system", "verb": "rollback", "name": "nightly",
         "version": "1.1.0", "button": "break", "report_id": "nobodys", "form": "html"}  # fmt: skip
# What would do something, were it let in.
BODIES: dict[str, Any] = {
    "POST /v1/events": [{"version_id": "v-1"}],
    "POST /v1/exposures": {"exposures": []},
    "POST /ofrep/v1/evaluate/flags": {"context": {"targetingKey": "user-1"}},
    "POST /ofrep/v1/evaluate/flags/{key}": {"context": {"targetingKey": "user-1"}},
    "POST /v1/rollouts": {"flag": "greeting.system", "candidate": "1.1.0", "plan": "demo"},
    "POST /v1/prompts/{flag}/versions": {"template": "canary"},
    "POST /v1/prompts/{flag}/tags": {"version": "1.1.0", "tag": "production"},
    "POST /v1/prompts/{flag}/revert": {"reason": "canary"},
    "POST /v1/tokens": {"name": "canary", "roles": ["admin"]},
    "POST /codec/decode": {"payloads": []},
    "POST /codec/encode": {"payloads": []},
}
# Pages, which no document describes: for who has logged in with a token that may operate …
PAGES = {
    "GET /ui",
    "GET /ui/rollouts/{flag}",
    "GET /ui/rollouts/{flag}/live",
    "POST /ui/rollouts/{flag}/{verb}",
    "GET /ui/experiments",
    "GET /ui/experiments/{flag}",
    "POST /ui/experiments/{flag}/{verb}",
    "GET /ui/prompts",
    "GET /ui/prompts/{flag}",
    "GET /ui/prompts/{flag}/diff",
    "GET /ui/prompts/{flag}/history",
    "GET /ui/prompts/{flag}/versions/{version}",
    "POST /ui/prompts/{flag}/tags",
    "POST /ui/prompts/{flag}/revert",
    "GET /ui/rings/{flag}",
    "POST /ui/rings/{flag}/{verb}",
    "GET /ui/monitors",
    "GET /ui/monitors/{name}",
    "GET /ui/reports/{report_id}/{form}",
    "POST /ui/monitors/{name}/stop",
    "POST /ui/demo/{button}",
}
# … but for those by which one gets in and out.
DOORS = {"GET /", "GET /ui/login", "POST /ui/login", "POST /ui/logout"}
STREAMS = {"GET /v1/changes"}  # does not end for who may follow it; a journey follows it


@pytest_asyncio.fixture(scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrance]:
    """A gateway with every route there can be, for all stories here: most change nothing."""
    folder = tmp_path_factory.mktemp("whole")
    database, demo = Database(f"sqlite:///{folder}/rampart.db"), Switch(folder / "switch.json")
    async with entrance(database, codec=Codec({"k1": bytes(32)}), demo=demo) as found:
        yield found
    await database.dispose()


async def ask(way_in: Entrance, route: str, role: Role | None) -> int:
    method, _, path = route.partition(" ")
    victim = (await way_in.tokens.list())[-1].id
    path = path.format(**NAMES, token_id=victim)
    more = {"json": BODIES.get(route, {})} if method == "POST" else {}
    return (await way_in.ask(method, path, role=role, **more)).status_code


async def kept(database: Database) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    async with database.reading() as session:
        tables = SQLModel.metadata.sorted_tables
        return {t.name: sorted(map(str, await session.exec(select(t)))) for t in tables}  # type: ignore[call-overload]


def routes(some: list[BaseRoute]) -> Iterator[str]:
    """Return the routes of an application, those that its description leaves out too."""
    for route in some:
        nested = getattr(route, "original_router", None) or getattr(route, "router", None)
        if isinstance(route, APIRoute):
            yield from (f"{method} {route.path_format}" for method in route.methods or ())
        elif nested is not None:
            yield from routes(nested.routes)


async def test_no_route_is_without_a_line_in_this_table(whole: Entrance) -> None:
    document = (await whole.ask("GET", "/openapi.json", role=None)).json()
    described = {
        f"{method.upper()} {path}" for path, each in document["paths"].items() for method in each
    }

    assert described == MAY.keys()


async def test_nothing_is_served_that_is_not_described(whole: Entrance) -> None:
    assert isinstance(whole.gateway.app, Front)
    behind = whole.gateway.app._behind
    document = (await whole.ask("GET", "/openapi.json", role=None)).json()

    served = {route.replace(":path}", "}") for route in routes(behind.routes)}  # type: ignore[attr-defined]

    assert len(served) > 20
    hidden = {route for route in served if route.partition(" ")[2] not in document["paths"]}
    assert hidden == PAGES | DOORS


@pytest.mark.parametrize("route", sorted(PAGES))
async def test_a_page_is_for_who_may_operate(whole: Entrance, route: str) -> None:
    method, _, path = route.partition(" ")
    path = path.format(**NAMES)
    before = await kept(whole.house.database)

    async def seen(role: Role | None) -> int:
        cookie = {"cookie": f"rampart={whole.texts[role]}"} if role else {}
        answer = await whole.client.request(method, path, headers=cookie)
        to_login = "/ui/login" in answer.headers.get("location", "/ui/login")
        return answer.status_code if to_login else 200  # it leads to another page

    assert (await seen(None), await seen(Role.EVALUATE), await seen(Role.INGEST)) == (303, 403, 403)
    assert await kept(whole.house.database) == before
    for role in OPERATORS:
        assert await seen(role) not in (303, 401, 403, 500)


@pytest.mark.parametrize("route", MAY)
async def test_a_role_that_may_not_is_refused_and_changes_nothing(
    whole: Entrance, route: str
) -> None:
    before = await kept(whole.house.database)

    refused = {role: await ask(whole, route, role) for role in {*Role, None} - MAY[route]}

    assert refused == {role: 403 if role else 401 for role in refused}
    assert await kept(whole.house.database) == before


@pytest.mark.parametrize("route", [route for route in MAY if route not in STREAMS])
async def test_a_role_that_may_is_let_in(whole: Entrance, route: str) -> None:
    if route.endswith("/revoke"):
        spare = (await whole.tokens.create("spare", [Role.INGEST])).token.id
        method, path = route.replace("{token_id}", spare).split(" ")
        answer = await whole.ask(method, path, role=Role.ADMIN, json={})
        assert answer.json()["revoked_by"] == "admin"
        return

    for role in MAY[route]:
        assert await ask(whole, route, role) not in (401, 403, 500), role


async def test_a_token_of_several_roles_may_what_each_may(whole: Entrance) -> None:
    both = await whole.tokens.create("both", [Role.INGEST, Role.EVALUATE])
    headers = {"authorization": f"Bearer {both.text}"}

    async def known() -> bool:
        return (await whole.ask("GET", "/metrics", role=None, headers=headers)).status_code == 200

    await whole.until(known, True)
    statuses = [
        (await whole.ask("POST", path, role=None, headers=headers, json=body)).status_code
        for path, body in (
            ("/v1/events", []),
            ("/ofrep/v1/evaluate/flags", {"context": {"targetingKey": "u"}}),
            ("/v1/prompts/greeting.system/revert", {}),
            ("/v1/tokens", {"name": "x", "roles": ["admin"]}),
        )
    ]

    assert statuses == [202, 200, 403, 403]


async def test_nobody_makes_more_of_a_token_than_an_admin_gave_it(sqlite: Database) -> None:
    async with entrance(sqlite) as way_in:
        asked = {"name": "mine", "roles": ["admin"]}
        answers = [
            (await way_in.ask("POST", "/v1/tokens", role=role, json=asked)).status_code
            for role in (Role.EVALUATE, Role.INGEST, Role.OPERATE)
        ]
        async with sqlite.reading() as session:
            names = [row.name for row in await session.exec(select(TokenRow))]

    assert answers == [403, 403, 403]
    assert sorted(names) == sorted(Role)
