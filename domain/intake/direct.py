"""DirectIntake: straight into the database, concurrent callers in one transaction."""

from collections.abc import Sequence
from itertools import chain

from domain.intake.grouping import Batch, GroupCommit, Outcome
from domain.intake.intake import Refused
from domain.intake.recording import Collector, log_refused, record
from domain.wire import Event

LIMIT = 100_000  # events that wait in memory: a second or two of a database's work


class DirectIntake:
    """Takes events in by counting them; a caller goes on once its events are committed."""

    def __init__(self, collector: Collector, *, limit: int = LIMIT) -> None:
        """Take what counts the events.

        Args:
            collector: It is called with at most 10 000 events at a time.
            limit: Events that may wait, >= 1.
        """
        self._collector = collector
        self._group = GroupCommit(self._record, limit=limit)

    @property
    def waiting(self) -> int:
        """How many events wait to be counted."""
        return self._group.held

    async def accept(self, events: Sequence[Event]) -> None:
        """Return when the events are counted. See `Intake`.

        Raises:
            Overloaded: Too many wait; nothing was taken.
            Unavailable: The database cannot be reached.
            Refused: The database refuses some, all others are counted.
        """
        await self._group.submit(events)

    async def _record(self, batches: list[Batch]) -> list[Outcome]:
        refused = await record(self._collector, list(chain.from_iterable(batches)))
        if not refused:
            return [None] * len(batches)
        log_refused(refused, where="direct")
        return [_outcome(batch, refused) for batch in batches]


def _outcome(batch: Batch, refused: dict[str, str]) -> Outcome:
    own = {event.event_id: refused[event.event_id] for event in batch if event.event_id in refused}
    return Refused(own) if own else None
