"""A ticket lets a stream be opened by a URL alone, for browsers' `EventSource` sends no headers.

It holds the id of the token it was given for, an instant, and a signature by which every gateway
knows it: keyed with what all of them have of that token, the hash of its secret. It is good for
following changes and for nothing else, and ends with its token.
"""

import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from domain.tokens import Key, Keyring, Token

LIFETIME = timedelta(hours=12)


def issue(key: Key, *, now: datetime) -> str:
    """Return a ticket of the token."""
    until = int((now + LIFETIME).timestamp())
    return f"{key.token.id}.{until}.{_signature(key, until)}"


async def holder(keyring: Keyring, text: str) -> Token | None:
    """Return the live token that the ticket was given for; None if it is no ticket, or too old.

    Raises:
        Unavailable: Tokens cannot be read.
    """
    token_id, _, rest = text.partition(".")
    until, _, signature = rest.partition(".")
    if not (until.isdigit() and until.isascii() and len(until) <= 12 and signature.isascii()):
        return None
    key, now = await keyring.key(token_id), datetime.now(UTC)
    if key is None or not hmac.compare_digest(_signature(key, int(until)), signature):
        return None
    return key.token if now.timestamp() < int(until) and key.token.is_live(now) else None


def _signature(key: Key, until: int) -> str:
    signed = f"changes {key.token.id} {until}".encode()
    return hmac.new(key.digest.encode(), signed, sha256).hexdigest()
