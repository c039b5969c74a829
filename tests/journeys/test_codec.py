"""The remote codec as Temporal's own command line asks it."""

import asyncio
import base64
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client

from control.payloads import Codec, data_converter
from dev import Stack
from domain.database import Database
from domain.tokens import Role
from settings import child_environment
from tests.journeys.test_gateway import standing

KEY = bytes(range(32))
KEYS = f"k1:{base64.b64encode(KEY).decode()}"
BIN = str(Path(sys.executable).parent)  # where wheels put their programs


async def test_temporals_command_line_shows_a_sealed_history_to_an_operator(
    tmp_path: Path, sqlite: Database, stack: Stack
) -> None:
    temporal = await stack.connect()
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
        blind = await command_line(stack, *shown)
        refused = await command_line(stack, *shown[:-1], "3s", *codec)
        told = await command_line(stack, *shown, *codec, *bearer)

    await temporal.get_workflow_handle(flow).terminate()
    assert "binary/encrypted" in unpacked(blind)
    assert "canary-input" not in unpacked(blind) + unpacked(refused)
    assert "canary-input" in unpacked(told)


async def command_line(stack: Stack, *words: str) -> str:
    running = await asyncio.create_subprocess_exec(
        str(shutil.which("temporal", path=BIN)),
        *words,
        *("--address", stack.address),
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
