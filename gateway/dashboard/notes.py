"""What a page says once about what was just done: kept in a cookie across the redirect.

Not in the address, where anybody could write it: a link would then make our page say something.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import Response

from gateway.dashboard import visit

COOKIE = "rampart_said"
LONGEST = 1500  # characters: browsers keep 4096 bytes
SECONDS = 30


@dataclass(frozen=True, slots=True)
class Note:
    """An answer, and a line for each value that it changed."""

    said: str
    lines: Sequence[str] = ()


def leave(response: Response, note: Note) -> None:
    """Have the next page say it."""
    text = json.dumps([note.said[:LONGEST], *note.lines])
    while len(text) > LONGEST and note.lines:
        note = Note(note.said, [*note.lines[:-2], "…"] if len(note.lines) > 1 else [])
        text = json.dumps([note.said[:LONGEST], *note.lines])
    value = urlsafe_b64encode(text.encode()).decode().rstrip("=")
    given = {"path": visit.ROOT, "httponly": True, "samesite": "lax", "max_age": SECONDS}
    response.set_cookie(COOKIE, value, **given)  # type: ignore[arg-type]  # as it is declared


def take(request: Request) -> Note | None:
    """Return what is to be said, if anything."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
        if found is None:
            return None
        padded = found.value + "=" * (-len(found.value) % 4)
        said, *lines = json.loads(urlsafe_b64decode(padded.encode()))
    except (CookieError, ValueError, TypeError):
        return None
    return Note(str(said), [str(line) for line in lines])


def forget(response: Response) -> None:
    """Have it said no more."""
    response.delete_cookie(COOKIE, path=visit.ROOT, httponly=True, samesite="lax")
