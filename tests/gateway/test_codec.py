"""The remote codec: off by default, and for operators alone."""

import base64

import pytest

from control.payloads import Codec
from domain.database import Database
from domain.tokens import Role
from tests.gateway.entrance import Entrance, entrance

KEY = bytes(range(32))
KEYS = f"k1:{base64.b64encode(KEY).decode()}"
PLAIN = {"metadata": {"encoding": base64.b64encode(b"json/plain").decode()}, "data": "ImhpIg=="}
UI = {"origin": "https://temporal.example", "x-namespace": "default"}


async def test_without_being_asked_for_there_is_no_codec(way_in: Entrance) -> None:
    answer = await way_in.ask("POST", "/codec/decode", json={"payloads": [PLAIN]})

    assert answer.status_code == 404


async def test_operators_alone_have_payloads_opened(sqlite: Database) -> None:
    async with entrance(sqlite, codec=Codec({"k1": KEY})) as way_in:
        sealed = (await way_in.ask("POST", "/codec/encode", json={"payloads": [PLAIN]})).json()
        answers = {
            role: await way_in.ask("POST", "/codec/decode", role=role, json=sealed)
            for role in (*Role, None)
        }

    assert sealed["payloads"] != [PLAIN]
    passed = {role for role, answer in answers.items() if answer.status_code == 200}
    assert passed == {Role.OPERATE, Role.ADMIN}
    assert answers[Role.OPERATE].json() == {"payloads": [PLAIN]}
    assert answers[None].status_code == 401
    assert answers[Role.EVALUATE].status_code == 403


async def test_the_web_ui_may_ask_from_its_own_origin(sqlite: Database) -> None:
    asked = UI | {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-namespace",
    }
    codec, origins = Codec({"k1": KEY}), ("https://temporal.example",)
    async with entrance(sqlite, codec=codec, origins=origins) as way_in:
        before = await way_in.ask("OPTIONS", "/codec/decode", role=None, headers=asked)
        answer = await way_in.ask(
            "POST", "/codec/decode", role=Role.OPERATE, headers=UI, json={"payloads": [PLAIN]}
        )

    assert before.status_code == 200
    for each in (before, answer):
        assert each.headers["access-control-allow-origin"] == "https://temporal.example"
    assert answer.json() == {"payloads": [PLAIN]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"payloads": "x"}, 422),
        ({"payloads": [{"data": 7}]}, 422),
        ({"payloads": [{"metadata": []}]}, 422),
        ({"payloads": [{"metadata": {"encoding": "YmluYXJ5L2VuY3J5cHRlZA=="}, "data": ""}]}, 422),
    ],
)
async def test_what_cannot_be_opened_is_refused(
    sqlite: Database, body: dict[str, object], status: int
) -> None:
    async with entrance(sqlite, codec=Codec({"k1": KEY})) as way_in:
        answer = await way_in.ask("POST", "/codec/decode", json=body)

    assert answer.status_code == status, answer.text
    assert base64.b64encode(KEY).decode() not in answer.text
