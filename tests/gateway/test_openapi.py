"""What our OpenAPI allows, and what it does not, tried by schemathesis: never a 500."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from domain.tokens import Role
from tests.gateway.entrance import Entrance

EXAMPLES = 8  # of each operation, and as many that break its rules
STREAM = "/v1/changes"
KEPT = [status_code_conformance, content_type_conformance, response_schema_conformance]
Send = Callable[[Case[Any]], httpx.Response]
STEADY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


async def test_nothing_that_is_sent_to_any_operation_is_a_500(
    operated_twice: Sequence[Entrance],
) -> None:
    """What takes long is to think of examples: each is sent to both kinds of database."""
    document = (await operated_twice[0].ask("GET", "/openapi.json", role=None)).json()
    del document["paths"][STREAM]  # it would not end; a journey follows it
    schema = schemathesis.openapi.from_dict(document)
    loop = asyncio.get_running_loop()
    sends = [sender(way_in, loop) for way_in in operated_twice]

    tried = await asyncio.to_thread(try_all, schema, sends)

    assert tried == sum(len(operations) for operations in document["paths"].values())


def try_all(schema: OpenApiSchema, sends: Sequence[Send]) -> int:
    """Try every operation, in a thread of its own; return how many there are."""
    tried = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @STEADY
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case: Case[Any]) -> None:
                for send in sends:
                    answer = send(case)
                    assert answer.status_code != HTTPStatus.INTERNAL_SERVER_ERROR
                    case.validate_response(answer, checks=KEPT)

            with suppress(Unsatisfiable):  # it has no rule that could be broken
                holds()
        tried += 1
    return tried


def sender(way_in: Entrance, loop: asyncio.AbstractEventLoop) -> Send:
    bearer = {b"authorization": f"Bearer {way_in.texts[Role.ADMIN]}".encode()}

    def send(case: Case[Any]) -> httpx.Response:
        asked = requests.Request(**case.as_transport_kwargs(base_url="http://gateway")).prepare()
        body = asked.body.encode() if isinstance(asked.body, str) else asked.body
        assert body is None or isinstance(body, bytes)
        sent = {
            name.lower().encode(): value if isinstance(value, bytes) else value.encode("latin-1")
            for name, value in asked.headers.items()
        }
        request = way_in.client.build_request(
            asked.method or "", asked.url or "", headers=sent | bearer, content=body
        )
        return asyncio.run_coroutine_threadsafe(way_in.client.send(request), loop).result()

    return send
