"""Spans of workflows: what a message sets off belongs to the trace of that message.

Temporal's own interceptor puts all that a workflow does into the trace of its start, and links to
that of a message. But a rollout lives for weeks, and nobody may have traced its start: what people
look for is what came of one request.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Tracer
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.contrib.opentelemetry import TracingInterceptor, TracingWorkflowInboundInterceptor
from temporalio.worker import (
    HandleSignalInput,
    HandleUpdateInput,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from telemetry.w3c import W3C

Carrier = dict[str, Any]  # a trace and a span in it, as W3C's headers


class Trail:
    """What the latest message has set off so far.

    The first activity after the message is part of it, and so is one that begins at the very
    instant at which another of them ended: nothing but that end can have made it begin.
    """

    def __init__(self) -> None:
        self._carrier: Carrier | None = None
        self._at: datetime | None = None

    def begin(self, carrier: Carrier | None) -> None:
        """Follow a message; without a carrier nobody traces it."""
        self._carrier, self._at = carrier, None

    def goes_on(self) -> Carrier | None:
        """Return what an activity that begins now belongs to, if to anything."""
        now = workflow.now()
        if self._carrier is not None and self._at is not None and self._at != now:
            self._carrier = None
        self._at = now
        return self._carrier

    def ended(self) -> None:
        """Note that an activity has just ended."""
        self._at = workflow.now()


class FollowingInterceptor(TracingInterceptor):
    """Of clients and workers; makes no span twice when a history is replayed."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__(tracer)
        self.text_map_propagator = W3C

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[TracingWorkflowInboundInterceptor]:
        """Return what stands around each workflow."""
        super().workflow_interceptor_class(input)
        return _Inbound


class _Inbound(TracingWorkflowInboundInterceptor):
    def __init__(self, next: WorkflowInboundInterceptor) -> None:
        super().__init__(next)
        self.text_map_propagator = W3C
        self.trail = Trail()

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound, self.trail))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._follow(f"HandleSignal:{input.signal}", input.headers)
        await self.next.handle_signal(input)

    def handle_update_validator(self, input: HandleUpdateInput) -> None:
        self._tell(f"ValidateUpdate:{input.update}", self._sent(input.headers))
        self.next.handle_update_validator(input)

    async def handle_update_handler(self, input: HandleUpdateInput) -> Any:
        self._follow(f"HandleUpdate:{input.update}", input.headers)
        return await self.next.handle_update_handler(input)

    def _follow(self, name: str, headers: Mapping[str, Payload]) -> None:
        sent = self._sent(headers)
        self.trail.begin(self._tell(name, sent) or sent)

    def _sent(self, headers: Mapping[str, Payload]) -> Carrier | None:
        given = headers.get(self.header_key)
        return self.payload_converter.from_payloads([given])[0] if given else None

    def _tell(self, name: str, sent: Carrier | None) -> Carrier | None:
        """Make a span below what was sent; none in a replay, and none for what nobody traces."""
        if sent is None:
            return None
        told = _Headers()
        with _under(self.text_map_propagator.extract(sent, Context())):
            super()._completed_span(
                name,
                add_to_outbound=told,
                link_context_carrier=self._load_workflow_context_carrier(),
                kind=SpanKind.SERVER,
            )
        return self._sent(told.headers)

    def _completed_span(self, span_name: str, **more: Any) -> None:
        """Make a span as Temporal does; of what is sent out, in the trail that it is part of."""
        carrier = self.trail.goes_on() if more.get("add_to_outbound") is not None else None
        if carrier is None:
            super()._completed_span(span_name, **more)
            return
        with _under(self.text_map_propagator.extract(carrier, Context())):
            super()._completed_span(span_name, **more)


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, trail: Trail) -> None:
        super().__init__(next)
        self._trail = trail

    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        handle = super().start_activity(input)
        handle.add_done_callback(lambda _: self._trail.ended())
        return handle


class _Headers:
    """Takes the headers that belong to a span."""

    def __init__(self) -> None:
        self.headers: Mapping[str, Payload] = {}


@contextmanager
def _under(wanted: Context) -> Iterator[None]:
    """Have a context be the current one for a moment, in which nothing is awaited."""
    token = context.attach(wanted)
    try:
        yield
    finally:
        context.detach(token)
