"""A request as the hot routes read it, and what they answer: no more than they need."""

from http import HTTPStatus
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

JSON = ((b"content-type", b"application/json"),)
Headers = tuple[tuple[bytes, bytes], ...]


class Answer(NamedTuple):
    """A status, a whole body, and headers; the length is added when it is sent."""

    status: HTTPStatus
    body: bytes = b""
    headers: Headers = JSON

    async def send(self, send: Send) -> None:
        """Send it."""
        length = (b"content-length", str(len(self.body)).encode())
        headers = [*self.headers, length]
        start = {"type": "http.response.start", "status": int(self.status), "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


class Exchange:
    """One request. `headers` are by lower-case name; of those sent twice, the last."""

    __slots__ = ("headers", "method", "path", "query", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.receive = receive
