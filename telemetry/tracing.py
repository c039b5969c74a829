"""Spans, by OpenTelemetry: where they are made, and where they go.

OpenTelemetry's SDK reads `OTEL_*` by itself, as `temporalio.envconfig` reads Temporal's own: the
endpoint and its headers, the sampler, the service's name, the limits. `settings` reads of them only
whether spans are wanted, and by which exporter.
"""

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from temporalio.client import Interceptor

from domain.errors import InvalidValue

if TYPE_CHECKING:  # of the extra `tracing`, which not everybody has
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from telemetry.trails import FollowingInterceptor

logger = logging.getLogger(__name__)

GROUP = "opentelemetry_traces_exporter"  # where packages of exporters enter theirs
INSTALL = "pip install 'rampart-rollouts[tracing]'"


class Tracing:
    """Makes spans with one provider, which is what a gateway makes its own with."""

    def __init__(self, provider: "TracerProvider") -> None:
        from telemetry.transactions import Transactions

        self.provider = provider
        self._tracer = provider.get_tracer("rampart")
        self._transactions = Transactions(self._tracer)

    @property
    def interceptors(self) -> "Sequence[FollowingInterceptor]":
        """What a client of Temporal is connected with; a worker takes them from its client."""
        from telemetry.trails import FollowingInterceptor

        return [FollowingInterceptor(self._tracer)]

    def watch_transactions(self) -> None:
        """Make a span for each transaction inside of what is traced."""
        self._transactions.watch()

    def end(self) -> None:
        """Send what is left, and make no spans any more."""
        self._transactions.leave()
        self.provider.shutdown()


class Untraced:
    """Makes none, and costs nothing."""

    provider = None
    interceptors: Sequence[Interceptor] = ()


def begin(exporters: str, *, service: str) -> Tracing | Untraced:
    """Make spans from now on, and send them in the background, the last ones at the exit.

    Args:
        exporters: Names, separated by commas, as in `OTEL_TRACES_EXPORTER`; empty for no spans.
        service: What this process is called where `OTEL_SERVICE_NAME` does not say so.

    Raises:
        InvalidValue: There is no such exporter, or OpenTelemetry is not installed.
    """
    if not exporters:
        return Untraced()
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidValue(f"tracing needs OpenTelemetry: {INSTALL}") from error
    named = Resource.create({"service.name": service}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named)
    for name in exporters.split(","):
        provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip())()))
    tracing = Tracing(provider)
    tracing.watch_transactions()
    logger.info("tracing.on", extra={"exporters": exporters})
    return tracing


def _exporter(name: str) -> "Callable[[], SpanExporter]":
    for found in entry_points(group=GROUP, name=name):
        loaded: Callable[[], SpanExporter] = found.load()
        return loaded
    known = ", ".join(sorted(found.name for found in entry_points(group=GROUP)))
    raise InvalidValue(f"OTEL_TRACES_EXPORTER names {name!r}, which is not installed: {known} are")
