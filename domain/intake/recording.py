"""Recording that no bad event can hold up: the database's refusals are found event by event."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from domain.errors import DomainError, Unavailable
from domain.limits import BATCH_LIMIT
from domain.wire import Event

logger = logging.getLogger(__name__)

SHOWN = 300  # characters of a reason
# SQLSTATE classes that blame the data: "data exception" and "integrity constraint violation".
BLAMED_CLASSES = ("22", "23")
# What a driver or our own rules raise over a value that they cannot take.
BLAMED = (DomainError, ValueError, ArithmeticError)
# What may as well be a mistake of ours, and then concerns every event.
DOUBTFUL = (SQLAlchemyError, LookupError, TypeError, AttributeError)


class Collector(Protocol):
    """Counts events exactly once, as `MetricsCollector` does."""

    async def record(self, events: Sequence[Event]) -> int:
        """Count at most 10 000 events in one transaction and return how many were new."""


async def record(collector: Collector, events: Sequence[Event]) -> dict[str, str]:
    """Count every event that can be counted; return why the others cannot, by their ids.

    A batch that is refused is halved until the guilty events are found. Repeating it counts nothing
    twice.

    Raises:
        Unavailable: The database cannot be asked, or refuses for a reason that is not the data's
            (tables that are missing, say). Some events may have been counted.
    """
    refused: dict[str, str] = {}
    waiting = [events[at : at + BATCH_LIMIT] for at in range(0, len(events), BATCH_LIMIT)]
    while waiting:
        batch = waiting.pop()
        try:
            await collector.record(batch)
        except (*BLAMED, *DOUBTFUL) as error:
            if not _blames_data(error):
                raise Unavailable(f"the database refuses all events: {_told(error)}") from error
            if len(batch) > 1:
                middle = len(batch) // 2
                waiting += [batch[:middle], batch[middle:]]
            else:
                refused[batch[0].event_id] = _told(error)
    return refused


def _blames_data(error: Exception) -> bool:
    """Say whether an error is about the values that were given.

    When in doubt it is not: events that wait for an operator are better than events set aside.
    """
    for cause in _causes(error):
        state = getattr(cause, "sqlstate", None)
        if isinstance(state, str):
            return state.startswith(BLAMED_CLASSES)
    return isinstance(error, (DataError, IntegrityError, *BLAMED))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        if isinstance(orig := getattr(seen, "orig", None), BaseException):
            yield orig
        seen = seen.__cause__


def _told(error: Exception) -> str:
    cause = str(getattr(error, "orig", None) or error) or type(error).__name__
    return cause.splitlines()[0][:SHOWN]


def log_refused(refused: Mapping[str, str], *, where: str) -> None:
    """Say that events were refused, and the first reason."""
    if refused:
        first, reason = next(iter(refused.items()))
        extra = {"events": len(refused), "first": first, "reason": reason, "where": where}
        logger.error("events.refused", extra=extra)
