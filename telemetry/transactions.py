"""A span for each transaction with the database, inside of what is traced; none for its statements.

A manager's method is one transaction, so this is how long a call of it was at the database.
"""

from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from sqlalchemy import Connection, Engine, event
from sqlalchemy.pool import Pool

KEPT = "rampart.span"  # where a connection keeps the span of its transaction


class Transactions:
    """Watches every engine of this process, from `watch` to `leave`."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        # The commit itself is still to come at "commit": a transaction ends as it gives back its
        # connection.
        self._hooks: tuple[tuple[type, str, Any], ...] = (
            (Engine, "begin", self._begun),
            (Engine, "rollback", self._rolled_back),
            (Pool, "checkin", self._ended),
        )

    def watch(self) -> None:
        """Begin to make spans."""
        for target, name, hook in self._hooks:
            event.listen(target, name, hook)

    def leave(self) -> None:
        """Make none any more."""
        for target, name, hook in self._hooks:
            event.remove(target, name, hook)

    def _begun(self, connection: Connection) -> None:
        if not trace.get_current_span().is_recording():
            return
        options = connection.get_execution_options()
        reads = options.get("reading", False) or options.get("postgresql_readonly", False)
        connection.info[KEPT] = self._tracer.start_span(
            "read" if reads else "transaction",
            kind=SpanKind.CLIENT,
            attributes={"db.system.name": connection.dialect.name},
        )

    def _rolled_back(self, connection: Connection) -> None:
        if span := connection.info.get(KEPT):
            span.set_status(Status(StatusCode.ERROR, "rolled back"))

    def _ended(self, _connection: object, record: Any) -> None:
        if span := record.info.pop(KEPT, None):
            span.end()
