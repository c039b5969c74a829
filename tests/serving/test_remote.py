"""Events over HTTP: what a gateway's answers mean to whoever sends."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from domain.errors import InvalidValue, Unavailable
from domain.intake.intake import Overloaded, Refused
from domain.wire import Event, decode_lines
from serving.remote import BODY_BYTES, RemoteIntake

TAKEN: tuple[int, dict[str, str], Any] = (202, {}, {"accepted": 1, "errors": []})
TOKEN = "rampart_0_secret"  # noqa: S105  # of nobody
EVENTS = [Event(version_id="v-1", event_id=f"e-{number}") for number in range(3)]


class Answering(BaseHTTPRequestHandler):
    """A gateway that gives the next answer of its script, and keeps what it was sent."""

    server: "Gateway"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, self.headers["authorization"], body))
        status, headers, told = self.server.script.pop(0) if self.server.script else TAKEN
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode() if told is not None else b"<html>")

    def log_message(self, *_: object) -> None:
        pass


class Gateway(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.script: list[tuple[int, dict[str, str], Any]] = []
        self.asked: list[tuple[str, str, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_events_are_sent_as_lines_with_the_token(gateway: Gateway) -> None:
    await RemoteIntake(f"{gateway.url}/", token=TOKEN).accept(EVENTS)

    path, token, body = gateway.asked[0]
    assert (path, token) == ("/v1/events", f"Bearer {TOKEN}")
    assert decode_lines(body, now=datetime.now(UTC)).events == EVENTS


async def test_a_gateway_under_a_path_is_found(gateway: Gateway) -> None:
    await RemoteIntake(f"{gateway.url}/rampart/", token=TOKEN).accept(EVENTS)

    assert gateway.asked[0][0] == "/rampart/v1/events"


async def test_large_events_are_sent_in_several_requests(gateway: Gateway) -> None:
    note = {"note": "x" * 16_000}
    many = [Event(version_id="v-1", event_id=f"e-{n}", metadata=note) for n in range(100)]

    await RemoteIntake(gateway.url, token=TOKEN).accept(many)

    bodies = [body for _, _, body in gateway.asked]
    sent = [decode_lines(body, now=datetime.now(UTC)).events for body in bodies]
    assert max(map(len, bodies)) <= BODY_BYTES
    assert [event for events in sent for event in events] == many


@pytest.mark.parametrize("status", [202, 422])
async def test_what_is_refused_is_told_by_its_id(gateway: Gateway, status: int) -> None:
    why = {"index": 1, "event_id": "e-1", "field": "tokens", "message": "tokens must be …"}
    gateway.script = [(status, {}, {"accepted": 2, "errors": [why]})]

    with pytest.raises(Refused) as refused:
        await RemoteIntake(gateway.url, token=TOKEN).accept(EVENTS)

    assert refused.value.reasons == {"e-1": "tokens must be …"}


@pytest.mark.parametrize("status", [400, 413])
async def test_a_body_that_is_refused_is_not_sent_for_ever(gateway: Gateway, status: int) -> None:
    gateway.script = [(status, {}, {"detail": "body must be at most 10 bytes"})]

    with pytest.raises(Refused) as refused:
        await RemoteIntake(gateway.url, token=TOKEN).accept(EVENTS)

    assert list(refused.value.reasons) == ["e-0", "e-1", "e-2"]
    assert "body must be at most 10 bytes" in str(refused.value)


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7), ("0", 1), ("86400", 60), ("Wed, 21 Oct 2026", 1), (None, 1)]
)
async def test_a_gateway_without_room_says_how_long_to_wait(
    gateway: Gateway, told: str | None, seconds: int
) -> None:
    gateway.script = [(429, {"retry-after": told} if told else {}, {})]

    with pytest.raises(Overloaded, match=f"asks to wait {seconds} s") as overloaded:
        await RemoteIntake(gateway.url, token=TOKEN).accept(EVENTS)

    assert overloaded.value.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 415, 500, 502, 503])
async def test_every_other_answer_is_an_outage(gateway: Gateway, status: int) -> None:
    gateway.script = [(status, {}, {"detail": "the token has expired"})]

    with pytest.raises(Unavailable, match=rf"answers {status} .*the token has expired"):
        await RemoteIntake(gateway.url, token=TOKEN).accept(EVENTS)


async def test_an_answer_that_is_no_gateways_is_an_outage(gateway: Gateway) -> None:
    gateway.script = [(202, {}, None)]

    with pytest.raises(Unavailable, match="answers what we cannot read"):
        await RemoteIntake(gateway.url, token=TOKEN).accept(EVENTS)


async def test_nobody_at_the_address_is_an_outage() -> None:
    with Gateway() as gone:
        url = gone.url

    with pytest.raises(Unavailable, match=f"gateway {url} does not answer"):
        await RemoteIntake(url, token=TOKEN).accept(EVENTS)


@pytest.mark.parametrize("url", ["", "gateway:8080", "ftp://gateway", "http://", "http:///v1"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidValue, match="url must be http://host:port or https://host"):
        RemoteIntake(url, token=TOKEN)
