"""The way in and out of the dashboard."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.tokens import Role
from gateway.dashboard import visit
from gateway.dashboard.pages import Pages
from gateway.guard import Guard
from gateway.problems import Problem

Next = Annotated[str, Query(max_length=2000)]


class LoginPages:
    """Takes a token once, and has the browser keep it."""

    def __init__(self, pages: Pages, guard: Guard) -> None:
        self._pages = pages
        self._guard = guard

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get("/")(self.begin)
        found.get(visit.LOGIN)(self.ask)
        found.post(visit.LOGIN)(self.enter)
        found.post(f"{visit.ROOT}/logout")(self.leave)
        return found

    async def begin(self) -> Response:
        """Send whoever knows the address alone to the pages."""
        return _to(visit.ROOT)

    async def ask(self, request: Request, next: Next = visit.ROOT) -> Response:
        """Show where to give a token."""
        return self._pages.show(request, "login.html", next=_ours(next), wrong="")

    async def enter(
        self,
        request: Request,
        token: Annotated[str, Form(max_length=200)] = "",
        next: Annotated[str, Form(max_length=2000)] = visit.ROOT,
    ) -> Response:
        """Let an operator in; say to anybody else what is wrong."""
        text = token.strip()
        sent = {b"authorization": b"Bearer " + text.encode("latin-1", "replace")}
        try:
            await self._guard.admit(sent, Role.OPERATE)
        except Problem as problem:
            return self._pages.show(
                request, "login.html", status=problem.status, next=_ours(next), wrong=problem.detail
            )
        response = _to(_ours(next))
        visit.remember(response, text, secure=request.url.scheme == "https")
        return response

    async def leave(self) -> Response:
        """Have the browser forget the token."""
        response = _to(visit.LOGIN)
        visit.forget(response)
        return response


def _ours(path: str) -> str:
    """Return the path if it is one of our pages: a link must not lead elsewhere by way of us."""
    return path if visit.is_page(path) and "\\" not in path and ".." not in path else visit.ROOT


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
