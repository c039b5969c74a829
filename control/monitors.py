"""The operator's verbs for monitors, typed, over the Temporal client."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from control.connection import (
    QUERY_PATIENCE,
    ControlError,
    Refused,
    Unreachable,
    asked,
    ending,
    facts,
    stuck,
    unreachable,
)
from control.description import Known
from control.sending import send
from control.starting import Start, until_open
from domain.monitors.alerts import Alert
from domain.monitors.plan import MonitorPlan
from workflows.answers import Answer
from workflows.commands import Command
from workflows.monitors.state import MonitorOutcome, MonitorProgress
from workflows.monitors.workflow import MonitorWorkflow

Handle = WorkflowHandle[MonitorWorkflow, MonitorOutcome]


class NoMonitor(ControlError):
    """There is no monitor of that name, or none that is live."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitorDescription(Known):
    """What is known of the latest monitor of a name; `outcome` once it has ended."""

    name: str
    progress: MonitorProgress | None = None
    outcome: MonitorOutcome | None = None


def workflow_id(name: str) -> str:
    """Return the id that makes the server allow one live monitor of a name."""
    return f"monitor/{name}"


class MonitorControl:
    """The verbs. A monitor's name is chosen by whoever starts it."""

    def __init__(self, client: Client, *, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, name: str, plan: MonitorPlan, *, key: str = "") -> MonitorDescription:
        """Start a monitor, once for each key; wait until it is open, or patience ends.

        Raises:
            InvalidValue: The key is too long.
            Refused: One of that name is live already, the opening was refused, or the key has
                started something else.
            Unreachable: Temporal does not answer.
        """
        start = Start(
            run=MonitorWorkflow.run,
            identity=workflow_id(name),
            request=plan,
            summary=f"{name}: {', '.join(map(str, plan.judged))}",
            reason=plan.reason,
            key=key,
        )
        try:
            handle = await start.begin(self._client, task_queue=self._task_queue)
        except WorkflowAlreadyStartedError as error:
            live = f"a monitor named {name!r} is live already"
            raise Refused(f"{live}: stop it first, or choose another name") from error
        return await until_open(partial(self._describe, name, handle))

    async def stop(self, name: str, *, reason: str = "", by: str = "") -> str:
        """End a live monitor; return its answer. Recorded even when no worker is alive to answer.

        Raises:
            NoMonitor: None of that name is live. Unreachable: Temporal does not answer.
        """
        found = await self.describe(name)
        if found.closed_at is not None:
            raise NoMonitor(f"monitor {name!r} is not live: it is {found.status}")
        handle, command = self._handle(name), Command(reason=reason, by=by).model_dump(mode="json")
        answer = await send(
            handle, "stop", command, identity=None, answers=Answer, lasting="stops it"
        )
        return answer.said

    async def describe(self, name: str) -> MonitorDescription:
        """Return what is known of the live monitor of that name, else of its latest.

        Raises:
            NoMonitor: There never was one. Unreachable: Temporal does not answer.
        """
        return await self._describe(name, self._handle(name))

    async def list(self, *, limit: int = 100) -> list[MonitorDescription]:
        """Return the latest monitor of each name as the server's lists know them, live ones first.

        Raises:
            Unreachable: Temporal does not answer.
        """
        found: dict[str, MonitorDescription] = {}
        try:
            async for item in self._client.list_workflows(
                "WorkflowType = 'MonitorWorkflow'", limit=limit
            ):
                name = item.id.removeprefix(workflow_id(""))
                found.setdefault(name, await _described(name, item))
        except RPCError as error:
            raise unreachable(error) from error
        return sorted(found.values(), key=lambda one: one.closed_at is not None)

    async def alerts(self, name: str) -> tuple[Alert, ...]:
        """Return its alerts, oldest first; at most 1 000.

        Raises:
            NoMonitor: There never was one, or it did not end by itself and took them along.
            Unreachable: Temporal, or every worker, does not answer.
        """
        found = await self.describe(name)
        if found.outcome is not None:
            return found.outcome.alerts
        if found.closed_at is not None:
            raise NoMonitor(f"monitor {name!r} is {found.status}: it returned no alerts")
        try:
            query = MonitorWorkflow.alerts
            return tuple(await self._handle(name).query(query, rpc_timeout=QUERY_PATIENCE))
        except (RPCError, WorkflowQueryFailedError) as error:
            raise Unreachable("no worker answers: start one with `rampart worker`") from error

    def _handle(self, name: str) -> Handle:
        return self._client.get_workflow_handle_for(MonitorWorkflow.run, workflow_id(name))

    async def _describe(self, name: str, handle: Handle) -> MonitorDescription:
        try:
            found = await handle.describe()
            if found.status is WorkflowExecutionStatus.RUNNING:
                told = {
                    "progress": await asked(handle, MonitorWorkflow.progress),
                    "stuck": await stuck(found),
                }
                return await _described(name, found, **told)
            outcome, failure = await ending(handle)
            return await _described(name, found, outcome=outcome, failure=failure)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                hint = "start one with `rampart monitor start`"
                raise NoMonitor(f"no monitor named {name!r} is known: {hint}") from error
            raise unreachable(error) from error


async def _described(name: str, found: WorkflowExecution, **more: Any) -> MonitorDescription:
    return MonitorDescription(
        name=name,
        **await facts(found),
        **more,
    )
