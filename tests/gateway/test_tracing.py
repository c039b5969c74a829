"""One trace, from a request through Temporal to the transaction, on a real server."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id
from pydantic import JsonValue
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.service import RPCError
from temporalio.worker import Replayer

from activities.rollouts import RolloutActivities
from control.payloads import data_converter
from control.rollouts import Control, workflow_id
from domain.database import Database
from domain.plan import RolloutRequest
from domain.rollouts import RolloutManager
from domain.tokens import Role
from telemetry.tracing import Tracing
from tests.gateway.conftest import There
from tests.gateway.entrance import Entrance, entrance
from worker import RUNNER, WORKFLOWS, build_worker

TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "colour=of-a-stranger"}
PLAN: JsonValue = {
    "stages": [{"percent": 10, "bake": "30d"}, {"percent": 100}],
    "check_min": "1s",
    "check_max": "1s",
}
ROLLOUT: JsonValue = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": PLAN,
}
FLAG = "/v1/rollouts/greeting.system"


class Traced:
    """A gateway, a client and a worker that make spans, and what they made."""

    def __init__(self, way_in: Entrance, client: Client, queue: str, made: "Made") -> None:
        self.way_in = way_in
        self.client = client
        self.queue = queue
        self.made = made

    async def ask(self, method: str, path: str, **headers: str) -> httpx.Response:
        token = {"authorization": f"Bearer {self.way_in.texts[Role.ADMIN]}"}
        return await self.way_in.client.request(method, path, headers=token | headers)

    async def ended(self) -> None:
        """Return once the rollout's workflow has completed."""
        await self._handle.result()

    async def history(self) -> WorkflowHistory:
        return await self._handle.fetch_history()

    @property
    def _handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id("greeting", "system"))


class Made:
    """Makes spans, and keeps them."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracing = Tracing(provider)

    def spans(self, trace: str = "") -> Sequence[ReadableSpan]:
        """Return what was made so far, in the trace if one is named."""
        return [span for span in self._kept.get_finished_spans() if trace in ("", trace_of(span))]

    async def until(self, trace: str, *names: str) -> Sequence[ReadableSpan]:
        """Return the spans of a trace once all of these are among them."""
        async with asyncio.timeout(20):
            while not {span.name for span in self.spans(trace)} >= set(names):
                await asyncio.sleep(0.05)
        return self.spans(trace)


def trace_of(span: ReadableSpan) -> str:
    return format_trace_id(span.context.trace_id) if span.context else ""


def way(spans: Sequence[ReadableSpan], last: str) -> list[str]:
    """Return the names of the spans that lead to the first one of that name."""
    known = {span.context.span_id: span for span in spans if span.context}
    at = next((span for span in spans if span.name == last), None)
    names: list[str] = []
    while at is not None:
        names.insert(0, at.name)
        at = known.get(at.parent.span_id) if at.parent else None
    return names


@pytest_asyncio.fixture
async def traced(temporal: Client, sqlite: Database) -> AsyncIterator[Traced]:
    """All that makes spans, around a rollout whose start nobody traced."""
    made, queue = Made(), f"queue-{uuid4()}"
    client = await Client.connect(
        temporal.service_client.config.target_host,
        data_converter=data_converter(),
        interceptors=made.tracing.interceptors,
    )
    made.tracing.watch_transactions()
    rollouts = RolloutManager(sqlite)
    hands = RolloutActivities(rollouts, search_attributes=True)
    there = There(client, queue, database=sqlite)
    async with (
        build_worker(client, hands, task_queue=queue),
        entrance(sqlite, operators=there, spans=made.tracing.provider) as way_in,
    ):
        control = Control(temporal, task_queue=queue)
        await control.start(RolloutRequest.parse(ROLLOUT))
        yield Traced(way_in, client, queue, made)
    with suppress(RPCError):  # it has ended by itself
        await temporal.get_workflow_handle(workflow_id("greeting", "system")).terminate()
    made.tracing.end()


async def test_a_pause_is_one_trace_from_the_request_to_the_transaction(traced: Traced) -> None:
    answer = await traced.ask("POST", f"{FLAG}/pause", **ASKED)

    spans = await traced.made.until(TRACE, "RunActivity:note", "RunActivity:check")
    order = [
        "POST /v1/rollouts/{flag}/{verb}",
        "StartWorkflowUpdate:pause",
        "HandleUpdate:pause",
        "StartActivity:note",
        "RunActivity:note",
        "transaction",
    ]
    assert answer.status_code == 200, answer.text
    assert way(spans, "transaction") == order
    assert way(spans, "RunActivity:check")[:3] == order[:3]
    assert {trace_of(span) for span in spans} == {TRACE}


async def test_what_time_sets_off_is_no_part_of_it(traced: Traced) -> None:
    await traced.ask("POST", f"{FLAG}/pause", **ASKED)
    await traced.made.until(TRACE, "RunActivity:note", "RunActivity:check")
    checks = await checked(traced)

    while await checked(traced) < checks + 2:
        await asyncio.sleep(0.1)

    names = [span.name for span in traced.made.spans(TRACE)]
    assert names.count("RunActivity:check") == 1
    assert names.count("RunActivity:note") == 1


async def test_a_refused_order_says_so_in_its_trace_and_sets_nothing_off(traced: Traced) -> None:
    refused = await traced.ask("POST", f"{FLAG}/resume", **ASKED)

    spans = await traced.made.until(TRACE, "POST /v1/rollouts/{flag}/{verb}")
    names = {span.name for span in spans}
    (request,) = (span for span in spans if span.name.startswith("POST"))
    assert refused.status_code == 409
    assert (request.attributes or {})["http.response.status_code"] == 409
    assert "ValidateUpdate:resume" in names
    assert not {name for name in names if name.startswith(("HandleUpdate", "RunActivity"))}


async def test_a_replay_makes_no_span_and_a_worker_without_tracing_replays_it(
    traced: Traced,
) -> None:
    await traced.ask("POST", f"{FLAG}/pause", **ASKED)
    await traced.ask("POST", f"{FLAG}/rollback", **ASKED)
    await traced.made.until(TRACE, "RunActivity:return_traffic", "RunActivity:prove")
    await traced.ended()  # what follows the last finished task is no replay
    history, again = await traced.history(), Made()

    for interceptors in (again.tracing.interceptors, ()):
        replayer = Replayer(
            workflows=WORKFLOWS,
            data_converter=data_converter(),
            workflow_runner=RUNNER,
            interceptors=interceptors,
        )
        await replayer.replay_workflow(history)

    spans = traced.made.spans(TRACE)
    assert not again.spans()
    assert way(spans, "RunActivity:prove")[-3] == "HandleUpdate:rollback"
    assert len({span.context.span_id for span in spans if span.context}) == len(spans)


async def test_histories_keep_of_a_trace_its_ids_and_nothing_else(traced: Traced) -> None:
    await traced.ask("POST", f"{FLAG}/pause", **ASKED)
    await traced.made.until(TRACE, "RunActivity:note")

    kept = (await traced.history()).to_json()

    assert "_tracer-data" in kept
    assert "traceparent" in str(headers_of(kept))
    assert "stranger" not in str(headers_of(kept))
    assert not [text for text in traced.way_in.texts.values() if text in kept]


async def test_only_an_order_that_is_let_in_makes_spans(traced: Traced) -> None:
    for path in ("/metrics", "/healthz", "/readyz", "/v1/events", "/ofrep/v1/evaluate/flags"):
        await traced.ask("POST" if "v1" in path else "GET", path, **ASKED)
    stranger = ASKED | {"authorization": "Bearer nobody"}
    refused = await traced.ask("POST", f"{FLAG}/pause", **stranger)
    looked = await traced.ask("GET", FLAG, **ASKED)

    assert (refused.status_code, looked.status_code) == (401, 200)
    names = {span.name for span in traced.made.spans(TRACE) if span.name[:3] in ("GET", "POS")}
    assert names == {"GET /v1/rollouts/{flag}"}


async def checked(traced: Traced) -> int:
    """Return how many checks there were."""
    (rollout,) = await traced.way_in.house.rollouts.list()
    return len(await traced.way_in.house.rollouts.checks(rollout.id))


def headers_of(history: str) -> list[object]:
    """Return what all headers of a history hold, decoded."""
    found: list[object] = []

    def look(value: object) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name == "_tracer-data":
                    found.append(json.loads(base64.b64decode(inner["data"])))
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(json.loads(history))
    return found
