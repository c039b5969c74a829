"""The operator's verbs for experiments, typed, over the Temporal client.

Every verb is an update that answers; a refusal is a `Refused` with one sentence.
"""

from dataclasses import dataclass
from functools import partial

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from control.connection import (
    ControlError,
    Refused,
    asked,
    facts,
    said,
    stuck,
    unreachable,
)
from control.description import Known
from control.sending import send
from control.starting import Start, until_open
from domain.trials.findings import Conclusion
from domain.trials.plan import ExperimentRequest
from workflows.answers import Answer
from workflows.commands import update_id
from workflows.experiments.commands import Choice, Verb
from workflows.experiments.progress import ExperimentProgress
from workflows.experiments.workflow import ExperimentWorkflow

__all__ = [
    "ExperimentControl",
    "ExperimentDescription",
    "NoExperiment",
    "Verb",
    "experiment_workflow_id",
]

Handle = WorkflowHandle[ExperimentWorkflow, Conclusion]
POLL_S = 0.1


class NoExperiment(ControlError):
    """There is no such experiment of that prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentDescription(Known):
    """What is known of a prompt's latest experiment; `conclusion` once it has ended."""

    progress: ExperimentProgress | None = None
    conclusion: Conclusion | None = None


def experiment_workflow_id(name: str, prompt_type: str) -> str:
    """Return the id that makes the server allow one live experiment per prompt."""
    return f"experiment/{name}.{prompt_type}"


class ExperimentControl:
    """The verbs. `name` and `prompt_type` name the prompt whose live experiment is meant."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, request: ExperimentRequest, *, key: str = "") -> ExperimentDescription:
        """Start an experiment, once for each key; wait until it is open, or patience ends.

        Raises:
            InvalidValue: The key is too long.
            Refused: One is live on the prompt already, the opening was refused, or the key has
                started something else.
            Unreachable: Temporal does not answer.
        """
        start = Start(
            run=ExperimentWorkflow.run,
            identity=experiment_workflow_id(request.name, request.prompt_type),
            request=request,
            summary=f"{request.prompt}: {' / '.join(request.plan.arms)}",
            reason=request.reason,
            key=key,
        )
        try:
            handle: Handle = await start.begin(self._client, task_queue=self._task_queue)
        except WorkflowAlreadyStartedError as error:
            raise Refused(f"an experiment on {request.prompt} is live already") from error
        return await until_open(partial(self._describe, handle))

    async def order(
        self,
        verb: Verb,
        name: str,
        prompt_type: str,
        *,
        version: str = "",
        reason: str = "",
        by: str = "",
        key: str = "",
    ) -> Answer:
        """Send a verb to the live experiment and return its answer, once for each key.

        A stop is recorded even when no worker is alive to answer it.

        Raises:
            Refused: The experiment said no.
            NoExperiment: None is live.
            Unreachable: Temporal or every worker is silent.
        """
        handle = self._handle(name, prompt_type)
        given = Choice(version=version, reason=reason, by=by, key=key)
        choice, identity = given.model_dump(mode="json"), update_id(verb, given)
        await self._refuse_unless_live(handle, f"{name}.{prompt_type}")
        lasting = "stops it" if verb is Verb.STOP else ""
        return await send(handle, verb, choice, identity=identity, answers=Answer, lasting=lasting)

    async def describe(self, name: str, prompt_type: str) -> ExperimentDescription:
        """Return what is known of the prompt's live experiment, else of its latest.

        Raises:
            NoExperiment: It never had one. Unreachable: Temporal does not answer.
        """
        try:
            return await self._describe(self._handle(name, prompt_type))
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(error) from error
            raise _none_of(f"{name}.{prompt_type}") from error

    async def list(self, *, limit: int = 100) -> list[ExperimentDescription]:
        """Return experiments, live and ended, the latest first, as the server's lists know them.

        Raises:
            Unreachable: Temporal does not answer.
        """
        found = self._client.list_workflows("WorkflowType = 'ExperimentWorkflow'", limit=limit)
        try:
            return [await _described(item) async for item in found]
        except RPCError as error:
            raise unreachable(error) from error

    def _handle(self, name: str, prompt_type: str) -> Handle:
        return self._client.get_workflow_handle_for(
            ExperimentWorkflow.run, experiment_workflow_id(name, prompt_type)
        )

    async def _refuse_unless_live(self, handle: Handle, prompt: str) -> None:
        try:
            status = (await handle.describe()).status
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(error) from error
            raise _none_of(prompt) from error
        if status is not WorkflowExecutionStatus.RUNNING:
            word = status.name.lower() if status else "gone"
            raise NoExperiment(f"no live experiment on {prompt}: {handle.id} is {word}")

    async def _describe(self, handle: Handle) -> ExperimentDescription:
        found = await handle.describe()
        if found.status is WorkflowExecutionStatus.RUNNING:
            progress = await asked(handle, ExperimentWorkflow.progress)
            return await _described(found, progress=progress, stuck=await stuck(found))
        try:
            return await _described(found, conclusion=await handle.result())
        except WorkflowFailureError as error:
            return await _described(found, failure=said(error))


async def _described(
    item: WorkflowExecution,
    *,
    progress: ExperimentProgress | None = None,
    stuck: tuple[str, ...] = (),
    conclusion: Conclusion | None = None,
    failure: str = "",
) -> ExperimentDescription:
    return ExperimentDescription(
        **await facts(item),
        progress=progress,
        stuck=stuck,
        conclusion=conclusion,
        failure=failure,
    )


def _none_of(prompt: str) -> NoExperiment:
    return NoExperiment(
        f"no experiment on {prompt} is known: start one with `rampart experiment start`"
    )
