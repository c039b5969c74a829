"""Who looks at a page: a token in a cookie; and what no other site may have sent.

The cookie holds the token itself, which scripts cannot read: there is no session to keep, every
gateway knows it, and it ends with the token (docs/adr/0038).
"""

from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.responses import Response

from gateway.problems import Problem

ROOT = "/ui"
LOGIN = f"{ROOT}/login"
STATIC = f"{ROOT}/static"
COOKIE = "rampart"
OURS = frozenset({b"same-origin", b"none"})  # what browsers say of requests of our own pages
ONLY_LOOKS = frozenset({"GET", "HEAD"})


def is_page(path: str) -> bool:
    """Say whether it is one of the dashboard's."""
    return path in ("/", ROOT) or path.startswith(f"{ROOT}/")


def is_public(path: str) -> bool:
    """Say whether a page is for everybody: where one logs in, and what it looks like."""
    return path in ("/", LOGIN) or path.startswith(f"{STATIC}/")


def bearer(headers: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the token of the cookie as the header that says the same, and who was asked."""
    token = f"Bearer {_token(headers)}".encode("latin-1", "replace")
    return {b"authorization": token, b"host": headers.get(b"host", b"")}


def refuse_other_sites(method: str, headers: Mapping[bytes, bytes]) -> None:
    """Refuse what would change something and comes from another site's page.

    As Go's `CrossOriginProtection` does: by what browsers say, which pages cannot forge. A client
    that says nothing is no browser, and sends no cookie that it was not given.

    Raises:
        Problem: 403.
    """
    if method in ONLY_LOOKS:
        return
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        ours = site in OURS
    else:
        host = headers.get(b"host", b"").decode("latin-1")
        ours = origin is None or urlsplit(origin.decode("latin-1")).netloc == host
    if not ours:
        detail = "another site's page sent this: go to the page here, and do it there"
        raise Problem(HTTPStatus.FORBIDDEN, detail)


def remember(response: Response, text: str, *, secure: bool) -> None:
    """Have the browser send the token from now on, until it is closed."""
    response.set_cookie(COOKIE, text, path=ROOT, httponly=True, samesite="lax", secure=secure)


def forget(response: Response) -> None:
    """Have the browser send it no more."""
    response.delete_cookie(COOKIE, path=ROOT, httponly=True, samesite="lax")


def _token(headers: Mapping[bytes, bytes]) -> str:
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
