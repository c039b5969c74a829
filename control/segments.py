"""The operator's verbs for segmented rollouts, typed, over the Temporal client."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from control.connection import (
    NoRollout,
    Refused,
    asked,
    ending,
    facts,
    stuck,
    unreachable,
)
from control.description import Known
from control.sending import send
from control.starting import Start, until_open
from domain.segments.plan import SegmentedRequest
from workflows.answers import Answer
from workflows.commands import Command, Verb, update_id
from workflows.rings.page import RingsOutcome, RingsProgress
from workflows.rings.workflow import SegmentedRolloutWorkflow

RINGS = {Verb.PAUSE, Verb.RESUME, Verb.PROMOTE, Verb.APPROVE, Verb.ROLLBACK}
Handle = WorkflowHandle[SegmentedRolloutWorkflow, RingsOutcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class RingsDescription(Known):
    """What is known of a prompt's latest segmented rollout; `outcome` once it has ended."""

    progress: RingsProgress | None = None
    outcome: RingsOutcome | None = None


def workflow_id(name: str, prompt_type: str) -> str:
    """Return the id that makes the server allow one live segmented rollout per prompt."""
    return f"segments/{name}.{prompt_type}"


class RingsControl:
    """The verbs. `name` and `prompt_type` name the prompt whose segments are meant."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, request: SegmentedRequest, *, key: str = "") -> RingsDescription:
        """Start a segmented rollout, once for each key; wait until it is open, or patience ends.

        Raises:
            InvalidValue: The key is too long.
            Refused: One is live on the prompt already, the opening was refused, or the key has
                started something else.
            Unreachable: Temporal does not answer.
        """
        prompt = f"{request.name}.{request.prompt_type}"
        start = Start(
            run=SegmentedRolloutWorkflow.run,
            identity=workflow_id(request.name, request.prompt_type),
            request=request,
            summary=f"{prompt} → {request.candidate}, segment by segment",
            reason=request.reason,
            key=key,
        )
        try:
            handle = await start.begin(self._client, task_queue=self._task_queue)
        except WorkflowAlreadyStartedError as error:
            live = f"a segmented rollout of {prompt} is live already"
            raise Refused(f"{live}: see `rampart rings status {prompt}`") from error
        return await until_open(partial(self._describe, handle))

    async def order(
        self,
        verb: Verb,
        name: str,
        prompt_type: str,
        *,
        reason: str = "",
        by: str = "",
        key: str = "",
    ) -> Answer:
        """Send a verb to the live segmented rollout and return its answer, once for each key.

        A rollback is recorded even when no worker is alive to answer it.

        Raises:
            Refused, NoRollout, Unreachable: As `Control.order` says.
        """
        _refuse_unknown(verb)
        found = await self.describe(name, prompt_type)
        if found.closed_at is not None:
            prompt = f"{name}.{prompt_type}"
            raise NoRollout(f"no live segmented rollout of {prompt}: the latest is {found.status}")
        handle = self._handle(name, prompt_type)
        given = Command(reason=reason, by=by, key=key)
        command, identity = given.model_dump(mode="json"), update_id(verb, given)
        lasting = "rolls it back" if verb is Verb.ROLLBACK else ""
        return await send(handle, verb, command, identity=identity, answers=Answer, lasting=lasting)

    async def describe(self, name: str, prompt_type: str) -> RingsDescription:
        """Return what is known of the prompt's live segmented rollout, else of its latest.

        Raises:
            NoRollout: It never had one. Unreachable: Temporal does not answer.
        """
        try:
            return await self._describe(self._handle(name, prompt_type))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                prompt = f"{name}.{prompt_type}"
                hint = "start one with `rampart rings start`"
                raise NoRollout(f"no segmented rollout of {prompt} is known: {hint}") from error
            raise unreachable(error) from error

    def _handle(self, name: str, prompt_type: str) -> Handle:
        return self._client.get_workflow_handle_for(
            SegmentedRolloutWorkflow.run, workflow_id(name, prompt_type)
        )

    async def _describe(self, handle: Handle) -> RingsDescription:
        found = await handle.describe()
        if found.status is WorkflowExecutionStatus.RUNNING:
            told = {
                "progress": await asked(handle, SegmentedRolloutWorkflow.progress),
                "stuck": await stuck(found),
            }
            return await _described(found, **told)
        outcome, failure = await ending(handle)
        return await _described(found, outcome=outcome, failure=failure)


async def _described(found: WorkflowExecutionDescription, **more: Any) -> RingsDescription:
    return RingsDescription(
        **await facts(found),
        **more,
    )


def _refuse_unknown(verb: Verb) -> None:
    if verb not in RINGS:
        lane = "steer the running ring's own rollout, whose prompt `rampart rings status` shows"
        raise Refused(f"{verb} was refused: it is of one rollout: {lane}")
