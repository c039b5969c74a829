"""Reads a request's body, and never more of it than is allowed."""

import asyncio
import zlib
from datetime import timedelta
from http import HTTPStatus

from gateway.exchange import Exchange
from gateway.problems import Problem

PATIENCE = timedelta(seconds=30)  # for the rest of a body that comes in pieces
GZIP = 16 + zlib.MAX_WBITS
LENGTH_DIGITS = 18
CLOSE = {"connection": "close"}  # rather than read on what nobody wants


class Gone(Exception):  # nothing is wrong, and nobody is left to be told
    """Whoever asked has left."""


async def read(exchange: Exchange, *, limit: int) -> bytes:
    """Return the body, unzipped.

    Args:
        exchange: Whose body was not read yet.
        limit: Bytes, as sent and unzipped.

    Raises:
        Problem: 413 if it is larger, 408 if it does not come, 415 if it is encoded in another way
            than gzip, 400 if it is not what it says.
        Gone: Whoever asked has left.
    """
    _check_declared(exchange.headers.get(b"content-length"), limit=limit)
    message = await exchange.receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(exchange, body, limit=limit)
    if len(body) > limit:
        raise _too_large(limit)
    encoding = exchange.headers.get(b"content-encoding")
    return body if encoding is None else _decoded(body, encoding, limit=limit)


def media_type(exchange: Exchange) -> str:
    """Return the type of the body in lower case, without parameters; empty if it has none."""
    given = exchange.headers.get(b"content-type", b"").decode("latin-1")
    return given.partition(";")[0].strip().lower()


def unsupported(given: str, *allowed: str) -> Problem:
    """Return the refusal of a body of another type than allowed."""
    types = " or ".join(allowed)
    detail = f"content-type must be {types}, got {given[:100]!r}"
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers={"accept": ", ".join(allowed)}
    )


def _check_declared(length: bytes | None, *, limit: int) -> None:
    if length is None:
        return
    if not (length.isdigit() and len(length) <= LENGTH_DIGITS):
        raise Problem(HTTPStatus.BAD_REQUEST, "content-length must be a number", headers=CLOSE)
    if int(length) > limit:
        raise _too_large(limit)


async def _rest(exchange: Exchange, first: bytes, *, limit: int) -> bytes:
    parts, size, more = [first], len(first), True
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            while more:
                message = await exchange.receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                more = message.get("more_body", False)
                if size > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        seconds = PATIENCE.total_seconds()
        detail = f"the body did not come within {seconds:g} s"
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail, headers=CLOSE) from error
    return b"".join(parts)


def _decoded(body: bytes, encoding: bytes, *, limit: int) -> bytes:
    name = encoding.decode("latin-1").strip().lower()
    if name == "identity":
        return body
    if name != "gzip":
        detail = f"content-encoding must be gzip or identity, got {name[:100]!r}"
        headers = {"accept-encoding": "gzip, identity"}
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, headers=headers)
    unzip = zlib.decompressobj(GZIP)
    try:
        plain = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"body is not gzip: {error}") from error
    if len(plain) > limit:
        raise _too_large(limit)
    if not unzip.eof or unzip.unused_data:
        raise Problem(HTTPStatus.BAD_REQUEST, "body is not one whole gzip stream")
    return plain


def _too_large(limit: int) -> Problem:
    detail = f"body must be at most {limit} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers=CLOSE)
