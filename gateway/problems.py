"""What is answered when something is refused: `application/problem+json`, RFC 9457."""

import json
import math
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from control.connection import NoRollout, Refused, Unreachable
from control.experiments import NoExperiment
from control.monitors import NoMonitor
from domain.errors import (
    Conflict,
    NotFound,
    RampartError,
    Unavailable,
)
from domain.intake.intake import Overloaded
from gateway.exchange import Answer

MEDIA_TYPE = b"application/problem+json"
RETRY = timedelta(seconds=1)  # when to try again where nothing says better

STATUS: tuple[tuple[type[RampartError], HTTPStatus], ...] = (  # the first that fits
    (NotFound, HTTPStatus.NOT_FOUND),
    (NoRollout, HTTPStatus.NOT_FOUND),
    (NoExperiment, HTTPStatus.NOT_FOUND),
    (NoMonitor, HTTPStatus.NOT_FOUND),
    (Conflict, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.CONFLICT),
    (Overloaded, HTTPStatus.TOO_MANY_REQUESTS),
    (Unreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(RampartError):
    """The request is refused.

    Attributes:
        detail: One sentence for whoever sent it.
        headers: Of the answer, besides its type.
        more: Members of the answer besides the standard ones; plain JSON.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def answer(self) -> Answer:
        """Return what is sent."""
        known = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        # In ASCII: what is quoted of a request may hold halves of surrogate pairs.
        body = json.dumps(known | self.more, allow_nan=False).encode()
        return Answer(self.status, body, self.headers_with(MEDIA_TYPE))

    def headers_with(self, media_type: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Return all headers of an answer of that type."""
        ours = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        return ((b"content-type", media_type), *ours)


def problem_of(error: RampartError) -> Problem:
    """Return how an error of the domain or of control is told; 422 if it is about what was sent."""
    if isinstance(error, Problem):
        return error
    unprocessable = HTTPStatus.UNPROCESSABLE_ENTITY
    status = next((status for kind, status in STATUS if isinstance(error, kind)), unprocessable)
    return Problem(status, str(error), headers=_retry(error, status))


def retry_after(wait: timedelta) -> dict[str, str]:
    """Return the header that says when to try again: whole seconds, at least 1."""
    return {"retry-after": str(max(1, math.ceil(wait.total_seconds())))}


def _retry(error: RampartError, status: HTTPStatus) -> dict[str, str]:
    if isinstance(error, Overloaded):
        return retry_after(error.retry_after)
    return retry_after(RETRY) if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
