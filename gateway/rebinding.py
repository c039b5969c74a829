"""Which names an open gateway answers to.

It asks nobody for a token, so what protects it is that only this machine reaches it. A web page
does, too: its own name can be made to mean 127.0.0.1 once it is loaded (DNS rebinding), and the
browser then takes our answers for its own. But it still sends that name.
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from gateway.problems import Problem

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def refuse_other_names(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a request that was sent to another name than this machine's own.

    Raises:
        Problem: 421.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        name = (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        name = ""
    if name not in LOOPBACK and not name.endswith(".localhost"):
        detail = (
            f"an open gateway answers to {', '.join(sorted(LOOPBACK))} alone, not to {host[:100]!r}"
        )
        raise Problem(HTTPStatus.MISDIRECTED_REQUEST, detail)
