"""`/codec`: payloads of Temporal's histories made readable, for its web UI and command line."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from control.payloads import Codec, transcoded

PLACE = "/codec"
LIMIT = 10_000  # payloads in one request; a page of a history has some hundreds


class Payloads(BaseModel):
    """Payloads, as Temporal writes them in JSON; what else is sent is not looked at."""

    payloads: Annotated[tuple[dict[str, Any], ...], Field(max_length=LIMIT)]


class CodecRoutes:
    """The two verbs of a remote codec; see docs.temporal.io/codec-server."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["codec"])
        found.post("/decode", summary="Open what is sealed")(self.decode)
        found.post("/encode", summary="Seal")(self.encode)
        return found

    async def decode(self, given: Payloads) -> dict[str, Any]:
        """Return the payloads opened; those that were plain as they are."""
        return await transcoded(self._codec, given.model_dump(), opening=True)

    async def encode(self, given: Payloads) -> dict[str, Any]:
        """Return the payloads sealed, for what is typed into Temporal's UI."""
        return await transcoded(self._codec, given.model_dump(), opening=False)
