"""RemoteIntake: events to a gateway over HTTP, for processes whose load spares the database."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from domain.errors import InvalidValue, RampartError, Unavailable
from domain.intake.intake import Overloaded, Refused
from domain.wire import Event, Refusal

BODY_BYTES = 500_000  # of one request, about; well under what a gateway takes
PATIENCE = timedelta(seconds=10)  # for an answer
LONGEST = timedelta(minutes=1)  # that a gateway can make us wait
MEDIA_TYPE = "application/x-ndjson"
PATH = "/v1/events"


class Busy(Overloaded):
    """The gateway has no room; nothing of the request was taken."""

    def __init__(self, retry_after: timedelta) -> None:
        RampartError.__init__(self, f"the gateway asks to wait {retry_after.total_seconds():g} s")
        self.retry_after = retry_after


class _Answer(NamedTuple):
    status: int
    retry_after: str | None
    body: bytes


class _Taken(msgspec.Struct):
    errors: list[Refusal] = []


class RemoteIntake:
    """Sends events to a gateway. It holds no connection, and belongs to no event loop."""

    def __init__(self, url: str, *, token: str, patience: timedelta = PATIENCE) -> None:
        """Take where the gateway is, and a token with the role `ingest`.

        Raises:
            InvalidValue: The URL is no `http://host:port` or `https://host`.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidValue(f"url must be http://host:port or https://host, got {url!r}")
        self._url = url
        self._address = parts.netloc.rpartition("@")[2]
        self._path = parts.path.rstrip("/") + PATH
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._headers = {"authorization": f"Bearer {token}", "content-type": MEDIA_TYPE}
        self._patience = patience.total_seconds()

    async def accept(self, events: Sequence[Event]) -> None:
        """Return when the gateway has made the events durable. See `Intake`.

        Raises:
            Overloaded: The gateway has no room, and says how long to wait.
            Unavailable: It does not answer, fails, or does not know the token.
            Refused: It refuses some, all others are taken.
        """
        refused: dict[str, str] = {}
        for sent, body in _bodies(events):
            try:
                answer = await _in_thread(lambda body=body: self._post(body))  # type: ignore[misc]
            except (OSError, HTTPException) as error:
                raise Unavailable(f"gateway {self._url} does not answer: {error}") from error
            refused |= self._read(answer, sent)
        if refused:
            raise Refused(refused)

    def _post(self, body: bytes) -> _Answer:
        connection = self._kind(self._address, timeout=self._patience)
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            return _Answer(answer.status, answer.getheader("retry-after"), answer.read())
        finally:
            connection.close()

    def _read(self, answer: _Answer, sent: Sequence[Event]) -> dict[str, str]:
        """Return why events were refused, by their ids."""
        status, told = answer.status, answer.body[:200].decode(errors="replace")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise Busy(_wait(answer.retry_after))
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            return {event.event_id: f"{status} {told}" for event in sent}
        if status not in (HTTPStatus.ACCEPTED, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise Unavailable(f"gateway {self._url} answers {status} {told}")
        try:
            errors = msgspec.json.decode(answer.body, type=_Taken).errors
        except msgspec.MsgspecError as error:
            raise Unavailable(f"gateway {self._url} answers what we cannot read") from error
        return {error.event_id or "": error.message for error in errors}


def _bodies(events: Sequence[Event]) -> Iterator[tuple[list[Event], bytes]]:
    """Yield the events and their NDJSON, as many at a time as fit into one request."""
    sent, lines, size = list[Event](), list[bytes](), 0
    for event in events:
        line = msgspec.json.encode(event)
        if lines and size + len(line) > BODY_BYTES:
            yield sent, b"\n".join(lines)
            sent, lines, size = [], [], 0
        sent.append(event)
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield sent, b"\n".join(lines)


def _wait(told: str | None) -> timedelta:
    seconds = int(told) if told and told.isascii() and told.isdigit() else 1
    return min(timedelta(seconds=max(1, seconds)), LONGEST)


def _in_thread(work: Callable[[], _Answer]) -> asyncio.Future[_Answer]:
    """Run it in a thread of its own: an executor is gone when the interpreter ends, and we send."""
    done: Future[_Answer] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except (OSError, HTTPException) as error:
            done.set_exception(error)

    Thread(target=run, name="rampart-send", daemon=True).start()
    return asyncio.wrap_future(done)
