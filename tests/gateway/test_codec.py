"""The remote codec: off by default, for operators, and as Temporal's own command line asks it."""

import asyncio
import base64
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from control.payloads import Codec, data_converter
from domain.database import Database
from domain.tokens import Role
from settings import child_environment
from tests.gateway.entrance import Entrance, entrance
from tests.gateway.test_served import standing

KEY = bytes(range(32))
KEYS = f"k1:{base64.b64encode(KEY).decode()}"
PLAIN = {"metadata": {"encoding": base64.b64encode(b"json/plain").decode()}, "data": "ImhpIg=="}
BIN = str(Path(sys.executable).parent)  # where wheels put their programs
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


async def test_temporals_command_line_shows_a_sealed_history_to_an_operator(
    tmp_path: Path, sqlite: Database, temporal: Client
) -> None:
    config = temporal.config()
    config["data_converter"] = data_converter(Codec({"k1": KEY}))
    flow = f"sealed-{uuid4()}"
    await Client(**config).start_workflow("Nobody", "canary-input", id=flow, task_queue="none")
    shown = (
        "workflow",
        "show",
        "--workflow-id",
        flow,
        "--output",
        "json",
        "--command-timeout",
        "9s",
    )

    async with standing(tmp_path, sqlite, "--codec", RAMPART_PAYLOAD_KEYS=KEYS) as place:
        codec = ("--codec-endpoint", f"{place.url}/codec")
        bearer = ("--codec-auth", f"Bearer {place.texts[Role.OPERATE]}")
        blind = await command_line(temporal, *shown)
        refused = await command_line(temporal, *shown[:-1], "3s", *codec)
        told = await command_line(temporal, *shown, *codec, *bearer)

    await temporal.get_workflow_handle(flow).terminate()
    assert "binary/encrypted" in unpacked(blind)
    assert "canary-input" not in unpacked(blind) + unpacked(refused)
    assert "canary-input" in unpacked(told)


async def command_line(temporal: Client, *words: str) -> str:
    running = await asyncio.create_subprocess_exec(
        str(shutil.which("temporal", path=BIN)),
        *words,
        *("--address", temporal.service_client.config.target_host),
        stdout=PIPE,
        stderr=PIPE,
        env=child_environment(NO_COLOR="1"),
    )
    out, err = await running.communicate()
    return (out + err).decode()


def unpacked(text: str) -> str:
    """Return the text with all that is base64 in it readable too."""
    found = [text]
    for word in text.replace('"', os.linesep).split():
        try:
            found.append(base64.b64decode(word, validate=True).decode("utf-8", "replace"))
        except ValueError:
            continue
    return "\n".join(found)


async def test_a_codec_without_keys_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "gateway", "--codec"),
        stderr=PIPE,
        env=child_environment(RAMPART_DATABASE_URL=f"sqlite:///{tmp_path}/r.db"),
    )
    _, err = await running.communicate()

    assert running.returncode == 2
    assert err.decode() == "rampart: --codec opens what is sealed: set RAMPART_PAYLOAD_KEYS\n"
