"""Starts workflows whose id lets one live at a time; what has a key is started once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from control import keys
from control.connection import PATIENCE, Refused, unreachable
from control.description import Known
from workflows.markdown import literal

Run = Callable[[Any, Any], Awaitable[Any]]  # the method that `@workflow.run` has marked

POLL_S = 0.1


Found = TypeVar("Found", bound=Known)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What is to be started.

    Attributes:
        request: What the workflow is given; who asks, and why, are its `by` and `reason`.
        summary: In a line, for lists of workflows.
        key: Idempotency key; empty for none.
    """

    run: Run
    identity: str
    request: BaseModel
    summary: str
    reason: str = ""
    key: str = ""

    async def known(self, client: Client) -> WorkflowHandle[Any, Any] | None:
        """Return what was started with the key; None if nothing was, or there is no key.

        Raises:
            InvalidValue: The key is too long.
            Refused: The key started something else.
            Unreachable: Temporal does not answer.
        """
        run = await keys.started(client, self.identity, keys.start_memo(self.request, self.key))
        return self._handle(client, run) if run else None

    async def begin(self, client: Client, *, task_queue: str) -> WorkflowHandle[Any, Any]:
        """Start it, or return what was started with the key.

        Raises:
            InvalidValue, Refused, Unreachable: As `known` says.
            WorkflowAlreadyStartedError: Another one is live under the id.
        """
        if found := await self.known(client):
            return found
        try:
            return await client.start_workflow(
                self.run,
                self.request.model_dump(mode="json"),
                id=self.identity,
                memo=keys.start_memo(self.request, self.key),
                task_queue=task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=literal(self.summary),
                static_details=literal(self.reason) or None,
            )
        except WorkflowAlreadyStartedError:
            if found := await self.known(client):
                return found
            raise
        except RPCError as error:
            raise unreachable(error) from error

    def _handle(self, client: Client, run: str) -> WorkflowHandle[Any, Any]:
        return client.get_workflow_handle_for(self.run, self.identity, run_id=run)


async def until_open(look: Callable[[], Awaitable[Found]]) -> Found:
    """Look until it is open, has ended or is stuck, or until patience ends.

    Raises:
        Refused: Its opening was refused.
        Unreachable: Temporal does not answer.
    """
    deadline = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
    while True:
        try:
            found = await look()
        except RPCError as error:
            raise unreachable(error) from error
        if found.failure:
            raise Refused(found.failure)
        late = asyncio.get_running_loop().time() > deadline
        if late or found.stuck or not found.opening or found.closed_at:
            return found
        await asyncio.sleep(POLL_S)
