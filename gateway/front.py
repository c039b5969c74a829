"""The way in: who may pass, the hot routes at once, all else to the application behind."""

from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import RampartError
from domain.tokens import Role
from gateway.bodies import Gone, media_type, read, unsupported
from gateway.dashboard import visit
from gateway.exchange import Answer, Exchange
from gateway.guard import Guard
from gateway.problems import Problem, problem_of
from gateway.telemetry import Telemetry

HOLDER = "rampart.holder"  # where the application finds, in the scope, whose request it is
PUBLIC = frozenset({"/healthz", "/readyz", "/openapi.json"})
ANY_TOKEN = frozenset({"/metrics"})
OPERATED = (
    "/v1/rollouts",
    "/v1/rings",
    "/v1/experiments",
    "/v1/monitors",
    "/v1/prompts",
    "/codec",
)
BY_TICKET = "/v1/changes"  # admitted where the query is read
BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"  # of pages alone
GONE = 499  # nobody was left to be answered
UNMATCHED = "unmatched"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Handler(Protocol):
    """A hot route."""

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer a request."""

    def refuse(self, problem: Problem, exchange: Exchange) -> Answer:
        """Answer what is wrong with it."""


class Refusals(Protocol):
    """Says on a page what is wrong."""

    def refuse(self, problem: Problem, path: str) -> Answer:
        """Answer it."""


class Hot(NamedTuple):
    """A handler, and the template of its route."""

    template: str
    handler: Handler


class Front:
    """An ASGI application before another one.

    Nobody passes without a token of the role that a path needs; a path that is not known here
    needs an admin's.
    """

    def __init__(
        self,
        behind: ASGIApp,
        guard: Guard,
        telemetry: Telemetry,
        *,
        exact: Mapping[str, Handler],
        under: tuple[str, Handler],
        pages: Refusals,
        limit_bytes: int,
    ) -> None:
        """Take what is behind, and the hot routes.

        Args:
            behind: Gets what is not hot, and the lifespan.
            guard: Asked about everybody who is not on the way to what is public.
            telemetry: Told of every answer.
            exact: Hot routes by their paths.
            under: A hot route that takes all paths under a prefix, which ends in `/`.
            pages: Tells people what programs are told as JSON.
            limit_bytes: Of a body for what is behind.
        """
        self._behind = behind
        self._guard = guard
        self._telemetry = telemetry
        self._exact = {path: Hot(path, handler) for path, handler in exact.items()}
        self._pages = pages
        self._limit = limit_bytes
        self._prefix = under[0]
        self._under = Hot(f"{under[0]}{{key}}", under[1])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._behind(scope, receive, send)
            return
        path: str = scope["path"]
        hot = self._exact.get(path)
        if hot is None and path.startswith(self._prefix) and len(path) > len(self._prefix):
            hot = self._under
        if hot is None:
            await self._cold(scope, receive, send)
        else:
            await self._hot(hot, Exchange(scope, receive), send)

    async def _hot(self, hot: Hot, exchange: Exchange, send: Send) -> None:
        began, status = perf_counter(), GONE
        try:
            answer = await self._answer(hot.handler, exchange)
            status = answer.status
            await answer.send(send)
        except Gone:
            pass
        finally:
            self._count(hot.template, exchange.method, status=status, began=began)

    async def _answer(self, handler: Handler, exchange: Exchange) -> Answer:
        try:
            if exchange.method != "POST":
                detail = f"only POST is allowed here, got {exchange.method[:20]}"
                raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"allow": "POST"})
            return await handler.handle(exchange)
        except RampartError as error:
            return handler.refuse(problem_of(error), exchange)

    async def _cold(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, status = perf_counter(), GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._admit(scope)
            whole = await self._received(Exchange(scope, receive))
        except RampartError as error:
            await self._refused(problem_of(error), scope["path"]).send(watched)
        except Gone:
            pass
        else:
            await self._behind(scope, whole, watched)
        finally:
            route = getattr(scope.get("route"), "path_format", UNMATCHED)
            self._count(route, scope["method"], status=status, began=began)

    def _refused(self, problem: Problem, path: str) -> Answer:
        return self._pages.refuse(problem, path) if visit.is_page(path) else problem.answer()

    async def _admit(self, scope: Scope) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        if visit.is_page(path):
            visit.refuse_other_sites(scope["method"], headers)
            if not visit.is_public(path):
                scope[HOLDER] = await self._guard.admit(visit.bearer(headers), Role.OPERATE)
        elif path not in PUBLIC and path != BY_TICKET:
            scope[HOLDER] = await self._guard.admit(headers, _role(path))

    async def _received(self, exchange: Exchange) -> Receive:
        """Return what tells the application behind the whole body, small, and JSON or a form."""
        if exchange.method in BODILESS:
            return exchange.receive
        body = await read(exchange, limit=self._limit)
        wanted = FORM if visit.is_page(exchange.path) else JSON
        if body and (given := media_type(exchange)) != wanted:
            raise unsupported(given, wanted)
        told = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(told, None) or await exchange.receive()

        return receive

    def _count(self, route: str, method: str, *, status: int, began: float) -> None:
        known = method if method in METHODS else "other"
        self._telemetry.request(route, known, status=status, seconds=perf_counter() - began)


def _role(path: str) -> Role | None:
    if path in ANY_TOKEN:
        return None
    operated = any(path == place or path.startswith(f"{place}/") for place in OPERATED)
    return Role.OPERATE if operated else Role.ADMIN
