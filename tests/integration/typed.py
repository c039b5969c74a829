"""What is typed and what is printed: the command line as the stories here use it."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from temporalio.client import Client

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
