"""What stands around the application: spans of its requests, and scripts of other origins."""

from fastapi.telemetry import TelemetryConfig
from opentelemetry.trace import TracerProvider
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway.dashboard import visit
from gateway.front import ANY_TOKEN, PUBLIC
from gateway.streams import PATH as CHANGES

# What only looks after the process, and what stays open for hours.
UNTRACED = PUBLIC | ANY_TOKEN | {CHANGES}


def traced(spans: TracerProvider | None) -> TelemetryConfig:
    """Have FastAPI make a span for a request, and nothing else: its logs would repeat bodies."""
    config = TelemetryConfig(
        tracing=spans is not None,
        metrics=False,
        logs=False,
        operation_spans=False,
        auto_configure=False,
        exclude=lambda scope: _is_untraced(scope["path"]),
    )
    return config if spans is None else {**config, "tracer_provider": spans}


def across(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Let scripts of these origins ask, with their tokens; the answers' headers may be read."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=[
            "authorization",
            "content-type",
            "if-none-match",
            "x-api-key",
            "x-namespace",
        ],
        expose_headers=["etag", "retry-after"],
    )


def _is_untraced(path: str) -> bool:
    return path in UNTRACED or (visit.is_page(path) and path.endswith("/live"))
