"""Secrets put into the environment come out nowhere: canaries that are looked for everywhere."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
import pytest_asyncio
from redis import Redis

import cli
from dev import Stack
from domain.database import Database
from embedded.ports import free_port
from settings import Settings, child_environment
from terminal.welcome import NEXT
from tests.house import House
from tests.redis_server import RedisServer

CANARIES = {
    "database password": "canary-dbpass-6f1c",
    "redis password": "canary-redis-9a2e",
    "notification": "canary-notify-3d7b",
    "payload key": "Y2FuYXJ5LWtleS1jYW5hcnkta2V5LWNhbmFyeS1rZXk=",
    "temporal key": "canary-apikey-5e8d",
}
NOTIFY = f"json://user:{CANARIES['notification']}@127.0.0.1:1/"
PLAN = "stages: [{percent: 10, bake: 1h}, {percent: 100}]\ncheck_min: 500ms\n"
NAME = "greeting"


class Told:
    """Everything that was told anywhere, by where."""

    def __init__(self) -> None:
        self.by_place: dict[str, str] = {}

    def add(self, place: str, said: str | bytes) -> str:
        text = said if isinstance(said, str) else said.decode("utf-8", "replace")
        self.by_place[place] = self.by_place.get(place, "") + text
        return text

    def leaks(self, secrets: dict[str, str]) -> list[str]:
        return [
            f"{name} in {place}"
            for place, text in self.by_place.items()
            for name, secret in secrets.items()
            if secret in text or quote(secret, safe="") in text
        ]


Rampart = Callable[..., tuple[int, str]]


@pytest_asyncio.fixture
async def database_url(postgres: str) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database, for a role with a password."""
    parts = urlsplit(postgres)
    admin = await asyncpg.connect(postgres)
    await admin.execute("DROP DATABASE IF EXISTS canaries")
    await admin.execute("CREATE DATABASE canaries")
    await admin.execute("DROP ROLE IF EXISTS canary")
    password = CANARIES["database password"]
    await admin.execute(f"CREATE ROLE canary SUPERUSER LOGIN PASSWORD '{password}'")
    host = parts.netloc.rpartition("@")[2]
    yield urlunsplit(parts._replace(netloc=f"canary:{password}@{host}", path="/canaries"))
    await admin.execute("DROP DATABASE IF EXISTS canaries WITH (FORCE)")
    await admin.execute("DROP ROLE IF EXISTS canary")
    await admin.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that asks for a password."""
    server = RedisServer(tmp_path / "redis", durable=False)
    server.start()
    with Redis(port=server.port) as client:
        client.config_set("requirepass", CANARIES["redis password"])
    yield server
    server.kill()


@pytest_asyncio.fixture
async def stack(
    tmp_path: Path, database_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stack]:
    """All of it, with secrets in its environment and a furnished house."""
    redis_url = f"redis://:{CANARIES['redis password']}@127.0.0.1:{redis.port}/0"
    monkeypatch.setenv("RAMPART_REDIS_URL", redis_url)
    monkeypatch.setenv("RAMPART_NOTIFY", NOTIFY)
    monkeypatch.setattr("dev.START_S", 90.0)  # a busy machine is no failure of this
    database = Database(database_url)
    await House(database, name=NAME).furnish()
    await database.dispose()
    folder, port = tmp_path / "stack", free_port()
    async with Stack(
        folder, port=port, gateway_port=free_port(), database_url=database_url
    ) as running:
        for name, value in running.variables().items():
            monkeypatch.setenv(name, value)
        await answers(f"{running.gateway}/healthz")
        yield running


async def answers(url: str) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                if (await client.get(url)).is_success:
                    return
            await asyncio.sleep(0.1)


@pytest.fixture
def rampart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rampart:
    """Run `rampart …` in this process, which is ten times as fast."""

    def run(told: Told, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["rampart", *words])
        code = cli.main()
        return code, told.add(f"rampart {' '.join(words)}", "".join(capsys.readouterr()))

    return run


async def all_histories(told: Told, stack: Stack) -> int:
    """Read all that Temporal holds, sealed by nobody; return how many events."""
    client, events = await stack.connect(), 0
    async for found in client.list_workflows():
        handle = client.get_workflow_handle(found.id, run_id=found.run_id)
        async for event in handle.fetch_history_events():
            told.add("histories", event.SerializeToString())
            events += 1
        told.add("histories", (await handle.describe()).raw_description.SerializeToString())
    return events


def through_the_gateway(told: Told, stack: Stack, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=stack.gateway, headers=headers, timeout=30) as client:
        for path in ("/metrics", "/readyz", "/openapi.json", "/v1/tokens", "/v1/rollouts",
                     f"/v1/rollouts/{NAME}.system", f"/v1/rollouts/{NAME}.system/decisions",
                     f"/v1/tokens?x={token}", f"/v1/nothing?{token}"):  # fmt: skip
            told.add(f"gateway {path.replace(token, '…')}", client.get(path).content)
        body = {"context": {"targetingKey": "user-1"}}
        answer = client.post(f"/ofrep/v1/evaluate/flags/{NAME}.system", json=body)
        told.add("gateway evaluation", answer.content)


@pytest.mark.timeout(300)
def test_a_whole_rollout_tells_no_secret_anywhere(
    stack: Stack, redis: RedisServer, rampart: Rampart, capsys: pytest.CaptureFixture[str]
) -> None:
    told, plan, prompt = Told(), stack.directory / "plan.yaml", f"{NAME}.system"
    plan.write_text(PLAN)
    issued = rampart(Told(), "token", "create", "shop", "--role", "admin", "--json")[1]
    token = json.loads(issued)["text"]

    begun = ("start", prompt, "1.1.0", "--plan", str(plan), "--reason", "marker-reason")
    codes = [rampart(told, *begun)[0]]
    for words in ("pause", "status", "why", "rollback", "journal", "status --json"):
        verb, *flags = words.split()
        codes.append(rampart(told, verb, prompt, *flags)[0])
    for words in ("list", "version list", "token list", "db current", "stream status"):
        codes.append(rampart(told, *words.split())[0])
    through_the_gateway(told, stack, token)
    events = asyncio.run(all_histories(told, stack))
    cli._introduce(stack, NEXT)
    told.add("rampart dev", "".join(capsys.readouterr()))
    redis.kill()
    through_the_gateway(told, stack, token)
    for log in sorted(stack.directory.glob("*.log")):
        told.add(log.name, log.read_bytes())

    assert set(codes) == {0}
    assert events > 20
    assert "marker-reason" in told.by_place["histories"]
    assert "postgresql" in told.by_place["rampart dev"]
    assert {"worker.log", "gateway.log", "temporal.log"} <= told.by_place.keys()
    assert told.leaks(CANARIES | {"token": token.split("_")[2]}) == []


UNREACHABLE = {
    "RAMPART_DATABASE_URL": f"postgresql://rampart:{CANARIES['database password']}@127.0.0.1:1/x",
    "RAMPART_REDIS_URL": f"redis://rampart:{CANARIES['redis password']}@127.0.0.1:1/0",
    "RAMPART_NOTIFY": NOTIFY,
    "TEMPORAL_ADDRESS": "127.0.0.1:1",
    "TEMPORAL_API_KEY": CANARIES["temporal key"],
    "RAMPART_PAYLOAD_KEYS": f"k1:{CANARIES['payload key']}",
}
WRONG = {
    "RAMPART_DATABASE_URL": f"mysql://rampart:{CANARIES['database password']}@db/x",
    "RAMPART_REDIS_URL": f"http://rampart:{CANARIES['redis password']}@redis",
    "RAMPART_PAYLOAD_KEYS": f"k1:{CANARIES['payload key']}x",
    "TEMPORAL_CONFIG_FILE": "/dev/null",
}


COMMANDS = ["list", "version list", "worker", "stream status", "db current", "gateway"]


@pytest.mark.parametrize("variables", [UNREACHABLE, WRONG], ids=["nobody there", "wrong"])
@pytest.mark.parametrize("words", COMMANDS)
def test_what_cannot_be_reached_is_told_without_its_secret(
    words: str,
    variables: dict[str, str],
    rampart: Rampart,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (words, variables) == ("gateway", UNREACHABLE):
        return  # it waits for its database: see below
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    told = Told()

    code, text = rampart(told, *words.split())

    assert (code, text.count("\n"), text[:9]) == (2, 1, "rampart: ")
    assert told.leaks(CANARIES) == []


async def test_a_gateway_that_waits_for_its_database_tells_no_secret(tmp_path: Path) -> None:
    told, log = Told(), tmp_path / "out"
    with log.open("wb") as out:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "gateway", "--port", str(free_port())),
            stdout=out,
            stderr=out,
            env=child_environment() | UNREACHABLE,
        )
        async with asyncio.timeout(90):
            while (
                "no_database" not in log.read_text() and "startup complete" not in log.read_text()
            ):
                await asyncio.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        await running.wait()

    told.add("gateway", log.read_bytes())
    assert told.leaks(CANARIES) == []


def test_settings_show_no_secret_however_they_are_printed() -> None:
    settings = Settings(
        database_url=UNREACHABLE["RAMPART_DATABASE_URL"],
        redis_url=UNREACHABLE["RAMPART_REDIS_URL"],
        payload_keys=UNREACHABLE["RAMPART_PAYLOAD_KEYS"],
    )

    told = Told()
    told.add("repr", f"{settings} {settings!r} {json.dumps(str(settings))}")

    assert told.leaks(CANARIES) == []
