"""A small HTTP server that keeps what is posted to it, and answers as its path says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from serving.webhooks import Receiver, Refused


@dataclass(frozen=True)
class Letter:
    """One POST."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Mailbox:
    """What came in, and how it is answered.

    Attributes:
        receiver: Judges what is posted under `/signed`, as an application would.
        failing: How many more posts are answered with 500, by path.
        refusals: What the receiver said of those it refused.
    """

    port: int = 0
    receiver: Receiver | None = None
    letters: list[Letter] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def at(self, path: str) -> list[Letter]:
        return [letter for letter in self.letters if letter.path.partition("?")[0] == path]

    def answer(self, letter: Letter) -> int:
        """Return the code. What is posted to `/hang` waits until the mailbox is closed."""
        self.letters.append(letter)
        path = letter.path.partition("?")[0]
        if path.startswith("/hang"):
            self.released.wait(60)
        if self.failing.get(path, 0) > 0:
            self.failing[path] -= 1
            return 500
        return self._judged(letter) if path.startswith("/signed") else 200

    def _judged(self, letter: Letter) -> int:
        assert self.receiver is not None
        try:
            with self.receiver.receive(letter.headers, letter.body):
                return 204
        except Refused as error:
            self.refusals.append(str(error))
            return error.code


@contextmanager
def mailbox(receiver: Receiver | None = None) -> Iterator[Mailbox]:
    """Open a mailbox on a free port of this machine."""
    box = Mailbox(receiver=receiver)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["content-length"]))
            code = box.answer(Letter(self.path, dict(self.headers), body))
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    box.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield box
    finally:
        box.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
