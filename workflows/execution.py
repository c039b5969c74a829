"""How a workflow calls its activities: timeouts, retries, shields."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.types import MethodAsyncSingleParam

from workflows.markdown import literal

ATTEMPT = timedelta(seconds=10)  # after kill -9 of a worker, the next attempt starts this late
PATIENCE = timedelta(minutes=1)  # a read that takes longer is an error reading
RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))
# Writes are retried without limit: half a rollback is an outage. Reads may give up.
WRITE = workflow.ActivityConfig(start_to_close_timeout=ATTEMPT, retry_policy=RETRY)
READ = workflow.ActivityConfig(
    start_to_close_timeout=ATTEMPT, schedule_to_close_timeout=PATIENCE, retry_policy=RETRY
)


class GivenUp(Exception):
    """Leave whatever was being done. Not an error: something else comes first."""


Order = TypeVar("Order")
Result = TypeVar("Result")
# Taken off the class of activities; the worker has the object.
Method = MethodAsyncSingleParam[Any, Order, Result]


async def execute(method: Method[Order, Result], order: Order, *, summary: str) -> Result:
    """Run a write to its end."""
    config = workflow.ActivityConfig(**{**WRITE, "summary": literal(summary)})
    return await workflow.execute_activity_method(method, order, **config)


async def execute_unless(
    given_up: Callable[[], bool],
    method: Method[Order, Result],
    order: Order,
    *,
    summary: str,
    config: workflow.ActivityConfig = WRITE,
) -> Result:
    """Run an activity to its end, or leave it as soon as `given_up()`.

    A rollback must not wait behind a write that is retried. What the write may still do is undone
    by the rollback, or refused after it.

    Raises:
        GivenUp: `given_up()` came true, before the end or with it.
    """
    config = workflow.ActivityConfig(**{**config, "summary": literal(summary)})
    running = workflow.start_activity_method(method, order, **config)
    await workflow.wait_condition(lambda: running.done() or given_up())
    if given_up():
        running.cancel()
        with suppress(ActivityError):
            await running
        raise GivenUp
    return await running


async def shielded(work: Coroutine[Any, Any, Result]) -> Result:
    """Finish the work even if cancelled meanwhile, then let the cancellation through.

    A workflow is cancelled at most once, so one shield is enough.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def cause(error: BaseException) -> str:
    """Return in one line what was wrong beneath Temporal's wrapping."""
    inner = error.cause if isinstance(error, ActivityError) and error.cause else error
    text = inner.message if isinstance(inner, ApplicationError) else str(inner)
    return " ".join(text.split())


def failure(what: str, error: ActivityError) -> ApplicationError:
    """Return what a workflow fails with because of a refusal: one sentence, of the same type."""
    kind = getattr(error.cause, "type", None)
    said = ": ".join(part for part in (what, cause(error)) if part)
    return ApplicationError(said, type=kind, non_retryable=True)


def is_refusal(error: ActivityError) -> bool:
    """Say whether the domain refused, for good, rather than something that may pass."""
    return isinstance(error.cause, ApplicationError) and error.cause.non_retryable
