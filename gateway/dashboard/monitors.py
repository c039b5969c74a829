"""The pages of monitors: all of them, and one with its alerts. They live in Temporal alone."""

from typing import Annotated

from fastapi import APIRouter, Form, Path
from starlette.requests import Request
from starlette.responses import Response

from control.connection import ControlError
from domain.errors import RampartError
from domain.monitors.alerts import Alert
from gateway.dashboard import visit
from gateway.dashboard.forms import Refused, Wish, answered, show
from gateway.dashboard.pages import Pages, place
from gateway.operators import Holder, Label, Operators

PLACE = f"{visit.ROOT}/monitors"

Name = Annotated[Label, Path()]


class MonitorPages:
    """Shows and ends monitors."""

    def __init__(self, pages: Pages, operators: Operators) -> None:
        self._pages = pages
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(PLACE)(self.list)
        found.get(f"{PLACE}/{{name:path}}")(self.look)
        found.post(f"{PLACE}/{{name:path}}/stop")(self.stop)
        return found

    async def list(self, request: Request) -> Response:
        """Show the latest monitor of each name, live ones first."""
        monitors = await self._operators.monitors()
        return await show(self._pages, request, "monitors.html", found=await monitors.list())

    async def look(self, request: Request, name: Name) -> Response:
        """Show a monitor: what it watches, what it found at its latest look, its alerts."""
        return await self._page(request, name)

    async def stop(
        self, request: Request, name: Name, holder: Holder, given: Annotated[Wish, Form()]
    ) -> Response:
        """End it."""
        try:
            given.refuse_unless_meant()
            monitors = await self._operators.monitors()
            said = await monitors.stop(name, reason=given.reason, by=holder.name)
        except RampartError as error:
            return await self._page(request, name, refused=Refused.by(error, given.reason))
        return answered(f"{PLACE}/{place(name)}", said)

    async def _page(
        self, request: Request, name: str, *, refused: Refused | None = None
    ) -> Response:
        monitors = await self._operators.monitors()
        told = await monitors.describe(name)
        alerts: tuple[Alert, ...] = ()
        untold = ""
        try:
            alerts = await monitors.alerts(name)
        except ControlError as error:  # what else is known of it is shown all the same
            untold = str(error)
        labels = told.progress.subjects if told.progress else ()
        return await show(
            self._pages,
            request,
            "monitor.html",
            refused=refused,
            told=told,
            labels={subject.version_id: subject.label for subject in labels},
            alerts=alerts[::-1],
            untold=untold,
        )
