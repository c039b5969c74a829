"""How a trace goes from one process to the next: W3C's `traceparent` and `tracestate`.

Not its `baggage`: that is anybody's text, and it would be kept in Temporal's histories.
"""

from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

W3C = TraceContextTextMapPropagator()
