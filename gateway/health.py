"""`/healthz`, `/readyz`, `/metrics`: whether it lives, whether it can serve, and what it did."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus

from fastapi import APIRouter, Response
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel

from domain.errors import Unavailable
from domain.routing import Router
from gateway.problems import RETRY, Problem, retry_after
from gateway.telemetry import CONTENT_TYPE, Telemetry

PATIENCE_S = 2.0

Check = Callable[[], Awaitable[str]]  # what is wrong, in a sentence; empty when nothing is
Measure = Callable[[], Awaitable[Iterable[Metric]]]


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """The process can serve; `degraded` says what it does without, by name."""

    status: str = "ready"
    degraded: dict[str, str] = {}


class HealthRoutes:
    """Ready is who can say what users are served, be it from memory alone."""

    def __init__(
        self,
        router: Router,
        telemetry: Telemetry,
        checks: Mapping[str, Check],
        *,
        measures: Sequence[Measure] = (),
    ) -> None:
        self._router = router
        self._telemetry = telemetry
        self._checks = checks
        self._measures = measures

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(tags=["health"])
        for methods in (["GET"], ["HEAD"]):
            shown = methods == ["GET"]
            found.add_api_route(
                "/healthz",
                self.alive,
                methods=methods,
                summary="Whether the process answers",
                include_in_schema=shown,
            )
            found.add_api_route(
                "/readyz",
                self.ready,
                methods=methods,
                summary="Whether it can serve, and what it does without",
                include_in_schema=shown,
            )
        found.get("/metrics", summary="What Prometheus reads", response_class=Response)(
            self.metrics
        )
        return found

    async def alive(self) -> Alive:
        """Say so."""
        return Alive()

    async def ready(self) -> Ready:
        """Say that it can serve; 503 while nothing is known of any flag and nobody can be asked."""
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        degraded = {name: said for name, said in zip(self._checks, found, strict=True) if said}
        if self._router.stale and not self._router.snapshots:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "no flag is known, and the database cannot be asked",
                headers=retry_after(RETRY),
                degraded=degraded,
            )
        return Ready(degraded=degraded)

    async def metrics(self) -> Response:
        """Return everything that is counted in this process."""
        found = await asyncio.gather(*(self._measured(measure) for measure in self._measures))
        self._telemetry.show(family for families in found for family in families)
        media_type = CONTENT_TYPE.decode()
        return Response(self._telemetry.exposition(), media_type=media_type)

    async def _measured(self, measure: Measure) -> Iterable[Metric]:
        """Measure; what cannot be told at once is not shown, rather than what it was before."""
        with suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(PATIENCE_S):
                return await measure()
        return ()

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await check()
        except TimeoutError:
            return f"no answer within {PATIENCE_S:g} s"
