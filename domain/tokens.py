"""Bearer tokens: who may do what over HTTP.

A token reads `rampart_<id>_<secret>`, and its secret is 32 random bytes. At rest there is only the
secret's SHA-256: slow hashes (argon2) are for passwords, which people choose and others can guess;
256 random bits cannot be guessed, and a slow hash would only slow down every request.
"""

import asyncio
import hmac
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from time import monotonic
from typing import NamedTuple, Self

from sqlmodel import col, select

from domain.database import Database, default_database
from domain.errors import InvalidValue, NotFound, Unavailable
from domain.fields import check_label, check_text
from domain.routing import OUTAGES
from domain.tables import TokenRow
from domain.value import Frozen

PREFIX = "rampart"
ID_BYTES = 6
SECRET_BYTES = 32
TEXT_LIMIT = 200  # characters; no token of ours is as long
FRESH = timedelta(seconds=5)  # how long a token that was revoked elsewhere may still pass
RETRY = timedelta(seconds=1)  # the database is not asked more often, whatever tokens are tried
LONGEST = timedelta(days=36_500)


class Role(StrEnum):
    """What a token may do."""

    EVALUATE = "evaluate"  # ask what a user is served
    INGEST = "ingest"  # report events and exposures
    OPERATE = "operate"  # everything an operator does; includes evaluate
    ADMIN = "admin"  # make and revoke tokens; includes all others


# An operator does not report events: what rollouts are judged by is not theirs to write.
INCLUDES = {
    Role.OPERATE: frozenset({Role.OPERATE, Role.EVALUATE}),
    Role.ADMIN: frozenset(Role),
}


class Token(Frozen):
    """A token without its secret. `name` is how its holder shows in journals."""

    id: str
    name: str
    roles: tuple[Role, ...]
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""

    def may(self, role: Role) -> bool:
        """Say whether one of its roles is, or includes, the role."""
        return any(role is own or role in INCLUDES.get(own, ()) for own in self.roles)

    def is_live(self, now: datetime) -> bool:
        """Say whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Issued(NamedTuple):
    """A new token and its text, which nobody can be told again."""

    token: Token
    text: str


class Key(NamedTuple):
    """A token and the hash of its secret."""

    token: Token
    digest: str


class TokenManager:
    """Makes, lists and revokes tokens. Each method is one transaction."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def create(
        self,
        name: str,
        roles: Collection[str],
        *,
        lifetime: timedelta | None = None,
        by: str = "",
    ) -> Issued:
        """Make a token, which never expires unless it has a lifetime.

        Raises:
            InvalidValue: The name is no label, a role is unknown, there is none, or the lifetime
                is not positive.
        """
        check_label(name, field="name")
        check_text(by, field="by")
        now, secret = datetime.now(UTC), secrets.token_hex(SECRET_BYTES)
        row = TokenRow(
            id=secrets.token_hex(ID_BYTES),
            name=name,
            digest=_digest(secret),
            roles=_roles(roles),
            created_at=now,
            created_by=by,
            expires_at=_end(now, lifetime),
        )
        token = _token(row)
        async with self._database.transaction() as session:
            session.add(row)
        return Issued(token, f"{PREFIX}_{token.id}_{secret}")

    async def list(self) -> Sequence[Token]:
        """Return all tokens, the newest first, the revoked and expired ones too."""
        return [key.token for key in await self.keys()]

    async def keys(self) -> Sequence[Key]:
        """Return all tokens and the hashes of their secrets, the newest first."""
        query = select(TokenRow).order_by(col(TokenRow.created_at).desc(), TokenRow.id)
        async with self._database.reading() as session:
            return [Key(_token(row), row.digest) for row in await session.exec(query)]

    async def revoke(self, token_id: str, *, by: str = "") -> Token:
        """End a token for good. Idempotent: the first to revoke it is remembered.

        Raises:
            NotFound: There is no such token.
        """
        check_text(by, field="by")
        query = select(TokenRow).where(TokenRow.id == token_id).with_for_update()
        async with self._database.transaction() as session:
            row = (await session.exec(query)).one_or_none()
            if row is None:
                raise NotFound(f"no token {token_id!r}: see `rampart token list`")
            if row.revoked_at is None:
                row.revoked_at, row.revoked_by = datetime.now(UTC), by
                session.add(row)
            return _token(row)


class Keyring:
    """Knows all tokens, in memory, so that no request waits for the database.

    While it is entered it reads them anew every `fresh`: so long a token that was revoked elsewhere
    may still pass, and for as long as the database cannot be asked. A token it does not know may
    have been made a moment ago: then it looks, once a second at most, whatever is tried.
    """

    def __init__(self, manager: TokenManager, *, fresh: timedelta = FRESH) -> None:
        self._manager = manager
        self._fresh = fresh.total_seconds()
        self._keys: dict[str, Key] = {}
        self._failure = "they were never read"
        self._looked_at = -float("inf")
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    async def holder(self, text: str) -> Token | None:
        """Return the live token of that text.

        Raises:
            Unavailable: It is not known, and the database cannot be asked for it.
        """
        token_id, secret = _parts(text)
        key = await self.key(token_id) if token_id else None
        if key is None or not hmac.compare_digest(_digest(secret), key.digest):
            return None
        return key.token if key.token.is_live(datetime.now(UTC)) else None

    async def key(self, token_id: str) -> Key | None:
        """Return the token of that id, live or not, and its hash.

        Raises:
            Unavailable: It is not known, and the database cannot be asked for it.
        """
        known = self._keys.get(token_id)
        if known is None:
            await self._look_again()
            known = self._keys.get(token_id)
        if known is None and self._failure:
            raise Unavailable(f"tokens cannot be read: {self._failure}")
        return known

    async def refresh(self) -> None:
        """Read all tokens; if the database cannot be asked, go on with what is known."""
        self._looked_at = monotonic()
        try:
            self._keys = {key.token.id: key for key in await self._manager.keys()}
        except OUTAGES as error:
            self._failure = str(error).splitlines()[0]
        else:
            self._failure = ""

    async def __aenter__(self) -> Self:
        await self.refresh()
        self._left.clear()
        self._task = asyncio.create_task(self._keep_fresh())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End between two refreshes: a cancelled one could pass for an outage, and be survived."""
        self._left.set()
        if self._task is not None:
            await self._task

    async def _keep_fresh(self) -> None:
        while not self._left.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._fresh)
            if not self._left.is_set():
                await self.refresh()

    async def _look_again(self) -> None:
        async with self._looking:
            if monotonic() - self._looked_at >= RETRY.total_seconds():
                await self.refresh()


def _parts(text: str) -> tuple[str, str]:
    """Return id and secret in a token's text; both empty if it has not the form of one."""
    parts = text.split("_") if len(text) <= TEXT_LIMIT else []
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == PREFIX else ("", "")


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _roles(given: Collection[str]) -> list[str]:
    known = ", ".join(Role)
    if isinstance(given, str) or not given:
        raise InvalidValue(f"roles must be some of {known}, got {given!r}")
    for role in given:
        if role not in list(Role):
            raise InvalidValue(f"each of roles must be one of {known}, got {role!r}")
    return [role.value for role in Role if role in given]


def _end(now: datetime, lifetime: timedelta | None) -> datetime | None:
    if lifetime is None:
        return None
    if not timedelta(0) < lifetime <= LONGEST:
        raise InvalidValue(f"lifetime must be positive, at most 100 years, got {lifetime}")
    return now + lifetime


def _token(row: TokenRow) -> Token:
    return Token.model_validate(row.model_dump(exclude={"digest"}))
