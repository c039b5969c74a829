"""The operator's verbs, typed, over the Temporal client: start, pause, roll back, describe.

Every verb is an update that answers; a refusal is a `Refused` with one sentence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType

from pydantic import JsonValue
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from control import keys
from control.connection import (
    ControlError,
    NoRollout,
    Refused,
    asked,
    ending,
    stuck,
    unreachable,
)
from control.description import Description, described, where
from control.sending import send
from control.starting import Start, until_open
from domain.plan import RolloutRequest
from domain.record import Rollout
from domain.windows.start import refuse_far, refuse_past
from workflows.answers import Changed
from workflows.commands import Command, Verb
from workflows.progress import Outcome
from workflows.publication import PROMPT
from workflows.rollout import RolloutWorkflow

__all__ = ["Control", "Description", "Verb", "workflow_id"]

Handle = WorkflowHandle[RolloutWorkflow, Outcome]
Leader = Callable[[str, str], Awaitable[Rollout | None]]
TELLING = timedelta(seconds=3)
NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
# One that went on anew has not ended, and is listed where it goes on.
ROLLOUTS = "WorkflowType = 'RolloutWorkflow' AND ExecutionStatus != 'ContinuedAsNew'"
RUNNING = f"{ROLLOUTS} AND ExecutionStatus = 'Running'"
ASKED = {None: ROLLOUTS, True: RUNNING, False: f"{ROLLOUTS} AND ExecutionStatus != 'Running'"}


def workflow_id(name: str, prompt_type: str) -> str:
    """Return the id that makes the server allow one live rollout per prompt."""
    return f"rollout/{name}.{prompt_type}"


async def _nobody(_name: str, _prompt_type: str) -> Rollout | None:
    return None


class Control:
    """The verbs. `name` and `prompt_type` name the prompt whose live rollout is meant.

    `leader` tells who leads the bundle that a prompt goes along with: Temporal knows the leader's
    name alone. It is asked last, when nothing runs under the prompt's own name.
    """

    def __init__(self, client: Client, *, task_queue: str, leader: Leader = _nobody) -> None:
        self._client = client
        self._task_queue = task_queue
        self._leader = leader

    async def start(self, request: RolloutRequest, *, key: str = "") -> Description:
        """Start a rollout and wait until it is open; without a live worker, until patience ends.

        One that is to be opened later is scheduled, and waited for no longer. With a `key` that has
        started one already, that one is described, and none is started.

        Raises:
            InvalidPlan: It is to be opened in the past, or more than a year from now.
            InvalidValue: The key is too long.
            Refused: One is live on the prompt already, the opening was refused, or the key has
                started something else.
            Unreachable: Temporal does not answer.
        """
        start = Start(
            run=RolloutWorkflow.run,
            identity=workflow_id(request.name, request.prompt_type),
            request=request,
            summary=_summary(request),
            reason=request.reason,
            key=key,
        )
        if begun := await start.known(self._client):
            return await until_open(partial(self._describe, begun))
        now = datetime.now(UTC)
        refuse_past(request.start_at, now)
        refuse_far(request.start_at, now)
        try:
            begun = await start.begin(self._client, task_queue=self._task_queue)
        except WorkflowAlreadyStartedError as error:
            live = await self.describe(request.name, request.prompt_type)
            prompt = f"{request.name}.{request.prompt_type}"
            raise Refused(f"a rollout of {prompt} is live already: {where(live)}") from error
        return await until_open(partial(self._describe, begun))

    async def order(
        self,
        verb: Verb,
        name: str,
        prompt_type: str,
        *,
        reason: str = "",
        by: str = "",
        key: str = "",
        asked: Mapping[str, JsonValue] = NOTHING,
    ) -> Changed:
        """Send a verb to the live rollout and return its answer.

        A rollback is recorded even when no worker is alive to answer it.

        With a `key`, a verb that is sent again counts once and answers as it did. `asked` is what
        else the verb takes: `{"full": True}`, `{"longer": "2h"}` …

        Raises:
            InvalidValue: The verb takes no such thing.
            Refused: The rollout said no.
            NoRollout: There is none.
            Unreachable: Temporal or every worker is silent.
        """
        given = {"reason": reason, "by": by, "key": key, **asked}
        identity = keys.identity(verb, given)
        handle = await self._live(name, prompt_type)
        lasting = "rolls it back" if verb is Verb.ROLLBACK else ""
        return await send(handle, verb, given, identity=identity, answers=Changed, lasting=lasting)

    async def tell(self, name: str, prompt_type: str, *, reason: str, by: str) -> bool:
        """Tell the live rollout that it was rolled back in the database; say whether it was told.

        It need not be: its next check finds out. Gives up after three seconds.
        """
        command = Command(reason=reason, by=by).model_dump(mode="json")
        try:
            async with asyncio.timeout(TELLING.total_seconds()):
                handle = await self._live(name, prompt_type)
                await handle.signal(Verb.ROLLBACK.value, command)
        except (ControlError, RPCError, TimeoutError):
            return False
        return True

    async def describe(self, name: str, prompt_type: str) -> Description:
        """Return what is known of the prompt's live rollout, else of its latest.

        Raises:
            NoRollout: It never had one. Unreachable: Temporal does not answer.
        """
        return await self._describe((await self._find(name, prompt_type))[0])

    async def list(self, *, limit: int = 100, live: bool | None = None) -> list[Description]:
        """Return rollouts, the latest first, as the server's lists know them.

        Args:
            limit: At most so many.
            live: Only those that are, or only those that are not; by default both.

        Raises:
            Unreachable: Temporal does not answer.
        """
        found = self._client.list_workflows(ASKED[live], limit=limit)
        try:
            return [await described(item) async for item in found]
        except RPCError as error:
            raise unreachable(error) from error

    async def _live(self, name: str, prompt_type: str) -> Handle:
        handle, live = await self._find(name, prompt_type)
        if live:
            return handle
        last = where(await self._describe(handle))
        raise NoRollout(f"no live rollout of {name}.{prompt_type}: {last}")

    async def _find(self, name: str, prompt_type: str) -> tuple[Handle, bool]:
        """Find it, and whether it is live.

        Under our id, else by attribute, as people choose ids; else that of the bundle's leader.
        """
        prompt = f"{name}.{prompt_type}"
        ours: Handle = self._client.get_workflow_handle_for(
            RolloutWorkflow.run, workflow_id(name, prompt_type)
        )
        began = None
        try:
            known = await ours.describe()
            if known.status is WorkflowExecutionStatus.RUNNING:
                return ours, True
            began = known.start_time
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(error) from error
        if found := await self._search(prompt):
            return found, True
        leader = await self._leader(name, prompt_type)
        if leader and _is_later(leader, began):
            return await self._find(leader.name, leader.prompt_type)
        if began is not None:
            return ours, False
        raise NoRollout(f"no rollout of {prompt} is known: start one with `rampart start`")

    async def _search(self, prompt: str) -> Handle | None:
        """Find a live one by its attribute, and believe the attribute rather than the query.

        What would have to be quoted is not asked for: Temporal's quoting is not one that can be
        relied on, and a backslash frees the quote after it.
        """
        plain = not set(prompt) & set("\\'\"")
        query = f"{RUNNING} AND RampartPrompt = '{prompt}'" if plain else RUNNING
        try:
            async for found in self._client.list_workflows(query):
                if found.typed_search_attributes.get(PROMPT) == prompt:
                    return self._client.get_workflow_handle_for(RolloutWorkflow.run, found.id)
        except RPCError:  # this server does not know our search attributes
            return None
        return None

    async def _describe(self, handle: Handle) -> Description:
        try:
            found = await handle.describe()
            if found.status is WorkflowExecutionStatus.RUNNING:
                told = {
                    "progress": await asked(handle, RolloutWorkflow.progress),
                    "stuck": await stuck(found),
                }
                return await described(found, **told)
            outcome, failure = await ending(handle)
            return await described(found, outcome=outcome, failure=failure)
        except RPCError as error:
            raise unreachable(error) from error


def _is_later(leader: Rollout, began: datetime | None) -> bool:
    """Say whether a bundle is what a prompt did last; `began` is when its own workflow did."""
    return began is None or leader.concluded_at is None or leader.concluded_at > began


def _summary(request: RolloutRequest) -> str:
    """Return the one line in Temporal's UI, which may not be long."""
    along = len(request.companions)
    more = f" and {along} more" if along else ""
    change = f"{request.name}.{request.prompt_type} → {request.candidate}"
    return f"{change}{more} by plan {request.plan.name}"
