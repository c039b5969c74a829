"""A real server in a process of its own: streams, limits on the wire, logs, and how it stops."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from domain.broker import connect
from domain.database import Database
from domain.intake.drain import Drain
from domain.intake.stream import Stream
from domain.prompts import PromptVariant
from domain.tokens import Role, TokenManager
from embedded.ports import free_port
from settings import child_environment
from tests.house import House

ROOT = Path(__file__).parents[2]
CONTEXT = {"context": {"targetingKey": "user-1"}}
ALL = "/ofrep/v1/evaluate/flags"


@dataclass
class Place:
    """A gateway, the house it serves, and a token for each role."""

    house: House
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    texts: dict[Role, str]

    def bearer(self, role: Role) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[role]}"}


@contextmanager
def running(
    log: Path, database: Database, *more: str, redis_url: str = "", **variables: str
) -> Iterator[tuple[str, Any]]:
    port = free_port()
    command = [sys.executable, "-m", "cli", "gateway", "--port", str(port), *more]
    variables |= {
        "RAMPART_DATABASE_URL": database.url.render_as_string(hide_password=False),
        "RAMPART_REDIS_URL": redis_url,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=child_environment(**variables), stdout=out, stderr=out
        )
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(60)


async def ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(60):
        while True:
            assert process.poll() is None, "the gateway has ended"
            try:
                if (await client.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


@asynccontextmanager
async def standing(
    tmp_path: Path, database: Database, *more: str, redis_url: str = "", **variables: str
) -> AsyncIterator[Place]:
    house, manager = House(database), TokenManager(database)
    await house.furnish()
    texts = {role: (await manager.create(role.value, [role])).text for role in Role}
    log = tmp_path / "gateway.log"
    with running(log, database, *more, redis_url=redis_url, **variables) as (url, process):
        await ready(url, process)
        yield Place(house, url, process, log, texts)


@pytest_asyncio.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """One for all stories that leave it standing."""
    folder = tmp_path_factory.mktemp("served")
    database = Database(f"sqlite:///{folder}/rampart.db")
    async with standing(folder, database) as found:
        yield found
    await database.dispose()


class Following:
    """Server-sent events as they come."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self) -> dict[str, Any]:
        """Return the next event: its data and its id."""
        found: dict[str, Any] = {}
        async with asyncio.timeout(30):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "data":
                    found |= json.loads(value)
                elif name == "id":
                    found["id"] = value
                elif not line and found:
                    return found
        raise AssertionError("the stream has ended")

    async def change(self) -> dict[str, Any]:
        """Return the next event that tells of a change."""
        while "flag" not in (found := await self.next()):
            pass
        return found


@asynccontextmanager
async def following(
    place: Place, *, path: str = "/v1/changes", **headers: str
) -> AsyncIterator[Following]:
    async with (
        httpx.AsyncClient(base_url=place.url, timeout=30) as client,
        client.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Following(answer)


async def test_a_change_is_told_to_who_follows_and_missed_ones_to_who_comes_back(
    place: Place,
) -> None:
    bearer, other = place.bearer(Role.EVALUATE), "1.1.0"
    async with following(place, **bearer) as stream:
        connected = await stream.next()
        await place.house.put_in_production(other)
        changed = await stream.change()
    await place.house.put_in_production("1.0.0")
    async with following(place, **bearer, **{"last-event-id": changed["id"]}) as stream:
        missed = await stream.change()
    async with following(place, **bearer, **{"last-event-id": missed["id"]}) as stream:
        nothing_missed = await stream.next()

    assert connected["type"] == "connected"
    assert (changed["type"], changed["flag"]) == ("refetchEvaluation", "greeting.system")
    assert (missed["flag"], missed["epoch"] > changed["epoch"]) == ("greeting.system", True)
    assert nothing_missed == {"type": "connected", "id": missed["id"]}


async def test_the_stream_that_ofrep_offers_opens_by_its_url_alone(place: Place) -> None:
    bearer = place.bearer(Role.EVALUATE)
    async with httpx.AsyncClient(base_url=place.url) as client:
        told = (await client.post(ALL, json=CONTEXT, headers=bearer)).json()
        uri = told["eventStreams"][0]["endpoint"]["requestUri"]
        forged = [
            (await client.get(uri.replace("ticket=", "ticket=0"))).status_code,
            (await client.get(re.sub("ticket=[^.]+", "ticket=000000000000", uri))).status_code,
            (
                await client.get(re.sub(r"(ticket=[^.]+\.)\d+", r"\g<1>99999999999", uri))
            ).status_code,
            (await client.get("/v1/changes")).status_code,
            (await client.get("/v1/changes", headers=place.bearer(Role.INGEST))).status_code,
        ]
    other = "1.1.0" if told["flags"][0]["variant"] == "1.0.0" else "1.0.0"
    async with following(place, path=uri) as stream:
        connected = await stream.next()
        await place.house.put_in_production(other)
        changed = await stream.change()
    async with httpx.AsyncClient(base_url=place.url) as client:
        again = await client.post(
            ALL, params={"flagConfigEtag": changed["etag"]}, json=CONTEXT, headers=bearer
        )

    assert forged == [401, 401, 401, 401, 403]
    assert connected["id"] == told["metadata"]["version"]
    assert changed["etag"] == again.json()["metadata"]["version"]
    assert again.json()["flags"][0]["variant"] == other


async def test_told_to_stop_it_ends_streams_records_exposures_and_goes(
    tmp_path: Path, sqlite: Database
) -> None:
    async with standing(tmp_path, sqlite) as place:
        arms = [PromptVariant(number, 0.5) for number in ("1.0.0", "1.1.0")]
        made = await place.house.experiments.create_experiment("greeting", "system", arms)
        await evaluated_and_stopped(place)

    counts = await place.house.experiments.get_exposure_counts(made.experiment_id)
    assert sum(counts.values()) == 1
    assert "Traceback" not in place.log.read_text()


async def evaluated_and_stopped(place: Place) -> None:
    """Have a user be given an arm, and the server stopped while a client follows."""
    bearer = place.bearer(Role.EVALUATE)
    async with httpx.AsyncClient(base_url=place.url) as client:
        async with asyncio.timeout(30):
            reason = ""
            while reason != "SPLIT":
                answer = await client.post(f"{ALL}/greeting.system", json=CONTEXT, headers=bearer)
                reason = answer.json()["reason"]
        async with following(place, **bearer) as stream:
            await stream.next()
            place.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(place.process.wait, 60)


async def test_no_token_is_ever_written_to_the_log(place: Place) -> None:
    async with httpx.AsyncClient(base_url=place.url) as client:
        for text in (*place.texts.values(), "rampart_unknown_secret"):
            headers = {"authorization": f"Bearer {text}"}
            await client.post(ALL, json=CONTEXT, headers=headers)
            await client.get(f"/v1/tokens?token={text}", headers=headers)
            await client.get(f"/v1/changes?ticket={text}")
            await client.post("/v1/events", content=b"{", headers=headers)
        made = await client.post(
            "/v1/tokens",
            json={"name": "new", "roles": ["ingest"]},
            headers=place.bearer(Role.ADMIN),
        )

    log = place.log.read_text()
    assert made.status_code == 201
    assert "Started server process" in log
    for text in (*place.texts.values(), "rampart_unknown_secret", made.json()["text"]):
        assert text not in log
        assert text.split("_")[2] not in log


async def test_what_is_odd_on_the_wire_is_refused_and_the_next_request_is_served(
    place: Place,
) -> None:
    secret = place.texts[Role.INGEST]
    head = f"POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n"
    odd = {
        "413": f"{head}content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n[",
        "400": f"{head}content-type: application/json\r\ncontent-length: -1\r\n\r\n[]",
        "415": f"{head}content-length: 2\r\n\r\n[]",
        "404": f"GET /v1/%2e%2e/%00%ff HTTP/1.1\r\nhost: x\r\n"
        f"authorization: Bearer {place.texts[Role.ADMIN]}\r\n\r\n",
        "405": f"BREW /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {secret}\r\n\r\n",
    }

    statuses = {wanted: await raw(place, sent) for wanted, sent in odd.items()}

    assert {wanted for wanted, status in statuses.items() if status == wanted} >= {"413", "415"}
    assert not {"500", "200", "202"} & set(statuses.values())
    async with httpx.AsyncClient(base_url=place.url) as client:
        assert (await client.get("/healthz")).status_code == 200
    assert "Traceback" not in place.log.read_text()


async def raw(place: Place, sent: str) -> str:
    """Send bytes as they are, and return the status of the answer."""
    host, port = place.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(30):
        writer.write(sent.encode())
        answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer.split()[1].decode() if answer else "closed"


async def test_several_processes_share_a_port_and_all_stop(
    tmp_path: Path, sqlite: Database
) -> None:
    async with standing(tmp_path, sqlite, "--workers", "2") as place:
        async with httpx.AsyncClient(base_url=place.url) as client:
            bearer = place.bearer(Role.EVALUATE)
            answers = [await client.post(ALL, json=CONTEXT, headers=bearer) for _ in range(10)]
        place.process.send_signal(signal.SIGTERM)
        ended = await asyncio.to_thread(place.process.wait, 60)

    assert {answer.status_code for answer in answers} == {200}
    assert ended in (0, -signal.SIGTERM)
    pids = re.findall(r"Started server process \[(\d+)\]", place.log.read_text())
    assert len(set(pids)) == 2
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists() and os.name == "posix"]


async def test_with_redis_events_go_through_the_stream_and_metrics_show_it(
    tmp_path: Path, sqlite: Database, redis_url: str
) -> None:
    async with standing(tmp_path, sqlite, redis_url=redis_url) as place:
        version = (await place.house.get("1.0.0")).version_id
        batch = [{"version_id": version, "event_id": f"e-{number}"} for number in range(100)]
        async with httpx.AsyncClient(base_url=place.url) as client:
            bearer = place.bearer(Role.INGEST)
            told = [await client.post("/v1/events", json=batch, headers=bearer) for _ in range(2)]
            shown = (await client.get("/metrics", headers=bearer)).text
            ready = (await client.get("/readyz")).json()
        async with connect(redis_url) as redis, Drain(redis, place.house.metrics):
            async with asyncio.timeout(30):
                while (await Stream(redis).backlog()).entries:
                    await asyncio.sleep(0.05)

    assert [answer.status_code for answer in told] == [202, 202]
    assert "rampart_stream_entries 2.0" in shown
    assert ready["degraded"] == {}
    assert (await place.house.metrics.get_metrics(version)).total_uses == 100


async def test_without_a_database_and_temporal_it_starts_all_the_same(tmp_path: Path) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing")
    log = tmp_path / "gateway.log"
    with running(log, nowhere) as (url, process):
        async with httpx.AsyncClient(base_url=url) as client, asyncio.timeout(60):
            while True:
                assert process.poll() is None, log.read_text()
                try:
                    answer = await client.get("/readyz")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            alive = await client.get("/healthz")
            report = await client.post("/v1/events", json=[], headers={"x-api-key": "rampart_a_b"})

    assert (alive.status_code, answer.status_code, report.status_code) == (200, 503, 503)
    assert "database" in answer.json()["degraded"]
