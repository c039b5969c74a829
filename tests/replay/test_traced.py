"""Turning tracing on changes nothing for rollouts under way: their histories replay, in silence."""

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from control.payloads import data_converter
from telemetry.tracing import Tracing
from tests.replay.test_replay import RECORDED
from worker import RUNNER, WORKFLOWS
from workflows.notifications.workflow import NotificationWorkflow

NEWEST = max(path.parent for path in RECORDED)


@pytest.mark.parametrize("path", sorted(NEWEST.glob("*.json")), ids=lambda path: path.stem)
async def test_a_recorded_history_replays_with_tracing_and_makes_no_span(path: Path) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    replayer = Replayer(
        workflows=(*WORKFLOWS, NotificationWorkflow),
        data_converter=data_converter(),
        workflow_runner=RUNNER,
        interceptors=Tracing(provider).interceptors,
    )

    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))

    assert kept.get_finished_spans() == ()
