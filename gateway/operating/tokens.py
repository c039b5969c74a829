"""`/v1/tokens`: who may ask; for admins."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from domain.duration import Duration
from domain.tokens import Role, Token, TokenManager
from gateway.operators import Body, Holder, Label

PLACE = "/v1/tokens"

TokenId = Annotated[Label, Path(examples=["1f2e3d4c5b6a"])]


class NewToken(Body):
    """Who is to hold it, what it is good for, and for how long: by default until it is revoked."""

    name: Label = Field(examples=["checkout"])
    roles: Annotated[tuple[Role, ...], Field(min_length=1, max_length=10)]
    lifetime: Duration | None = None


class NewlyIssued(Body):
    """A new token; its text is told this once."""

    token: Token
    text: str


class TokenRoutes:
    """The verbs of `domain.tokens.TokenManager`."""

    def __init__(self, tokens: TokenManager) -> None:
        self._tokens = tokens

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["tokens"])
        found.get("", summary="List tokens, the newest first")(self.list)
        found.post("", status_code=HTTPStatus.CREATED, summary="Make a token")(self.create)
        found.post("/{token_id}/revoke", summary="End a token for good")(self.revoke)
        return found

    async def list(self) -> Sequence[Token]:
        """Return them without their secrets, the revoked and expired ones too."""
        return await self._tokens.list()

    async def create(self, given: NewToken, holder: Holder) -> NewlyIssued:
        """Make it and tell its text."""
        lifetime: timedelta | None = given.lifetime
        made = await self._tokens.create(given.name, given.roles, lifetime=lifetime, by=holder.name)
        return NewlyIssued(token=made.token, text=made.text)

    async def revoke(self, token_id: TokenId, holder: Holder) -> Token:
        """End it: within seconds, no gateway lets it pass."""
        return await self._tokens.revoke(token_id, by=holder.name)
