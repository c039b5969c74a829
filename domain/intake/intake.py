"""What takes events in, and what it says when it cannot."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from domain.errors import DomainError, RampartError
from domain.wire import Event


class Overloaded(RampartError):
    """More is waiting than may wait. Nothing of the batch was taken; it may be sent again.

    Attributes:
        retry_after: When to try again, > 0.
    """

    def __init__(self, waiting: int, *, limit: int, unit: str, retry_after: timedelta) -> None:
        super().__init__(
            f"{waiting} {unit} wait to be counted, at most {limit} may: "
            f"try again in {retry_after.total_seconds():g} s"
        )
        self.retry_after = retry_after


class Refused(DomainError):
    """The database refuses some events of the batch for what they are; all others are counted.

    Attributes:
        reasons: Why, by the id of each refused event.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        first, why = next(iter(reasons.items()))
        super().__init__(f"{len(reasons)} events are refused, the first of them {first!r}: {why}")
        self.reasons = reasons


class Intake(Protocol):
    """Takes batches of judged events from many callers at once."""

    async def accept(self, events: Sequence[Event]) -> None:
        """Return when the events are durable; they are counted exactly once, now or soon.

        Whoever got an error, or no answer, may send the same events again: each counts once, by
        its id.

        Raises:
            Overloaded: Too much is waiting; nothing was taken.
            Unavailable: Nowhere to keep them; some may have been counted all the same.
            Refused: Some were refused for what they are, all others are counted.
        """
