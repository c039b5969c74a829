"""The way in and out of the dashboard."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.tokens import Role
from gateway.dashboard import visit
from gateway.dashboard.attempts import Attempts
from gateway.dashboard.pages import Pages
from gateway.guard import Guard
from gateway.limits import Limits
from gateway.problems import Problem, retry_after

Next = Annotated[str, Query(max_length=2000)]


class LoginPages:
    """Takes a token once, and has the browser keep it."""

    def __init__(self, pages: Pages, guard: Guard, *, limits: Limits) -> None:
        self._pages = pages
        self._attempts = Attempts(limits.logins, within=limits.login_within)
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
        text, address = token.strip(), request.client.host if request.client else ""
        try:
            await self._admit(address, _sent(request, text))
        except Problem as problem:
            return self._pages.show(
                request, "login.html", status=problem.status, next=_ours(next), wrong=problem.detail
            )
        response = _to(_ours(next))
        visit.remember(response, text, secure=request.url.scheme == "https")
        return response

    async def _admit(self, address: str, headers: dict[bytes, bytes]) -> None:
        """Refuse a token that may not operate, and who has tried too many of them."""
        if wait := self._attempts.wait(address):
            detail = f"too many tokens were wrong: try again in {wait.total_seconds():.0f} s"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=retry_after(wait))
        try:
            await self._guard.admit(headers, Role.OPERATE)
        except Problem:
            self._attempts.fail(address)
            raise

    async def leave(self) -> Response:
        """Have the browser forget the token."""
        response = _to(visit.LOGIN)
        visit.forget(response)
        return response


def _sent(request: Request, text: str) -> dict[bytes, bytes]:
    """Return the headers of a request with that token."""
    host = request.headers.get("host", "").encode("latin-1")
    return {b"authorization": b"Bearer " + text.encode("latin-1", "replace"), b"host": host}


def _ours(path: str) -> str:
    """Return the path if it is one of our pages: a link must not lead elsewhere by way of us."""
    return path if visit.is_page(path) and "\\" not in path and ".." not in path else visit.ROOT


def _to(path: str) -> RedirectResponse:
    return RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
