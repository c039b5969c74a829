"""What a worker shows Prometheus: Temporal's SDK serves its own metrics, and ours with them."""

import logging
from collections.abc import Mapping, Sequence

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
)

from domain.errors import InvalidValue


def runtime(address: str, *, buckets: Mapping[str, Sequence[float]]) -> Runtime:
    """Return what a worker runs on. The SDK's own log comes among ours.

    Args:
        address: `ip:port` where `/metrics` is served; empty for nowhere.
        buckets: Of histograms, by name, in seconds.

    Raises:
        InvalidValue: It is no address, is taken, or is not of this machine.
    """
    core = LogForwardingConfig(logger=logging.getLogger("temporal"))
    logged = LoggingConfig(filter=LoggingConfig.default.filter, forwarding=core)
    shown = PrometheusConfig(
        bind_address=address,
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
        histogram_bucket_overrides=buckets,
    )
    config = TelemetryConfig(
        logging=logged, metrics=shown if address else None, attach_service_name=False
    )
    try:
        return Runtime(telemetry=config)
    except ValueError as error:
        example = "give an IP address and a port, such as 127.0.0.1:9464"
        raise InvalidValue(
            f"RAMPART_METRICS_ADDRESS {address!r} cannot be served: {error}; {example}"
        ) from error
