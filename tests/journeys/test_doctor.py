"""`rampart doctor` on real parts: all well, and each thing that can be wrong."""

import asyncio
import base64
import shutil
import socket
import sqlite3
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from uuid import uuid4

import pytest
from temporalio.client import Client

from activities.rollouts import RolloutActivities
from dev import Stack
from domain import schema
from domain.database import Database
from domain.rollouts import RolloutManager
from embedded.ports import HOST, free_port
from settings import Settings, child_environment
from terminal.checkup import stores
from tests.chaos.processes import Clock
from tests.typed import Rampart, Said
from worker import build_worker, version_of

KEY = base64.b64encode(b"k" * 32).decode()


@pytest.fixture
def elsewhere(alone: Rampart, monkeypatch: pytest.MonkeyPatch) -> Rampart:
    """Run where nothing is: no database, and nobody at the address of Temporal."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"{HOST}:{free_port()}")
    return alone


def findings(said: Said) -> dict[str, tuple[str, str, str]]:
    """Return health, what was said, and the advice, by part."""
    return {
        one["part"]: (one["health"], one["said"], one["advice"]) for one in said.json["findings"]
    }


def test_on_a_whole_stack_nothing_failed(rampart: Rampart, stack: Stack) -> None:
    told, found = rampart("doctor"), rampart("doctor", "--json")

    seen = findings(found)
    assert (told.code, found.code, found.json["counts"]["failed"]) == (0, 0, 0)
    parts = {"Python", "rampart", "temporal", "database", "tables", "disk", "Temporal", "namespace"}
    for part in parts | {"search attributes", "worker", "reconciler", "Temporal's UI"}:
        assert seen[part][0] == "ok", seen[part]
    assert f"1 on the task queue 'rampart': {stack.worker_pid}@" in seen["worker"][1]
    assert stack.address in seen["Temporal"][1]
    assert told.out.splitlines()[-1].startswith("nothing failed, ")


def test_where_nothing_is_it_says_what_to_start_and_makes_nothing(
    elsewhere: Rampart, tmp_path: Path
) -> None:
    told, found = elsewhere("doctor"), findings(elsewhere("doctor", "--json"))

    assert told.code == 1
    assert found["Temporal"][0] == "failed"
    assert found["Temporal"][2] == "start one with `rampart dev`, or set TEMPORAL_ADDRESS"
    assert found["database"][0] == "warning"
    assert "→ start one with `rampart dev`" in told.out
    assert told.out.splitlines()[-1].startswith("1 failed, ")
    assert list(tmp_path.iterdir()) == []


def test_tables_of_another_release_are_told_with_the_way_out(
    elsewhere: Rampart, tmp_path: Path
) -> None:
    async def make(revision: str) -> None:
        database = Database(f"sqlite:///{tmp_path}/rampart.db")
        async with database.administered() as connection:
            await connection.run_sync(schema.migrate, revision)

    asyncio.run(make("0003"))
    old = findings(elsewhere("doctor", "--json"))
    elsewhere("db", "upgrade")
    new = findings(elsewhere("doctor", "--json"))
    with sqlite3.connect(tmp_path / "rampart.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    newer = findings(elsewhere("doctor", "--json"))

    assert old["tables"][0] == "failed"
    assert old["tables"][2] == "run `rampart db upgrade`"
    assert new["tables"][0] == "ok"
    assert newer["tables"] == (
        "failed",
        f"revision 9999, this release needs {schema.HEAD}",
        "upgrade rampart to the release that made them",
    )


@pytest.mark.parametrize(
    ("variable", "value", "part", "said"),
    [
        ("RAMPART_DATABASE_URL", "postgresql://x:secret@127.0.0.1:9/x", "database", "unavailable"),
        ("RAMPART_DATABASE_URL", "mysql://x:secret@y", "database", "is not supported"),
        ("RAMPART_REDIS_URL", "redis://:secret@127.0.0.1:9/0", "Redis", "does not answer"),
        ("RAMPART_REDIS_URL", "amqp://:secret@y", "Redis", "is not supported"),
        ("RAMPART_LOG_FORMAT", "xml", "logs", "'xml'"),
        ("RAMPART_PAYLOAD_KEYS", "k1:secret", "payload keys", "entry 1 is not"),
        ("RAMPART_NOTIFY_FILE", "/no/such.yaml", "notifications", "/no/such.yaml"),
        ("TEMPORAL_CONFIG_FILE", "broken.toml", "Temporal", "configuration cannot be read"),
        ("RAMPART_OPERATOR", "", "operator", "nobody"),
    ],
)
def test_what_is_wrong_with_a_setting_is_told_and_never_the_secret(
    elsewhere: Rampart,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    part: str,
    said: str,
) -> None:
    (tmp_path / "broken.toml").write_text("a = [")
    monkeypatch.delenv("USER", raising=False)
    monkeypatch.setenv(variable, value)

    told = elsewhere("doctor", "--json")

    health, words, advice = findings(told)[part]
    assert health == ("warning" if part == "operator" else "failed")
    assert said in words
    assert advice
    assert "secret" not in told.out
    assert told.err == ""


def test_keys_and_redis_that_are_there_are_counted_not_shown(
    elsewhere: Rampart, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAMPART_PAYLOAD_KEYS", f"new:{KEY},old:{KEY}")
    monkeypatch.setenv("RAMPART_REDIS_URL", redis_url)

    told = elsewhere("doctor", "--json")

    seen = findings(told)
    assert seen["payload keys"][:2] == ("ok", "2 to open with, the first of them seals")
    assert seen["Redis"][0] == "ok"
    assert seen["Redis durability"][0] == "warning"
    assert "appendonly is off" in seen["Redis durability"][1]
    assert KEY not in told.out


def test_nobody_on_the_task_queue_and_no_such_namespace_are_told(
    rampart: Rampart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAMPART_TASK_QUEUE", "other")
    no_worker = findings(rampart("doctor", "--json"))
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "nowhere")
    no_namespace = findings(rampart("doctor", "--json"))

    assert no_worker["worker"][0] == "failed"
    assert "nobody polls the task queue 'other'" in no_worker["worker"][1]
    assert no_namespace["namespace"][0] == "failed"
    assert "temporal operator namespace create -n nowhere" in no_namespace["namespace"][2]


def test_a_namespace_that_knows_nothing_of_us_is_told_how_to(
    rampart: Rampart, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporal = str(shutil.which("temporal", path=str(Path(sys.executable).parent)))
    name = f"fresh-{uuid4().hex[:6]}"
    made = ("operator", "namespace", "create", "-n", name, "--address", stack.address)
    subprocess.run([temporal, *made], check=True, capture_output=True, env=child_environment())
    monkeypatch.setenv("TEMPORAL_NAMESPACE", name)
    while (seen := findings(rampart("doctor", "--json")))["namespace"][0] != "ok":
        pass

    assert seen["search attributes"][0] == "warning"
    assert "--name RampartPhase --type Keyword" in seen["search attributes"][2]
    assert seen["worker"][0] == "failed"
    assert seen["reconciler"][0] == "warning"


def test_a_gateway_and_the_ui_are_asked(
    elsewhere: Rampart, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://{HOST}:{free_port()}"
    monkeypatch.setenv("RAMPART_UI_URL", nowhere)
    silent = findings(elsewhere("doctor", "--gateway", nowhere, "--json"))
    other = findings(elsewhere("doctor", "--gateway", stack.ui, "--json"))
    wrong = elsewhere("doctor", "--gateway", "localhost:8080")

    assert silent["gateway"][0] == other["gateway"][0] == "failed"
    assert "nothing listens there" in silent["gateway"][1]
    assert silent["Temporal's UI"][0] == "warning"
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == (
        "rampart: --gateway must be a URL such as http://127.0.0.1:8080, got 'localhost:8080'\n"
    )


def test_a_disk_that_fills_up_is_told_in_time(
    elsewhere: Rampart, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere("version", "list")
    monkeypatch.setattr(stores, "LITTLE", 2**62)
    little = findings(elsewhere("doctor", "--json"))
    monkeypatch.setattr(stores, "TOO_LITTLE", 2**62)
    too_little = findings(elsewhere("doctor", "--json"))

    assert (little["disk"][0], too_little["disk"][0]) == ("warning", "failed")


async def examined(**variables: str) -> dict[str, tuple[str, str, str]]:
    """Run the command in a process of its own."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cli", "doctor", "--json"),
        cwd=Path(__file__).parents[2],
        env=child_environment(**variables),
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await running.communicate()
    assert running.returncode in (0, 1), err.decode()
    return findings(Said(running.returncode, out.decode(), err.decode()))


@pytest.mark.parametrize(
    ("seconds", "health", "said"),
    [(0, "ok", "as that"), (5, "warning", "5s behind"), (-300, "failed", "5m ahead of")],
)
async def test_clocks_that_differ_are_told(
    postgres: str, tmp_path: Path, seconds: int, health: str, said: str
) -> None:
    clock = Clock(tmp_path / "clock")
    clock.set(seconds)
    nobody = f"{HOST}:{free_port()}"

    found = await examined(
        RAMPART_DATABASE_URL=postgres, TEMPORAL_ADDRESS=nobody, **clock.environment
    )

    assert found["database clock"][0] == health, found
    assert said in found["database clock"][1]


async def test_workers_of_a_version_that_is_not_current_are_told(stack: Stack) -> None:
    queue = f"versions-{uuid4().hex[:6]}"
    client: Client = await stack.connect()
    database = Database(stack.database_url)
    settings = Settings(build_id="2026-11-26", deployment=queue)
    hands = RolloutActivities(RolloutManager(database))
    named = {"RAMPART_TASK_QUEUE": queue, "RAMPART_DEPLOYMENT": queue}

    async with build_worker(client, hands, task_queue=queue, deployment=version_of(settings)):
        async with asyncio.timeout(60):
            while "worker version" not in (found := await examined(**stack.variables(), **named)):
                await asyncio.sleep(0.2)
    await database.dispose()

    assert found["worker version"][0] == "failed"
    assert "none of" in found["worker version"][1]
    assert "--build-id 2026-11-26" in found["worker version"][2]


def test_who_listens_but_is_no_temporal_is_told(
    elsewhere: Rampart, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HOST, 0)) as mute:
        monkeypatch.setenv("TEMPORAL_ADDRESS", f"{HOST}:{mute.getsockname()[1]}")
        found = findings(elsewhere("doctor", "--json"))

    assert found["Temporal"][0] == "failed"
