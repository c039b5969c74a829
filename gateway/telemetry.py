"""What Prometheus is told. No label holds a text of a user's."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.limits import ALLOWED
from domain.snapshot import Reason

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4.encode()
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
NO_EVENT = "event"  # it could not even be read as one
STRANGE = "unknown"  # a field that events do not have


class _Total(Collector):
    """A count that somebody else keeps."""

    def __init__(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        self._name, self._documentation, self._read = name, documentation, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._documentation, value=self._read())


class _Measured(Collector):
    """What was measured elsewhere, when somebody asked last."""

    families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        return self.families


class Telemetry:
    """Counts requests, events and evaluations of this process, and shows what others count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "rampart_http_requests", "Requests answered.", ("route", "method", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._durations = Histogram(
            "rampart_http_request_duration_seconds", "From request to answer.", ("route",),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        events = Counter(
            "rampart_events", "Events taken and refused.", ("outcome",), registry=self.registry
        )
        self._accepted = events.labels("accepted")
        self._refused = events.labels("refused")
        self._refusals = Counter(
            "rampart_event_refusals", "Events refused, by the field that was wrong.", ("field",),
            registry=self.registry,
        )  # fmt: skip
        evaluations = Counter(
            "rampart_evaluations", "Flags evaluated, by reason.", ("reason",),
            registry=self.registry,
        )  # fmt: skip
        self._evaluations = {reason: evaluations.labels(reason.value) for reason in Reason}
        self._known: dict[tuple[str, str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}
        self._measured = _Measured()
        self.registry.register(self._measured)

    def request(self, route: str, method: str, *, status: int, seconds: float) -> None:
        """Count one answered request; `route` is a template, never a path."""
        key = (route, method, status)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._requests.labels(route, method, str(status))
            self._timed.setdefault(route, self._durations.labels(route))
        known.inc()
        self._timed[route].observe(seconds)

    def events(self, *, accepted: int, refused: Iterable[str] = ()) -> None:
        """Count the events of one batch; `refused` are the fields that were wrong."""
        if accepted:
            self._accepted.inc(accepted)
        for field in refused:
            self._refused.inc()
            known = field if field in ALLOWED else STRANGE if field else NO_EVENT
            self._refusals.labels(known).inc()

    def evaluated(self, reason: Reason) -> None:
        """Count one flag evaluated."""
        self._evaluations[reason].inc()

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show what `read` returns whenever somebody looks."""
        Gauge(f"rampart_{name}", documentation, registry=self.registry).set_function(read)

    def total(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Show what `read` returns, which never falls, whenever somebody looks."""
        self.registry.register(_Total(f"rampart_{name}", documentation, read))

    def show(self, families: Iterable[Metric]) -> None:
        """Show what was measured elsewhere just now, instead of what was shown before."""
        self._measured.families = tuple(families)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry)
