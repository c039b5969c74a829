"""A span for each request to a gateway that is somebody's order; W3C's `traceparent` is followed.

What comes by the thousand a second, and what only looks after the process, begins no trace: it is
part of its caller's, where that is sampled.
"""

from http import HTTPStatus

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from telemetry.w3c import W3C

NAMES = frozenset({b"traceparent", b"tracestate"})
METHOD, ROUTE, STATUS = "http.request.method", "http.route", "http.response.status_code"


class TracedRequests:
    """An ASGI application around another one."""

    def __init__(self, app: ASGIApp, tracer: Tracer, *, quiet: tuple[str, ...] = ()) -> None:
        """Take what is inside.

        Args:
            app: It notes in the scope, as Starlette does, which `route` it took.
            tracer: Makes the spans.
            quiet: What paths that begin no trace begin with.
        """
        self._app = app
        self._tracer = tracer
        self._quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = {name.decode(): value.decode("latin-1") for name, value in _w3c(scope)}
        parent = W3C.extract(sent, Context())
        asked = trace.get_current_span(parent).get_span_context().trace_flags.sampled
        if asked or not scope["path"].startswith(self._quiet):
            await self._trace(parent, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _trace(self, parent: Context, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        with self._tracer.start_as_current_span(
            method, parent, kind=SpanKind.SERVER, attributes={METHOD: method}
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, watched)
            finally:
                if route := getattr(scope.get("route"), "path_format", None):
                    span.update_name(f"{method} {route}")
                    span.set_attribute(ROUTE, route)


def _w3c(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name in NAMES]


def _answered(span: Span, status: int) -> None:
    span.set_attribute(STATUS, status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.set_status(Status(StatusCode.ERROR))
