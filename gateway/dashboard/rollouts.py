"""The pages of rollouts: all of them, and one."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from control.rollouts import Verb
from domain.rollouts import RolloutManager
from gateway.dashboard import visit
from gateway.dashboard.pages import Pages
from gateway.operators import Flag, Holder, Operators, Reason, prompt_of

PLACE = f"{visit.ROOT}/rollouts"
MOST = 1000  # rollouts on one page


class RolloutPages:
    """Shows and steers rollouts."""

    def __init__(self, pages: Pages, operators: Operators, rollouts: RolloutManager) -> None:
        self._pages = pages
        self._operators = operators
        self._rollouts = rollouts

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(visit.ROOT)(self.list)
        found.get(f"{PLACE}/{{flag:path}}")(self.look)
        found.post(f"{PLACE}/{{flag:path}}/{{verb}}")(self.order)
        return found

    async def list(self, request: Request) -> Response:
        """Show every rollout, the latest first; Temporal is not asked."""
        found = await self._rollouts.list(limit=MOST)
        return self._pages.show(request, "rollouts.html", rollouts=found)

    async def look(self, request: Request, flag: Flag) -> Response:
        """Show the live rollout of a prompt, else its latest."""
        viewer = await self._operators.viewer()
        picture = await viewer.look(*prompt_of(flag))
        return self._pages.show(request, "rollout.html", picture=picture)

    async def order(
        self, flag: Flag, verb: Verb, holder: Holder, reason: Annotated[Reason, Form()] = ""
    ) -> Response:
        """Send a verb by the name of who is logged in, and show what came of it."""
        control = await self._operators.rollouts()
        await control.order(verb, *prompt_of(flag), reason=reason, by=holder.name)
        return RedirectResponse(f"{PLACE}/{flag}", status_code=HTTPStatus.SEE_OTHER)
