"""Puts the gateway together: what it works with in, an ASGI application out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from opentelemetry.trace import TracerProvider
from sse_starlette import EventSourceResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from control.payloads import Codec
from domain.database import Database
from domain.errors import RampartError
from domain.experiments import ABTestManager
from domain.intake.intake import Intake
from domain.recorder import ExposureRecorder
from domain.rollouts import RolloutManager
from domain.segments.audience import SegmentRouter
from domain.tokens import Keyring, Role, TokenManager
from domain.versions import VersionManager
from gateway.around import across, traced
from gateway.codec import CodecRoutes
from gateway.dashboard import visit
from gateway.dashboard.dashboard import Dashboard
from gateway.dashboard.demo import Demo
from gateway.dashboard.pages import Pages
from gateway.document import complete
from gateway.evaluation import FLAG, FLAGS, AllFlags, Evaluator, OneFlag
from gateway.front import Front
from gateway.guard import Guard
from gateway.health import Check, HealthRoutes, Measure
from gateway.ingestion import Events, Exposures
from gateway.limits import Limits
from gateway.operating.experiments import ExperimentRoutes
from gateway.operating.monitors import MonitorRoutes
from gateway.operating.prompts import PromptRoutes
from gateway.operating.rings import RingsRoutes
from gateway.operating.rollouts import RolloutRoutes
from gateway.operating.tokens import TokenRoutes
from gateway.operators import Operators
from gateway.problems import Problem, problem_of
from gateway.rates import Rates
from gateway.streams import PATH as CHANGES
from gateway.streams import Streams
from gateway.telemetry import Telemetry
from gateway.templates import Templates
from reports.reporter import Reporter

TITLE = "rampart"
Opened = AbstractAsyncContextManager[object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What a gateway works with.

    Attributes:
        database: What the pages read.
        keyring: None lets everybody do everything.
        visitor: The name of who comes without a token where none is needed.
        resources: Entered, in this order, before the first request, and left after the last:
            the router, the intake, whatever feeds them.
        checks: What `/readyz` asks, by name.
        measures: Return what else `/metrics` shows.
        demo: Has users come whom the pages can hurt; None everywhere but in `rampart demo`.
        codec: Opens what Temporal was given, for operators; None: there is no `/codec`.
    """

    database: Database
    router: SegmentRouter
    intake: Intake
    operators: Operators
    versions: VersionManager
    experiments: ABTestManager
    rollouts: RolloutManager
    reporter: Reporter
    tokens: TokenManager
    keyring: Keyring | None
    visitor: str = ""
    resources: tuple[Opened, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    measures: tuple[Measure, ...] = ()
    codec: Codec | None = None
    demo: Demo | None = None


class Gateway:
    """The application; `app` is what a server serves."""

    def __init__(
        self,
        services: Services,
        *,
        limits: Limits | None = None,
        origins: tuple[str, ...] = (),
        spans: TracerProvider | None = None,
    ) -> None:
        """Take what to work with.

        Args:
            services: Not yet entered.
            limits: How much is taken at once.
            origins: Of web pages whose scripts may ask; none by default.
            spans: Of requests that are let in, the hot ones left out; None for none.
        """
        self._services = services
        self._spans = spans
        self._limits = limits = limits or Limits()
        self.telemetry = Telemetry()
        rates = Rates(limits.per_second, burst=limits.burst)
        self._guard = Guard(services.keyring, rates, visitor=services.visitor)
        self._pages = Pages(open=services.keyring is None)
        self._dashboard = self._drawn()
        self._templates = Templates(services.versions)
        services.router.listen(self._templates.want)
        self._exposures = ExposureRecorder(
            services.experiments, capacity=limits.exposures, every=limits.flush
        )
        self._streams = Streams(services.router, self._guard, limits=limits)
        self._measure()
        front = self._front()
        self.app: ASGIApp = across(front, origins) if origins else front

    @asynccontextmanager
    async def running(self, _app: object = None) -> AsyncIterator[None]:
        """Enter all that works in the background; leave it in the opposite order."""
        services = self._services
        async with AsyncExitStack() as stack:
            for resource in (self._templates, services.keyring, *services.resources):
                if resource is not None:
                    await stack.enter_async_context(resource)
            await stack.enter_async_context(self._exposures)
            await stack.enter_async_context(self._dashboard.watches)
            yield

    def _drawn(self) -> Dashboard:
        services = self._services
        return Dashboard(
            self._pages,
            self._guard,
            services.operators,
            services.database,
            reporter=services.reporter,
            limits=self._limits,
            demo=services.demo,
        )

    def _front(self) -> Front:
        guard, limits, services = self._guard, self._limits, self._services
        evaluator = Evaluator(services.router, self._templates, self._exposures, self.telemetry)
        small, large = limits.evaluation_bytes, limits.events_bytes
        every = AllFlags(guard, evaluator, self._streams, limit_bytes=small)
        return Front(
            self._behind(),
            guard,
            self.telemetry,
            exact={
                "/v1/events": Events(guard, services.intake, self.telemetry, limit_bytes=large),
                "/v1/exposures": Exposures(guard, services.experiments, limit_bytes=large),
                FLAGS: every,
                FLAG: every,
            },
            under=(FLAG, OneFlag(guard, evaluator, limit_bytes=small)),
            pages=self._pages,
            limit_bytes=limits.operator_bytes,
        )

    def _behind(self) -> FastAPI:
        services = self._services
        app = FastAPI(
            title=TITLE,
            version="1",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            telemetry=traced(self._spans),
            lifespan=self.running,
        )
        for routes in (
            HealthRoutes(
                services.router, self.telemetry, services.checks, measures=services.measures
            ),
            RolloutRoutes(services.operators, services.rollouts),
            RingsRoutes(services.operators),
            ExperimentRoutes(services.operators),
            MonitorRoutes(services.operators),
            PromptRoutes(services.versions),
            TokenRoutes(services.tokens),
        ):
            _put(app, routes.router())
        if services.codec is not None:
            _put(app, CodecRoutes(services.codec).router())
        app.get(CHANGES, tags=["evaluation"], summary="Follow changes, as server-sent events")(
            self._changes
        )
        for router in self._dashboard.routers():
            _put(app, router)
        app.router.routes.append(self._dashboard.static())
        app.add_exception_handler(RampartError, self._on_error)
        app.add_exception_handler(HTTPException, self._on_http)
        app.add_exception_handler(RequestValidationError, self._on_invalid)
        app.openapi = lambda: _document(app)  # type: ignore[method-assign]  # FastAPI's own hook
        return app

    async def _changes(
        self,
        request: Request,
        since: Annotated[str | None, Query(max_length=100)] = None,
        ticket: Annotated[str | None, Query(max_length=200)] = None,
        last_event_id: Annotated[str | None, Header(max_length=100)] = None,
    ) -> EventSourceResponse:
        """Tell each change of what users are served; `since` is a version told before."""
        headers = dict(request.scope["headers"])
        if ticket is not None:
            token = await self._guard.admit_ticket(ticket, headers)
        else:
            token = await self._guard.admit(headers, Role.EVALUATE)
        events = self._streams.follow(token, since=last_event_id or since)
        return EventSourceResponse(events, ping=0, send_timeout=30)

    def _refused(self, request: Request, problem: Problem) -> Response:
        path = request.url.path
        answer = self._pages.refuse(problem, path) if visit.is_page(path) else problem.answer()
        response = Response(answer.body, status_code=answer.status)
        response.raw_headers.extend(answer.headers)
        return response

    async def _on_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RampartError)  # noqa: S101  # it is registered for no other
        return self._refused(request, problem_of(error))

    async def _on_http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        headers = dict(error.headers or {})
        problem = Problem(HTTPStatus(error.status_code), error.detail, headers=headers)
        return self._refused(request, problem)

    async def _on_invalid(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return self._refused(request, _unread(error))

    def _measure(self) -> None:
        services, exposures = self._services, self._exposures
        gauge, total = self.telemetry.gauge, self.telemetry.total
        total("exposures_recorded", "Told to the database.", lambda: exposures.recorded)
        total("exposures_dropped", "Too many, or refused.", lambda: exposures.dropped)
        gauge("exposures_waiting", "Exposures to be recorded.", lambda: exposures.waiting)
        gauge("streams_open", "Clients that follow changes.", lambda: self._streams.open)
        watches = self._dashboard.watches
        gauge("pages_watched", "Pages of rollouts that are kept fresh.", lambda: watches.open)
        gauge("flags", "Flags that are known.", lambda: len(services.router.snapshots))
        gauge("routing_stale", "1 if epochs could not be read.", lambda: services.router.stale)


def _put(app: FastAPI, router: APIRouter) -> None:
    """Serve the routes as they are: `include_router` would build each of them once more."""
    app.router.routes.extend(router.routes)


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(title=TITLE, version="1", routes=app.routes)
        app.openapi_schema = complete(made)
    return app.openapi_schema


def _unread(error: RequestValidationError) -> Problem:
    """Name the fields, and do not repeat what was sent: it may be no JSON that can be told."""
    errors = [
        {"field": ".".join(map(str, found["loc"])), "message": found["msg"]}
        for found in error.errors()
    ]
    unreadable = any(found["type"] == "json_invalid" for found in error.errors())
    status = HTTPStatus.BAD_REQUEST if unreadable else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "; ".join(f"{one['field']}: {one['message']}" for one in errors[:5])
    return Problem(status, detail, errors=errors[:100])
