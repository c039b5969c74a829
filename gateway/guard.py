"""Who may pass: bearer tokens, their roles, and how often they may ask."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus

from domain.tokens import Keyring, Role, Token
from gateway import tickets
from gateway.problems import Problem, retry_after
from gateway.rates import Rates
from gateway.rebinding import refuse_other_names

CHALLENGE = 'Bearer realm="rampart"'


class Guard:
    """Lets tokens of the right role pass; or everybody, where there is no keyring."""

    def __init__(self, keyring: Keyring | None, rates: Rates, *, visitor: str = "") -> None:
        """Take the tokens there are.

        Args:
            keyring: None lets everybody do everything.
            rates: How often each token may ask.
            visitor: By which name journals know who comes without a token where none is needed.
        """
        self._keyring = keyring
        self._rates = rates
        since = datetime.fromtimestamp(0, UTC)
        self._visitor = Token(id="", name=visitor, roles=(Role.ADMIN,), created_at=since)

    async def admit(self, headers: Mapping[bytes, bytes], role: Role | None) -> Token:
        """Return whose request it is.

        Args:
            headers: Of the request, by lower-case name.
            role: What its token must be good for; None: any live token will do.

        Raises:
            Problem: 401 without a live token, 403 if it may not do this, 429 if it asks too often;
                421 if everybody may, and it was not sent to this machine's own name.
            Unavailable: Tokens cannot be read.
        """
        if self._keyring is None:
            refuse_other_names(headers)
            return self._visitor
        return self._checked(await self._keyring.holder(_sent(headers)), role)

    async def admit_ticket(self, text: str, headers: Mapping[bytes, bytes]) -> Token:
        """Return whose ticket it is; see `gateway.tickets`. It is good for following changes.

        Raises:
            Problem, Unavailable: As for `admit`.
        """
        if self._keyring is None:
            return await self.admit(headers, Role.EVALUATE)
        return self._checked(await tickets.holder(self._keyring, text), Role.EVALUATE)

    async def ticket(self, token: Token) -> str:
        """Return a ticket of a token that was admitted; empty where none is needed."""
        key = await self._keyring.key(token.id) if self._keyring else None
        return tickets.issue(key, now=datetime.now(UTC)) if key else ""

    async def is_live(self, token: Token) -> bool:
        """Say whether a token that was admitted still would be.

        Raises:
            Unavailable: Tokens cannot be read.
        """
        if self._keyring is None:
            return True
        key = await self._keyring.key(token.id)
        return key is not None and key.token.is_live(datetime.now(UTC))

    def _checked(self, token: Token | None, role: Role | None) -> Token:
        if token is None:
            raise _unknown()
        if role is not None and not token.may(role):
            raise _forbidden(token, role)
        if wait := self._rates.take(token.id):
            detail = (
                f"token {token.name!r} asks too often: try again in {wait.total_seconds():.3f} s"
            )
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=retry_after(wait))
        return token


def _sent(headers: Mapping[bytes, bytes]) -> str:
    """Return the token sent, as OFREP allows: a bearer, else an API key."""
    given = headers.get(b"authorization")
    if given is None:
        key = headers.get(b"x-api-key")
        if key is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "a token is needed: send `Authorization: Bearer rampart_…`",
                headers={"www-authenticate": CHALLENGE},
            )
        return key.decode("latin-1").strip()
    scheme, _, text = given.decode("latin-1").partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


def _unknown() -> Problem:
    challenge = f'{CHALLENGE}, error="invalid_token"'
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "the token is unknown, expired or revoked",
        headers={"www-authenticate": challenge},
    )


def _forbidden(token: Token, role: Role) -> Problem:
    challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{role}"'
    has = ", ".join(token.roles)
    return Problem(
        HTTPStatus.FORBIDDEN,
        f"this needs the role {role}; token {token.name!r} has {has}",
        headers={"www-authenticate": challenge},
    )
