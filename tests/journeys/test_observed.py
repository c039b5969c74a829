"""Worker and gateway as processes of their own: one trace, one form of log, metrics of both."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import pytest_asyncio
from httpx import AsyncClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dev import Stack
from domain.database import Database
from embedded.ports import HOST, free_port
from tests.house import House

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
PLAN = {"stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}], "check_min": "1s"}
STARTED = {"flag": "greeting.system", "candidate": "1.1.0", "plan": PLAN}


class Collector:
    """Takes spans by OTLP over HTTP, as a collector does."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []  # trace, service, name
        taken = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sent = ExportTraceServiceRequest.FromString(body)
                for resource in sent.resource_spans:
                    named = {each.key: each.value for each in resource.resource.attributes}
                    service = named["service.name"].string_value
                    for scope in resource.scope_spans:
                        taken.extend(
                            (each.trace_id.hex(), service, each.name) for each in scope.spans
                        )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    async def until(self, trace: str, *wanted: tuple[str, str]) -> None:
        async with asyncio.timeout(30):
            while not {(service, name) for at, service, name in self.spans if at == trace} >= set(
                wanted
            ):
                await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest_asyncio.fixture(scope="module")
async def observed(
    tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> AsyncIterator[tuple[Stack, str]]:
    """A stack that tells everything, and the address of its worker's metrics."""
    address = f"{HOST}:{free_port()}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        environment.setenv("RAMPART_METRICS_ADDRESS", address)
        environment.setenv("RAMPART_LOG_FORMAT", "json")
        directory = tmp_path_factory.mktemp("stack")
        stack = Stack(directory, port=free_port(), gateway_port=free_port())
        async with stack:
            database = Database(stack.database_url)
            await House(database).furnish()
            await database.dispose()
            yield stack, address


async def test_a_request_is_one_trace_through_both_processes(
    observed: tuple[Stack, str], collector: Collector
) -> None:
    stack, _ = observed

    async with AsyncClient(base_url=stack.gateway) as client:
        started = await client.post("/v1/rollouts", json=STARTED)
        paused = await client.post("/v1/rollouts/greeting.system/pause", headers=PARENT, json={})

    assert (started.status_code, paused.status_code) == (201, 200)
    await collector.until(
        TRACE,
        ("rampart-gateway", "POST /v1/rollouts/{flag}/{verb}"),
        ("rampart-gateway", "StartWorkflowUpdate:pause"),
        ("rampart-worker", "HandleUpdate:pause"),
        ("rampart-worker", "RunActivity:note"),
        ("rampart-worker", "transaction"),
    )


async def test_every_line_of_the_logs_is_json_and_one_in_a_span_names_it(
    observed: tuple[Stack, str],
) -> None:
    stack, _ = observed

    lines = [line for name in ("worker", "gateway") for line in written(stack, name)]

    events = {line["event"] for line in lines}
    (paused,) = (line for line in lines if line["event"] == "rollout.paused")
    assert events >= {
        "worker.ready",
        "tracing.on",
        "rollout.opened",
        "Application startup complete.",
    }
    assert paused["trace_id"] == TRACE
    assert paused["workflow_id"] == "rollout/greeting.system"
    assert paused["prompt"] == "greeting.system"


async def test_a_worker_and_a_gateway_show_their_metrics(observed: tuple[Stack, str]) -> None:
    stack, address = observed

    async with AsyncClient() as client:
        worker = (await client.get(f"http://{address}/metrics")).text
        gateway = (await client.get(f"{stack.gateway}/metrics")).text

    assert "rampart_check_lateness_seconds_count" in worker
    assert 'rampart_rollouts{status="live"} 1.0' in gateway


def written(stack: Stack, name: str) -> list[dict[str, Any]]:
    text = Path(stack.directory / f"{name}.log").read_text()
    return [json.loads(line) for line in text.splitlines()]
