"""What a reader of Temporal's namespace learns, on the real dev server, with keys and without."""

import asyncio
import logging
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from control.connection import Unreachable
from control.payloads import Codec, Unreadable, data_converter
from control.rollouts import Control, Description
from domain.database import Database
from domain.plan import RolloutRequest
from tests.crowd import Crowd
from tests.house import House
from worker import build_worker, register_search_attributes
from workflows.commands import Verb
from workflows.state import Phase

BIN = str(Path(sys.executable).parent)  # where wheels put their programs
K1, K2 = ({name: secrets.token_bytes(32)} for name in ("k1", "k2"))
PLAN: JsonValue = {
    "name": "canary-plan",
    "stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}],
    "check_max": "1h",
}
CANARIES = ("canary-reason", "canary-person", "canary-plan", "canary-pause", "canary-refusal")
TEMPLATE = "canary-template {{ name }}"


class Namespace:
    """A prompt, and hands and eyes with one set of keys or another."""

    def __init__(self, server: Client, house: House) -> None:
        self._server = server
        self.house = house
        self.queue = f"queue-{uuid4()}"

    def client(self, keys: dict[str, bytes]) -> Client:
        config = self._server.config()
        config["data_converter"] = data_converter(Codec(keys))
        return Client(**config)

    def control(self, keys: dict[str, bytes]) -> Control:
        return Control(self.client(keys), task_queue=self.queue)

    @asynccontextmanager
    async def worker(self, keys: dict[str, bytes]) -> AsyncIterator[None]:
        async with build_worker(self.client(keys), Crowd(self.house), task_queue=self.queue):
            yield

    async def start(self, keys: dict[str, bytes]) -> Description:
        request = RolloutRequest.parse(
            {
                "name": self.house.name,
                "prompt_type": "system",
                "candidate": "1.1.0",
                "plan": PLAN,
                "by": "canary-person",
                "reason": "canary-reason",
            }
        )
        return await self.control(keys).start(request)

    async def order(self, verb: Verb, keys: dict[str, bytes], *, reason: str = "") -> str:
        said = await self.control(keys).order(
            verb, self.house.name, "system", reason=reason, by="canary-person"
        )
        return said.said

    async def describe(self, keys: dict[str, bytes]) -> Description:
        return await self.control(keys).describe(self.house.name, "system")

    async def until(self, keys: dict[str, bytes], reached: Callable[[Description], Any]) -> None:
        async with asyncio.timeout(40):
            while not reached(await self.describe(keys)):
                await asyncio.sleep(0.1)

    async def written(self) -> bytes:
        """Return all that the server holds of the rollout: its history, memo and columns."""
        handle = self._server.get_workflow_handle(f"rollout/{self.house.name}.system")
        events = [event.SerializeToString() async for event in handle.fetch_history_events()]
        described = (await handle.describe()).raw_description
        return b"".join([*events, described.SerializeToString()])


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[Client]:
    env = await WorkflowEnvironment.start_local(
        dev_server_existing_path=shutil.which("temporal", path=BIN), dev_server_log_level="never"
    )
    assert await register_search_attributes(env.client)
    yield env.client
    await env.shutdown()


@pytest_asyncio.fixture
async def namespace(server: Client, sqlite: Database) -> AsyncIterator[Namespace]:
    house = House(sqlite, name=f"greeting-{uuid4().hex[:8]}")
    await house.furnish()
    await house.versions.create_version(house.name, "system", TEMPLATE, "1.2.0")
    yield Namespace(server, house)
    with suppress(RPCError):
        await server.get_workflow_handle(f"rollout/{house.name}.system").terminate()


async def tell_a_story(namespace: Namespace, keys: dict[str, bytes]) -> bytes:
    """Start, pause, be refused, roll back; return what the server holds of it."""
    async with namespace.worker(keys):
        await namespace.start(keys)
        await namespace.order(Verb.PAUSE, keys, reason="canary-pause")
        await namespace.order(Verb.ROLLBACK, keys, reason="canary-refusal")
        await namespace.until(keys, lambda seen: seen.outcome)
        return await namespace.written()


async def test_with_a_key_the_history_tells_who_and_why_to_nobody_without_it(
    namespace: Namespace,
) -> None:
    written = await tell_a_story(namespace, K1)

    found = [canary for canary in CANARIES if canary.encode() in written]
    assert not found
    assert b"canary-template" not in written
    assert b"binary/encrypted" in written


async def test_what_stays_readable_is_what_the_threat_model_says(namespace: Namespace) -> None:
    written = await tell_a_story(namespace, K1)

    prompt = f"{namespace.house.name}.system".encode()
    assert prompt in written  # the workflow's id, and a search attribute
    for word in (b"RampartPercent", b"RampartVerdict", b"RolloutWorkflow", b"open_rollout"):
        assert word in written


async def test_without_keys_it_does_tell_but_never_the_template(namespace: Namespace) -> None:
    written = await tell_a_story(namespace, {})

    assert [canary for canary in CANARIES if canary.encode() not in written] == []
    assert b"canary-template" not in written


@pytest.mark.parametrize(
    ("before", "after"), [({}, K1), (K1, K2 | K1)], ids=["from plain to sealed", "to another key"]
)
async def test_a_rollout_goes_on_under_new_keys(
    namespace: Namespace, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    async with namespace.worker(before):
        await namespace.start(before)
        await namespace.until(before, lambda seen: seen.progress and seen.progress.checks)

    async with namespace.worker(after):
        await namespace.order(Verb.PAUSE, after, reason="lunch")
        await namespace.order(Verb.ROLLBACK, after, reason="enough")
        await namespace.until(after, lambda seen: seen.outcome)
        ended = (await namespace.describe(after)).outcome

    assert ended is not None
    assert (ended.outcome, ended.reason) == (Phase.ROLLED_BACK, "enough")


async def test_a_worker_without_the_key_says_so_and_harms_nothing(
    namespace: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    async with namespace.worker(K1):
        await namespace.start(K1)
    wanted = "sealed with key 'k1', which RAMPART_PAYLOAD_KEYS here does not hold"

    with caplog.at_level(logging.ERROR):
        async with namespace.worker({}):
            signal = namespace.client(K1).get_workflow_handle(
                f"rollout/{namespace.house.name}.system"
            )
            await signal.signal("pause", {"reason": "canary-pause", "by": "canary-person"})
            async with asyncio.timeout(40):
                while wanted not in caplog.text:
                    await asyncio.sleep(0.1)

    async with namespace.worker(K1):
        await namespace.until(
            K1, lambda seen: seen.progress and seen.progress.phase is Phase.PAUSED
        )
        assert (await namespace.describe(K1)).status == "running"


async def test_an_operator_without_the_key_is_told_so_in_a_line(namespace: Namespace) -> None:
    async with namespace.worker(K1):
        await namespace.start(K1)

        with pytest.raises((Unreadable, Unreachable), match="sealed with key 'k1'"):
            await namespace.describe({})


async def test_why_an_activity_is_stuck_is_told_to_who_has_the_key(namespace: Namespace) -> None:
    crowd = Crowd(namespace.house)
    crowd.failing = {"ramp": 10**6}
    async with build_worker(namespace.client(K1), crowd, task_queue=namespace.queue):
        await namespace.start(K1)
        await namespace.until(K1, lambda seen: seen.stuck)
        stuck = (await namespace.describe(K1)).stuck
        crowd.failing = {}

    assert "database sqlite is unavailable: disk I/O error" in stuck[0]
    assert b"disk I/O error" not in await namespace.written()
