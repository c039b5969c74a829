"""Sends a verb to a live workflow, and returns what that answers."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import JsonValue
from temporalio.client import (
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError

from control.connection import PATIENCE, Refused, Unreachable, said, unreachable
from workflows.answers import Answer

Answered = TypeVar("Answered", bound=Answer)


async def send(
    handle: WorkflowHandle[Any, Any],
    verb: str,
    given: Mapping[str, JsonValue],
    *,
    identity: str | None,
    answers: type[Answered],
    lasting: str = "",
) -> Answered:
    """Send it as an update; where no worker answers that, as a signal, if it has to last.

    Args:
        handle: Of the workflow that is meant.
        verb: The name of the update, and of the signal.
        given: What it takes.
        identity: Of the update: what is sent again under it counts once. None for none.
        answers: What the update answers.
        lasting: What the first worker that comes will do, "rolls it back" say; empty for a verb
            that does not outlast the asking.

    Raises:
        Refused: The workflow said no.
        Unreachable: Temporal does not answer; or no worker does, and it does not have to last.
    """
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            answer: Answered = await handle.execute_update(
                verb, given, id=identity, result_type=answers
            )
            return answer
    except WorkflowUpdateFailedError as error:
        raise Refused(said(error)) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        if not lasting:
            raise Unreachable("no worker answers: start one with `rampart worker`") from error
    except RPCError as error:
        raise unreachable(error) from error
    await _leave(handle, verb, given)
    return answers(said=f"recorded: the first worker that is alive again {lasting}")


async def _leave(
    handle: WorkflowHandle[Any, Any], verb: str, given: Mapping[str, JsonValue]
) -> None:
    """Leave it with Temporal, which hands it to the first worker there is."""
    try:
        await handle.signal(verb, given, rpc_timeout=PATIENCE)
    except RPCError as error:
        raise unreachable(error) from error
