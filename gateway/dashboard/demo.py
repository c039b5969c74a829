"""The panel of the demo: buttons that break the candidate, mend it, and roll out the next."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from domain.database import Database
from domain.record import RolloutStatus
from domain.roster import Entry, Roster
from gateway.dashboard import notes, visit

PLACE = f"{visit.ROOT}/demo"
LOOK_S = 0.1
LOOKS = 80  # until whoever plays has begun what was asked for


class Press(StrEnum):
    """A button."""

    BREAK = "break"
    MEND = "mend"
    AGAIN = "again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """What simulated users meet.

    Attributes:
        prompt: Name and type.
        success: Of the candidate, the share of uses that succeed, 0 to 1.
        per_second: How many users come.
    """

    prompt: tuple[str, str]
    candidate: str
    broken: bool
    success: float
    per_second: int

    @property
    def flag(self) -> str:
        """The flag key."""
        return ".".join(self.prompt)


class Demo(Protocol):
    """Who has users come, elsewhere."""

    def played(self) -> Played:
        """Return how it stands."""

    def press(self, button: Press) -> None:
        """Have it changed."""


SAID = {
    Press.BREAK: "the candidate is broken: watch the evidence grow, and the rollback",
    Press.MEND: "the candidate is mended",
    Press.AGAIN: "the next version is being rolled out",
}


class DemoPages:
    """Presses the buttons."""

    def __init__(self, demo: Demo, database: Database) -> None:
        self._demo = demo
        self._roster = Roster(database)

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.post(f"{PLACE}/{{button}}")(self.press)
        return found

    async def press(self, button: Press) -> Response:
        """Press one, and show the rollout."""
        played = self._demo.played()
        before = await self._latest(played)
        if button is not Press.AGAIN:
            self._demo.press(button)
        elif before is None or not before.live:
            self._demo.press(button)
            await self._until_begun(played, before)
        address = f"{visit.ROOT}/rollouts/{quote(played.flag, safe='')}"
        response = RedirectResponse(address, status_code=HTTPStatus.SEE_OTHER)
        notes.leave(response, notes.Note(SAID[button]))
        return response

    async def _until_begun(self, played: Played, before: Entry | None) -> None:
        for _ in range(LOOKS):
            found = await self._latest(played)
            if found and found != before and found.status is RolloutStatus.LIVE:
                return
            await asyncio.sleep(LOOK_S)

    async def _latest(self, played: Played) -> Entry | None:
        return next(iter(await self._roster.find(prompt=played.prompt, limit=1)), None)
