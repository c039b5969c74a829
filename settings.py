"""The only reader of the environment.

Temporal's own address is read by `temporalio.envconfig`, and `OTEL_*` by OpenTelemetry's SDK.
"""

import os
from dataclasses import dataclass, field

UI_OFFSET = 1000  # Temporal's dev server has its UI so many ports above itself
EMBEDDED_DATABASE = "sqlite:///.rampart/rampart.db"
OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
OTLP_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where this process finds its database and its work. What may hold a secret has no repr.

    Attributes:
        database_url: `sqlite:///path`, `sqlite:////absolute/path` or `postgresql://user@host/name`.
        redis_url: `redis://host:6379/0`, `rediss://…`; empty to do without Redis.
        task_queue: The Temporal task queue that workers poll and starters name.
        operator: Who the commands of this process come from, as the journal will show it.
        ui_url: Temporal's web UI, for links; empty when unknown.
        log_format: `text` or `json`.
        metrics_address: `host:port` where a worker shows Prometheus its metrics; empty for nowhere.
        tracing: Exporters of spans, separated by commas; empty for no spans.
        build_id: What a worker's code is called in the deployment; empty for no versioning.
        deployment: The Worker Deployment that versions of the worker belong to.
        notify: Whom to notify: URLs of apprise, blanks between them.
        notify_file: A YAML file with more targets, and templates; empty for none.
        payload_keys: What Temporal is given is sealed with: `<id>:<base64 of 32 bytes>`, commas
            between them, the one that seals first. Empty: nothing is sealed.
    """

    database_url: str = field(default=EMBEDDED_DATABASE, repr=False)
    redis_url: str = field(default="", repr=False)
    task_queue: str = "rampart"
    operator: str = ""
    ui_url: str = ""
    log_format: str = "text"
    metrics_address: str = ""
    tracing: str = ""
    build_id: str = ""
    deployment: str = "rampart"
    notify: str = field(default="", repr=False)
    notify_file: str = ""
    payload_keys: str = field(default="", repr=False)

    @classmethod
    def from_env(cls) -> "Settings":
        """Read `RAMPART_DATABASE_URL`, `…_REDIS_URL`, `…_TASK_QUEUE`, `…_LOG_FORMAT` …."""
        return cls(
            database_url=os.environ.get("RAMPART_DATABASE_URL") or EMBEDDED_DATABASE,
            redis_url=os.environ.get("RAMPART_REDIS_URL") or "",
            task_queue=os.environ.get("RAMPART_TASK_QUEUE") or "rampart",
            operator=os.environ.get("RAMPART_OPERATOR") or os.environ.get("USER") or "",
            ui_url=os.environ.get("RAMPART_UI_URL") or "",
            log_format=os.environ.get("RAMPART_LOG_FORMAT") or "text",
            metrics_address=os.environ.get("RAMPART_METRICS_ADDRESS") or "",
            tracing=_exporters(),
            build_id=os.environ.get("RAMPART_BUILD_ID") or "",
            deployment=os.environ.get("RAMPART_DEPLOYMENT") or "rampart",
            notify=os.environ.get("RAMPART_NOTIFY") or "",
            notify_file=os.environ.get("RAMPART_NOTIFY_FILE") or "",
            payload_keys=os.environ.get("RAMPART_PAYLOAD_KEYS") or "",
        )


def _exporters() -> str:
    """Return who spans go to, if `OTEL_*` asks for any; all else of it OpenTelemetry reads."""
    names = os.environ.get("OTEL_TRACES_EXPORTER", "")
    if not names and any(os.environ.get(name) for name in OTLP_ENDPOINTS):
        names = "otlp"
    if names == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    protocols = (os.environ.get(name) for name in OTLP_PROTOCOLS)
    protocol = next((found for found in protocols if found), "http/protobuf")
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    return ",".join(otlp if name.strip() == "otlp" else name.strip() for name in names.split(","))


def child_environment(**ours: str) -> dict[str, str]:
    """Return this process's environment with `ours`, for a child.

    Without Temporal's own settings, from which it might go to another server than it is told.
    """
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPORAL_")}
    return inherited | {"TEMPORAL_CONFIG_FILE": os.devnull} | ours
