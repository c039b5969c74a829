"""The gateway's routes, from its own OpenAPI document: a page that needs nothing from elsewhere."""

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import httpx

from docs.site.reference.markdown import MADE, cell, code, plain, table
from domain.tokens import Role
from gateway.document import OF_OPERATORS, REFUSALS
from gateway.front import ANY_TOKEN, OPERATED, PUBLIC
from serve import Options, build
from settings import Settings

HEAD = """\
# HTTP API

What `rampart gateway` answers: events and evaluations, and every verb of an operator. Bodies are
JSON; what is refused is `application/problem+json`, whose `detail` says why
([errors](errors.md#over-http)).
The document that this page is made from is published beside it as [`openapi.json`](openapi.json),
and every gateway serves its own at `/openapi.json`.

A request carries a token, `Authorization: Bearer rampart_…`, unless the gateway is open; `rampart
token create NAME --role ROLE` makes one. An operator's token may evaluate, an admin's may do
everything.
A command that is sent twice with one `Idempotency-Key` counts once.

"""
REPORTED = ("/v1/events", "/v1/exposures")
USUAL = REFUSALS | OF_OPERATORS  # of every route
NEXT = "\n\n"
SUCCESS = "Successful Response"  # FastAPI's words for nothing said
KEYS = f"docs:{base64.b64encode(bytes(32)).decode()}"  # makes the gateway have /codec
Schemas = Mapping[str, Any]


class Route(NamedTuple):
    """One operation of the gateway."""

    method: str
    path: str
    told: Mapping[str, Any]

    @property
    def title(self) -> str:
        """Method and path, as a request begins."""
        return f"{self.method} {self.path}"


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document of a gateway that has everything."""
    settings = Settings(database_url="sqlite:///:memory:", payload_keys=KEYS)
    app = build(settings, Options(open=True, codec=True)).app

    async def ask() -> dict[str, Any]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            answer: dict[str, Any] = (await client.get("/openapi.json")).json()
            return answer

    return asyncio.run(ask())


def routes() -> Iterator[Route]:
    """Return every operation."""
    for path, operations in document()["paths"].items():
        for method, told in operations.items():
            yield Route(method.upper(), path, told)


def role_of(path: str) -> str:
    """Return the role that a path needs; empty if it needs none, `any` if any will do."""
    if path in PUBLIC:
        return ""
    if path in ANY_TOKEN:
        return "any"
    if path in REPORTED:
        return Role.INGEST.value
    if path.startswith("/ofrep/") or path == "/v1/changes":
        return Role.EVALUATE.value
    return Role.OPERATE.value if path.startswith(OPERATED) else Role.ADMIN.value


def page() -> str:
    """Return the page."""
    groups: dict[str, list[Route]] = {}
    for route in routes():
        groups.setdefault(route.told.get("tags", ["others"])[0], []).append(route)
    schemas = document()["components"]["schemas"]
    sections = (
        f"## {group.capitalize()}\n\n" + "".join(_route(route, schemas) for route in found)
        for group, found in groups.items()
    )
    return MADE + HEAD + "".join(sections) + _values(schemas)


def _values(schemas: Schemas) -> str:
    shown = "## Values\n\n"
    for name, schema in sorted(schemas.items(), key=lambda one: _title(one[0])):
        head = f"### {_title(name)} {{ #{_anchor(name)} }}\n\n"
        if "enum" in schema:
            shown += f"{head}One of {', '.join(code(each) for each in schema['enum'])}.\n\n"
        elif rows := _fields(schema):
            said = plain(str(schema.get("description", "")).partition("\n\n")[0])
            shown += f"{head}{said}\n\n" + table(("field", "takes", "default", "meaning"), rows)
    return shown


def _title(name: str) -> str:
    return name.rpartition("__")[2].removesuffix("-Input")


def _anchor(name: str) -> str:
    return f"value-{name.lower().replace('_', '-')}"


def files() -> dict[str, str]:
    """Return the files that are published, by name."""
    return {"openapi.json": json.dumps(document(), ensure_ascii=False, indent=2)}


def _route(route: Route, schemas: Schemas) -> str:
    told = route.told
    role = role_of(route.path)
    who = "anybody" if not role else f"a token with the role {code(role)}"
    who = "any token" if role == "any" else who
    more = plain(told.get("description", ""))
    return (
        f"### `{route.title}`\n\n{plain(told.get('summary', ''))}. {more}\n\nFor {who}.\n\n"
        + table(
            ("parameter", "in", "takes", "meaning"), map(_parameter, told.get("parameters", ()))
        )
        + _body(told.get("requestBody", {}), schemas)
        + table(("answer", "", "body"), _answers(told["responses"], schemas))
    )


def _parameter(given: Mapping[str, Any]) -> tuple[str, str, str, str]:
    name = code(given["name"]) + (" **required**" if given.get("required") else "")
    schema = given.get("schema", {})
    return name, given["in"], _kind(schema), plain(given.get("description", ""))


def _body(body: Mapping[str, Any], schemas: Schemas) -> str:
    shown = ""
    for kind, each in body.get("content", {}).items():
        whole = _resolved(each.get("schema", {}), schemas)
        form = _resolved(whole.get("oneOf", [whole])[0], schemas)
        fields = table(("field", "takes", "default", "meaning"), _fields(form))
        shown += f"Body, {code(kind)}:\n\n{fields or plain(form.get('description', '')) + NEXT}"
    return shown


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    needed = schema.get("required", ())
    return [
        (
            code(name) + (" **required**" if name in needed else ""),
            _kind(shown),
            ""
            if shown.get("default") in (None, "", [], {})
            else code(json.dumps(shown["default"])),
            plain(shown.get("description", "")),
        )
        for name, shown in schema.get("properties", {}).items()
    ]


def _answers(answers: Mapping[str, Any], schemas: Schemas) -> Iterator[tuple[str, str, str]]:
    for status, answer in sorted(answers.items()):
        said = "" if answer["description"] == SUCCESS else answer["description"]
        if said == USUAL.get(status):
            continue
        content = answer.get("content", {})
        kinds = [_shown(each.get("schema", {}), schemas) for each in content.values()]
        yield code(status), plain(said), ", ".join(filter(None, kinds))


def _shown(schema: Mapping[str, Any], schemas: Schemas) -> str:
    """Name an answer, or its fields."""
    if "$ref" in schema:
        return _kind(schema)
    if schema.get("type") == "array":
        return f"list of {_shown(schema.get('items', {}), schemas)}"
    whole = _resolved(schema, schemas)
    return ", ".join(code(name) for name in whole.get("properties", {}))


def _resolved(schema: Mapping[str, Any], schemas: Schemas) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = schemas[schema["$ref"].rpartition("/")[2]]
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    """Say in a few words what is taken."""
    for one_of in ("anyOf", "oneOf"):
        if one_of in schema:
            kinds = [_kind(each) for each in schema[one_of] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "any JSON" if name == "JsonValue" else f"[{_title(name)}](#{_anchor(name)})"
    if "enum" in schema:
        return ", ".join(code(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if inner := schema.get("properties"):
        return f"object of {', '.join(map(code, inner))}"
    names = {"string": "text", "boolean": "true or false", "integer": "whole number"}
    kind = schema.get("type", "any JSON")
    return names.get(kind, cell(kind)) if isinstance(kind, str) else " or ".join(kind)
