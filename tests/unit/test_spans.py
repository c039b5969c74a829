"""When spans are wanted, where they go, and which a transaction makes."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from domain.database import Database
from domain.errors import InvalidValue
from settings import OTLP_ENDPOINTS, OTLP_PROTOCOLS, Settings
from telemetry.tracing import Tracing, Untraced, begin
from tests.house import House

READ = (*OTLP_ENDPOINTS, *OTLP_PROTOCOLS, "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED")
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, ""),
        (ENDPOINT, "otlp_proto_http"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "otlp_proto_http"),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, "console,otlp_proto_http"),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, ""),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, ""),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "otlp_proto_grpc"),
        (
            ENDPOINT
            | {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "otlp_proto_http",
        ),
    ],
)
def test_opentelemetrys_own_variables_say_whether_spans_are_made(
    environment: dict[str, str], exporters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in READ:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert Settings.from_env().tracing == exporters


def test_without_an_exporter_nothing_is_made() -> None:
    assert isinstance(begin("", service="test"), Untraced)


def test_an_exporter_that_is_not_installed_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidValue, match="names 'pigeon', which is not installed: console, otlp"):
        begin("pigeon", service="test")


@pytest.fixture
def made() -> Iterator[tuple[Tracing, InMemorySpanExporter]]:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing = Tracing(provider)
    tracing.watch_transactions()
    yield tracing, kept
    tracing.end()


async def test_a_managers_call_is_one_span_however_many_statements_it_takes(
    database: Database, made: tuple[Tracing, InMemorySpanExporter]
) -> None:
    tracing, kept = made
    house = House(database)
    await house.furnish()

    with tracing.provider.get_tracer("test").start_as_current_span("call"):
        rollout = await house.open()
        await house.rollouts.get(rollout.id)

    spans = kept.get_finished_spans()
    ours = spans[-1].context.trace_id  # what an earlier test left running has a trace of its own
    opened, read, call = [span for span in spans if span.context.trace_id == ours]
    assert [opened.name, read.name, call.name] == ["transaction", "read", "call"]
    assert opened.parent == call.context
    assert (opened.attributes or {})["db.system.name"] in {"sqlite", "postgresql"}
    assert opened.status.status_code is StatusCode.UNSET


async def test_a_transaction_that_was_rolled_back_says_so(
    database: Database, made: tuple[Tracing, InMemorySpanExporter]
) -> None:
    tracing, kept = made
    house = House(database)
    await house.furnish()

    with (
        tracing.provider.get_tracer("test").start_as_current_span("call"),
        pytest.raises(RuntimeError, match="changed my mind"),
    ):
        async with database.transaction():
            raise RuntimeError("changed my mind")

    transaction, _ = kept.get_finished_spans()
    assert transaction.status.status_code is StatusCode.ERROR


async def test_what_nobody_traces_makes_no_span(
    sqlite: Database, made: tuple[Tracing, InMemorySpanExporter]
) -> None:
    _, kept = made

    await House(sqlite).furnish()

    assert kept.get_finished_spans() == ()
