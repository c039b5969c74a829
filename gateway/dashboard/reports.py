"""Reports, as files to look at and to keep."""

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import StringConstraints
from starlette.responses import Response

from gateway.dashboard import visit
from gateway.dashboard.pages import HEADERS
from reports.reporter import Reporter
from reports.writing import Form, file_name, write

PLACE = f"{visit.ROOT}/reports"
# A report brings its own style, and is shown as if it came from nowhere: it may do nothing here.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)

Id = Annotated[str, StringConstraints(max_length=100)]


class ReportPages:
    """Shows reports; Temporal is not asked."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(include_in_schema=False)
        found.get(f"{PLACE}/{{report_id}}/{{form}}")(self.look)
        return found

    async def look(self, report_id: Id, form: Form) -> Response:
        """Report a rollout or an experiment as it stands now."""
        told = await self._reporter.by_id(report_id)
        text = await asyncio.to_thread(write, told, form)
        named = f'inline; filename="{file_name(told.report, form)}"'
        own = {"content-security-policy": POLICY, "content-disposition": named}
        return Response(text, media_type=form.media_type, headers=HEADERS | own)
