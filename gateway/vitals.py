"""What the database knows of all rollouts, and Redis of events on their way, for Prometheus.

Every gateway shows the same of these: look at the largest of them, never at their sum.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from domain.census import Census, CensusManager
from domain.intake.stream import Backlog
from domain.intake.streaming import STREAM_LIMIT

FRESH = timedelta(seconds=5)  # the database is not asked more often, whoever looks


class Vitals:
    """Takes the census, and keeps it for a moment."""

    def __init__(self, census: CensusManager, *, fresh: timedelta = FRESH) -> None:
        self._census = census
        self._fresh = fresh.total_seconds()
        self._asking = asyncio.Lock()
        self._shown: Sequence[Metric] = ()
        self._until = 0.0

    async def measured(self) -> Sequence[Metric]:
        """Return the gauges.

        Raises:
            Unavailable: The database is away.
        """
        async with self._asking:
            if monotonic() >= self._until:
                self._shown = _gauges(await self._census.take())
                self._until = monotonic() + self._fresh
            return self._shown


def intake_gauges(waiting: int, backlog: Backlog | None) -> Sequence[Metric]:
    """Return the gauges of events on their way.

    Args:
        waiting: Events in the memory of this process: the one figure that is each gateway's own.
        backlog: Of the stream; None without Redis, or while it is away.
    """
    own = _gauge("events_waiting", "Events in the memory of this process, not yet stored.", waiting)
    if backlog is None:
        return (own,)
    oldest = backlog.oldest.total_seconds()
    return (
        own,
        _gauge("stream_entries", "Batches of events in the stream.", backlog.entries),
        _gauge("stream_bytes", "Bytes of these.", backlog.held),
        _gauge("stream_limit_bytes", "Bytes from which on events are refused.", STREAM_LIMIT),
        _gauge("stream_entries_pending", "Batches that a worker is counting.", backlog.pending),
        _gauge("stream_entries_aside", "Batches that could not be counted.", backlog.aside),
        _gauge("stream_oldest_seconds", "Age of the oldest batch: the ingest lag, in s.", oldest),
    )


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"rampart_{name}", said, value=value)


def _gauges(census: Census) -> Sequence[Metric]:
    rollouts = GaugeMetricFamily(
        "rampart_rollouts", "Rollouts there have been, by their status now.", labels=("status",)
    )
    for status, count in census.rollouts.items():
        rollouts.add_metric((status,), count)
    evidence = GaugeMetricFamily(
        "rampart_evidence_log_e",
        "Natural logarithm of the evidence of harm at the latest check of a live rollout.",
        labels=("flag", "guardrail"),
    )
    for weight in census.weights:
        evidence.add_metric((weight.flag, weight.guardrail), weight.log_e)
    leases = _gauge(
        "leases_expired",
        "Rollouts that have not ended and that nobody has looked after for too long.",
        census.leases_expired,
    )
    waiting = GaugeMetricFamily("rampart_notifications_waiting", "Notifications to be sent.")
    if census.notifications is not None:
        waiting.add_metric((), census.notifications)
    return rollouts, evidence, leases, waiting
