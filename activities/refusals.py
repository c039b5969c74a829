"""How a refusal by the domain is told to Temporal: retrying it would not help."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio.exceptions import ApplicationError

from domain.errors import DomainError, NotNow


@contextmanager
def final_refusals() -> Iterator[None]:
    """Make a refusal by the domain final; anything else is retried."""
    try:
        yield
    except DomainError as error:
        kind = type(error).__name__
        until = [error.until.isoformat()] if isinstance(error, NotNow) and error.until else []
        raise ApplicationError(str(error), *until, type=kind, non_retryable=True) from error
