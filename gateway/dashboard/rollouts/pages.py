"""The routes of rollouts' pages: all of them, one, one while it changes, and what its forms ask."""

import asyncio
import json
import secrets
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from control.connection import NoRollout, Unreachable
from domain.database import Database
from domain.errors import InvalidPlan, NotFound, RampartError
from domain.rollouts import RolloutManager
from domain.roster import Roster
from gateway.dashboard import notes, visit
from gateway.dashboard.demo import Demo, Played
from gateway.dashboard.pages import Pages
from gateway.dashboard.rollouts.drawings import Drawings
from gateway.dashboard.rollouts.listing import FIRST, STATES, Listing
from gateway.dashboard.rollouts.live import Watches, Which
from gateway.dashboard.rollouts.orders import Given, preview, send
from gateway.dashboard.rollouts.parts import Frame, Typed, own, render
from gateway.dashboard.rollouts.sheet import Sheet, Sheets
from gateway.dashboard.silence import Silence
from gateway.guard import Guard
from gateway.limits import Limits
from gateway.operators import Flag, Holder, Operators, prompt_of
from gateway.orders import Orders
from gateway.problems import problem_of

PLACE = f"{visit.ROOT}/rollouts"

Text = Annotated[str, Query(max_length=200)]
Id = Annotated[str, Query(alias="id", max_length=100)]


class RolloutPages:
    """Shows and steers rollouts."""

    def __init__(
        self,
        pages: Pages,
        guard: Guard,
        operators: Operators,
        database: Database,
        *,
        limits: Limits,
        demo: Demo | None = None,
    ) -> None:
        self._demo = demo
        self._pages = pages
        silence = Silence()
        self._listing = Listing(operators, Roster(database), silence)
        self._sheets = Sheets(operators, database, silence)
        self._drawings = Drawings(database)
        self._orders = Orders(operators, RolloutManager(database))
        self.watches = Watches(self._frame, guard, limits=limits)

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(visit.ROOT)(self.list)
        found.get(f"{PLACE}/{{flag:path}}/live")(self.follow)
        found.get(f"{PLACE}/{{flag:path}}")(self.look)
        found.post(f"{PLACE}/{{flag:path}}/{{verb}}")(self.order)
        return found

    async def list(self, request: Request, text: Text = "", state: Text = "") -> Response:
        """Show rollouts, the live ones first; Temporal may be silent."""
        found = await self._listing.find(text=text.strip(), state=state)
        return await asyncio.to_thread(
            self._pages.show,
            request,
            "rollouts.html",
            found=found,
            text=text,
            state=state,
            states=tuple(STATES),
            first=FIRST,
        )

    async def look(self, request: Request, flag: Flag, rollout_id: Id = "") -> Response:
        """Show the live rollout of a prompt, else its latest; or the one of that id."""
        sheet = await self._sheets.take(*prompt_of(flag), rollout_id=rollout_id)
        note = notes.take(request)
        response = await self._page(request, sheet, note=note)
        if note:
            notes.forget(response)
        return response

    async def follow(self, flag: Flag, holder: Holder, rollout_id: Id = "") -> Response:
        """Send the parts of a rollout's page that have changed, as server-sent events."""
        await self._sheets.take(*prompt_of(flag), rollout_id=rollout_id)  # else it is no stream
        events = self.watches.follow(holder, Which(flag, rollout_id))
        return EventSourceResponse(events, ping=0, send_timeout=30)

    async def order(self, request: Request, flag: Flag, asked: Given, holder: Holder) -> Response:
        """Send a verb by the name of who is logged in, and show what came of it."""
        try:
            if asked.previews:
                sheet = await self._sheets.take(*prompt_of(flag))
                return await self._page(request, sheet, typed=preview(sheet, asked))
            note = await send(self._orders, flag, asked, by=holder.name)
        except RampartError as error:
            return await self._refused(request, flag, asked.typed(wrong=str(error)), error)
        response = RedirectResponse(place(flag), status_code=HTTPStatus.SEE_OTHER)
        notes.leave(response, note)
        return response

    async def _refused(
        self, request: Request, flag: str, typed: Typed, error: RampartError
    ) -> Response:
        """Show the page again, with what was typed and why it was not followed."""
        try:
            sheet = await self._sheets.take(*prompt_of(flag))
        except (NotFound, NoRollout, Unreachable):
            raise error from None
        status = problem_of(error).status
        if isinstance(error, InvalidPlan):
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        return await self._page(request, sheet, typed=typed, status=status)

    async def _page(
        self,
        request: Request,
        sheet: Sheet,
        *,
        typed: Typed | None = None,
        note: notes.Note | None = None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        frame = await self._rendered(sheet)
        shown = await self._rendered(sheet, typed=typed) if typed else frame
        key = secrets.token_hex(8)
        picture = sheet.picture
        address = place(picture.prompt)
        return await asyncio.to_thread(
            self._pages.show,
            request,
            "rollout.html",
            status=status,
            title=shown.title,
            said=shown.said,
            parts={name: own(text, key) for name, text in shown.parts.items()},
            live="" if frame.over else f"{address}/live",
            marks=json.dumps(frame.marks),
            note=note,
            typed=typed,
            sheet=sheet,
        )

    async def _frame(self, which: Which) -> Frame:
        sheet = await self._sheets.take(*prompt_of(which.flag), rollout_id=which.rollout_id)
        return await self._rendered(sheet)

    def _played(self, sheet: Sheet) -> Played | None:
        """Return what users meet, on the page of what is played."""
        played = self._demo.played() if self._demo else None
        return played if played and played.flag == sheet.picture.prompt else None

    async def _rendered(self, sheet: Sheet, *, typed: Typed | None = None) -> Frame:
        drawings = await self._drawings.of(sheet)
        return await asyncio.to_thread(
            render, self._pages, sheet, drawings, typed=typed, demo=self._played(sheet)
        )


def place(flag: str) -> str:
    """Return the address of a prompt's rollout."""
    return f"{PLACE}/{quote(flag, safe='')}"
