"""Temporal is down, and a rollout has to go: one command, every serving process, and afterwards."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from control.connection import Unreachable
from control.rollouts import Control, Verb, workflow_id
from dev import Stack
from domain.plan import RolloutRequest, preset
from domain.record import Decision, Kind
from embedded.ports import is_free
from settings import child_environment
from tests.house import USERS
from tests.journeys.place import LONG, Place, furnished
from workflows.state import Phase

PATIENCE_S = 60.0
SERVING = """
import asyncio, json, sys
from domain.database import Database
from domain.routing import Router

async def serve(url, name, users):
    async with Router(Database(url)) as router:
        while True:
            given = [router.assign(name, "system", user).version for user in users]
            print(json.dumps({each: given.count(each) for each in set(given)}), flush=True)
            await asyncio.sleep(0.1)

asyncio.run(serve(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
"""


@pytest_asyncio.fixture
async def place(stack: Stack) -> AsyncIterator[Place]:
    async with furnished(stack) as found:
        yield found


class Serving:
    """Another process, which serves users from a `Router` of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def until(self, reached: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Wait until what it serves is as wanted."""
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._process.stdout:
                if reached(served := json.loads(line)):
                    return dict(served)
        raise AssertionError("it has ended")


@asynccontextmanager
async def serving(place: Place) -> AsyncIterator[Serving]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVING, place.stack.database_url, place.house.name),
        json.dumps(USERS[:500]),
        stdout=PIPE,
    )
    try:
        yield Serving(started)
    finally:
        started.kill()
        await started.wait()


@asynccontextmanager
async def temporal_down(stack: Stack) -> AsyncIterator[None]:
    """Kill the server, and have nobody start it again meanwhile."""
    child = stack._children["temporal"]
    assert child._keeper
    child._keeper.cancel()
    os.kill(child.pid, signal.SIGKILL)
    while not is_free(stack.port):
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        await child.stop()
        await child.start()
        async with asyncio.timeout(PATIENCE_S):
            while is_free(stack.port):
                await asyncio.sleep(0.1)


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """Have the server keep its connections, and answer nobody."""
    server = stack._children["temporal"].pid
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


async def rampart(stack: Stack, *words: str) -> tuple[int, str, str]:
    """Run `rampart …` as ana, in a process of its own."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", *words),
        env=child_environment(**stack.variables(), RAMPART_OPERATOR="ana"),
        cwd=Path(__file__).parents[2],
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await running.communicate()
    return running.returncode or 0, out.decode(), err.decode()


async def journal(place: Place) -> list[Decision]:
    (rollout,) = await place.house.rollouts.list(place.house.name, "system")
    return list(await place.house.rollouts.decisions(rollout.id))


@pytest.mark.guarantee(14)
async def test_with_temporal_down_every_process_serves_the_baseline_and_the_workflow_concludes_so(
    place: Place,
) -> None:
    prompt, before = f"{place.house.name}.system", await place.house.facts()
    await place.start(plan=LONG)
    await place.send("pause", "--input", '"lunch"')
    await place.until(lambda seen: seen.phase is Phase.PAUSED)

    async with serving(place) as other:
        await other.until(lambda served: served.get("1.1.0", 0) > 0)
        async with temporal_down(place.stack):
            plain = await rampart(place.stack, "rollback", prompt)
            code, out, err = await rampart(
                place.stack, "rollback", prompt, "--direct", "--reason", "fire"
            )
            served = await other.until(lambda served: "1.1.0" not in served)
            restored = await place.house.facts()
        outcome = await place.result()

    assert plain[0] == 2
    assert plain[2].count("\n") == 1
    assert f"to roll back without it: `rampart rollback {prompt} --direct`" in plain[2]
    assert (code, err) == (0, "")
    assert out.startswith(f"{prompt}: rolled back directly, and read back: all is as before")
    assert served == {"1.0.0": 500}
    assert restored == before == await place.house.facts()
    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "ana")
    assert outcome["reason"] == "directly: fire"
    lines = await journal(place)
    assert [(line.kind, line.by) for line in lines[-2:]] == [
        (Kind.ROLLING_BACK, "ana"),
        (Kind.ROLLED_BACK, "ana"),
    ]
    assert [line.kind for line in lines].count(Kind.ROLLED_BACK) == 1


async def test_with_temporal_up_the_workflow_is_told_and_ends_at_once(place: Place) -> None:
    prompt, before = f"{place.house.name}.system", await place.house.facts()
    await place.start(plan=LONG | {"check_min": "2m", "check_max": "2m"})
    await place.until(lambda seen: seen.stage == 1)

    code, out, _ = await rampart(place.stack, "rollback", prompt, "--direct", "--reason", "fire")
    async with asyncio.timeout(30):  # long before the next check
        outcome = await place.result()
    again = await rampart(place.stack, "rollback", prompt, "--direct")

    assert code == 0
    assert out.endswith("its workflow was told\n")
    assert (outcome["by"], outcome["reason"]) == ("ana", "directly: fire")
    assert await place.house.facts() == before
    assert again[0] == 2
    assert again[2] == f"rampart: no rollout of {prompt} is live in the database\n"


async def test_a_rollback_under_which_temporal_falls_silent_is_not_called_recorded(
    place: Place,
) -> None:
    client = await place.stack.connect()
    control = Control(client, task_queue="nobody-works-here")
    request = RolloutRequest(
        name=place.house.name, prompt_type="system", candidate="1.1.0", plan=preset("demo")
    )
    await control.start(request)
    asked = asyncio.create_task(control.order(Verb.ROLLBACK, place.house.name, "system"))
    await asyncio.sleep(0.5)  # in which it is sent; there is no worker to answer

    with frozen(place.stack), pytest.raises(Unreachable, match="Temporal does not answer"):
        await asked

    await client.get_workflow_handle(workflow_id(place.house.name, "system")).terminate()
