"""What Prometheus is shown of rollouts as they go; not again when a history is replayed."""

from datetime import datetime, timedelta

from temporalio import workflow

from workflows.state import Phase, State

LATENESS, ROLLBACK = "rampart_check_lateness", "rampart_rollback"  # the SDK adds `_seconds`
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
BUCKETS = {LATENESS: SECONDS, ROLLBACK: SECONDS}
LATE = "How long after a check was due its verdict was there, in seconds."
LASTED = "From the order of a rollback until it was read back complete, in seconds."


class Meters:
    """Follows one rollout by what is published of it."""

    def __init__(self) -> None:
        self._due: datetime | None = None
        self._checks = 0
        self._ordered: datetime | None = None

    def follow(self, state: State) -> None:
        """Measure what has ended since the last time."""
        now = workflow.now()
        if self._due is not None and state.checks > self._checks:
            _note(LATENESS, LATE, now - self._due)
        self._due, self._checks = state.next_check_at, state.checks
        if state.ending in (Phase.ROLLING_BACK, Phase.ROLLBACK_INCOMPLETE):
            self._ordered = self._ordered or now
        if state.ending is Phase.ROLLED_BACK and self._ordered is not None:
            _note(ROLLBACK, LASTED, now - self._ordered)


def _note(name: str, said: str, lasted: timedelta) -> None:
    meter = workflow.metric_meter()
    meter.create_histogram_timedelta(name, said, "duration").record(max(lasted, timedelta(0)))
