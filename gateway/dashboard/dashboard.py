"""Puts the pages together."""

from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

from domain.database import Database
from gateway.dashboard import visit
from gateway.dashboard.demo import Demo, DemoPages
from gateway.dashboard.experiments import ExperimentPages
from gateway.dashboard.login import LoginPages
from gateway.dashboard.monitors import MonitorPages
from gateway.dashboard.pages import Pages
from gateway.dashboard.prompts import PromptPages
from gateway.dashboard.reports import ReportPages
from gateway.dashboard.rings import RingsPages
from gateway.dashboard.rollouts.live import Watches
from gateway.dashboard.rollouts.pages import RolloutPages
from gateway.guard import Guard
from gateway.limits import Limits
from gateway.operators import Operators
from reports.reporter import Reporter

HERE = Path(__file__).parent


class Dashboard:
    """All pages."""

    def __init__(
        self,
        pages: Pages,
        guard: Guard,
        operators: Operators,
        database: Database,
        *,
        reporter: Reporter,
        limits: Limits,
        demo: Demo | None,
    ) -> None:
        rollouts = RolloutPages(pages, guard, operators, database, limits=limits, demo=demo)
        self.watches: Watches = rollouts.watches  # entered by who serves the pages
        shown = (DemoPages(demo, database),) if demo else ()
        self._parts = (
            LoginPages(pages, guard, limits=limits),
            rollouts,
            ExperimentPages(pages, operators, database),
            PromptPages(pages, database),
            RingsPages(pages, operators, database),
            MonitorPages(pages, operators),
            ReportPages(reporter),
            *shown,
        )

    def routers(self) -> Iterator[APIRouter]:
        """Yield the routes of every page."""
        for part in self._parts:
            yield part.router()

    @staticmethod
    def static() -> BaseRoute:
        """Return the route of what pages look like."""
        return Mount(visit.STATIC, StaticFiles(directory=HERE / "static"))
