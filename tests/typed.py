"""What is typed and what is printed: the command line as the stories here use it."""

import asyncio
import json
import logging
import sqlite3
import sys
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from temporalio.client import Client

import cli
from dev import Stack


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Rampart = Callable[..., Said]


@pytest.fixture
def alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rampart:
    """Run `rampart …` in this process, which is ten times as fast; in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAMPART_DATABASE_URL", f"sqlite:///{tmp_path}/rampart.db")
    monkeypatch.setenv("RAMPART_OPERATOR", "ann")
    # A worker or gateway sets up the logs of its process: here that of the tests after it.
    for part in ("handlers", "level"):
        monkeypatch.setattr(logging.root, part, copy(getattr(logging.root, part)))

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["rampart", *words])
        code = cli.main()
        printed = capsys.readouterr()
        return Said(code, printed.out, printed.err)

    return run


def versions(rampart: Rampart, prompt: str, *numbers: str) -> None:
    """Make versions of the prompt, the first in production."""
    for number in numbers:
        rampart("version", "create", prompt, "--template", f"v{number}", "--number", number)
    rampart("version", "tag", prompt, numbers[0], "production")


def content_of(stack: Stack) -> list[str]:
    """Return everything the database holds, but for the news, which a worker hands on meanwhile."""
    connection = sqlite3.connect(stack.directory / "rampart.db")
    try:
        news = 'INSERT INTO "notification"'
        return [line for line in connection.iterdump() if not line.startswith(news)]
    finally:
        connection.close()


async def terminate(stack: Stack, workflow_id: str) -> None:
    """End a workflow as only Temporal's own tools do."""
    client = await Client.connect(stack.address)
    await client.get_workflow_handle(workflow_id).terminate()
    await asyncio.sleep(0.05)  # leaving at once can crash the interpreter: sdk-python#300
