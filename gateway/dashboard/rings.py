"""The page of a rollout ring by ring: its segments always, how it goes where Temporal answers."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from control.connection import NoRollout, Unreachable
from control.rollouts import Verb
from control.segments import RingsDescription
from domain.database import Database
from domain.errors import NotFound, RampartError
from domain.segments.lanes import SegmentManager
from domain.segments.plan import lane_name
from gateway.dashboard import visit
from gateway.dashboard.forms import Refused, Wish, answered, show
from gateway.dashboard.pages import Pages, place
from gateway.dashboard.silence import Silence
from gateway.operators import Flag, Holder, Operators, prompt_of

PLACE = f"{visit.ROOT}/rings"
VERBS = {
    Verb.PAUSE: "Holds the running ring's ramp, and starts no further ring. Guardrails stay on.",
    Verb.RESUME: "Lets the paused ring bake on, and further rings start.",
    Verb.APPROVE: "Opens the gate of the running ring's stage that waits for an approval.",
    Verb.PROMOTE: "Sends the running ring to its next stage; between rings, starts the next one.",
    Verb.ROLLBACK: "Rolls the running ring back and starts no other; promoted rings by the plan.",
}


class RingsPages:
    """Shows and steers segmented rollouts."""

    def __init__(self, pages: Pages, operators: Operators, database: Database) -> None:
        self._pages = pages
        self._operators = operators
        self._segments = SegmentManager(database)
        self._silence = Silence()

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(f"{PLACE}/{{flag:path}}")(self.look)
        found.post(f"{PLACE}/{{flag:path}}/{{verb}}")(self.order)
        return found

    async def look(self, request: Request, flag: Flag) -> Response:
        """Show the live one of a prompt, else the latest."""
        return await self._page(request, flag)

    async def order(
        self,
        request: Request,
        flag: Flag,
        verb: Verb,
        holder: Holder,
        given: Annotated[Wish, Form()],
    ) -> Response:
        """Send a verb by the name of who is logged in, and show what came of it."""
        try:
            given.refuse_unless_meant()
            control = await self._operators.rings()
            answer = await control.order(
                verb, *prompt_of(flag), reason=given.reason, by=holder.name, key=given.key
            )
        except RampartError as error:
            return await self._page(request, flag, refused=Refused.by(error, given.reason))
        return answered(f"{PLACE}/{place(flag)}", answer.said)

    async def _page(
        self, request: Request, flag: str, *, refused: Refused | None = None
    ) -> Response:
        name, prompt_type = prompt_of(flag)
        told, silent = await self._ask(name, prompt_type)
        segments = await self._segments.list(name, prompt_type)
        if told is None and not segments:
            raise NotFound(silent)
        return await show(
            self._pages,
            request,
            "rings.html",
            refused=refused,
            flag=flag,
            told=told,
            silent=silent,
            segments=[(each, f"{lane_name(name, each.name)}.{prompt_type}") for each in segments],
            verbs=_possible(told),
            key=uuid4().hex,
        )

    async def _ask(self, name: str, prompt_type: str) -> tuple[RingsDescription | None, str]:
        """Return what Temporal says, or why there is nothing to say."""
        try:
            async with self._silence.noted():
                return await (await self._operators.rings()).describe(name, prompt_type), ""
        except (NoRollout, Unreachable) as error:
            return None, str(error)


def _possible(told: RingsDescription | None) -> dict[Verb, str]:
    """Return what makes sense to ask now, and what it does."""
    if told is None or told.closed_at is not None:
        return {}
    paused = told.progress is not None and told.progress.phase == "paused"
    pointless = Verb.PAUSE if paused else Verb.RESUME
    return {verb: does for verb, does in VERBS.items() if verb is not pointless}
