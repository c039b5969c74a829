"""The connection to Temporal, and how its errors are told: what all verbs share."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import (
    Client,
    Interceptor,
    WorkflowContinuedAsNewError,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.exceptions import ApplicationError
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.types import MethodSyncNoParam

from control.payloads import data_converter
from domain.errors import RampartError

PATIENCE = timedelta(seconds=10)  # how long an answer may take while a worker is alive
QUERY_PATIENCE = timedelta(seconds=2)

Result = TypeVar("Result")


class ControlError(RampartError):
    """A verb could not be carried out. Tree: `Refused` | `NoRollout` | `Unreachable`."""


class Refused(ControlError):
    """The rollout, or its opening, said no, and why."""


class NoRollout(ControlError):
    """There is no live rollout of that prompt."""


class Unreachable(ControlError):
    """Temporal, or a worker, does not answer."""


def address() -> str:
    """Return where Temporal is looked for.

    Raises:
        Unreachable: Its configuration cannot be read.
    """
    return _configured()["target_host"]


def namespace() -> str:
    """Return which namespace is worked in; nobody is asked.

    Raises:
        Unreachable: The configuration cannot be read.
    """
    return _configured().get("namespace", "default")


async def connect(
    *, interceptors: Sequence[Interceptor] = (), runtime: Runtime | None = None
) -> Client:
    """Connect as `temporalio.envconfig` says: `TEMPORAL_ADDRESS` …, else localhost:7233.

    Args:
        interceptors: Stand around all that the client, and a worker of its, does.
        runtime: Where the SDK's logs and metrics go; by default as the SDK has it.

    Raises:
        Unreachable: Nobody answers there, or the configuration cannot be read.
    """
    config = _configured()
    target = config["target_host"]
    try:
        async with asyncio.timeout(PATIENCE.total_seconds()):
            return await Client.connect(
                **config,
                data_converter=data_converter(),
                interceptors=interceptors,
                runtime=runtime,
            )
    except (RuntimeError, TimeoutError) as error:
        raise Unreachable(
            f"no Temporal server answers at {target}: start one with `rampart dev`,"
            " or set TEMPORAL_ADDRESS"
        ) from error


def _configured() -> ClientConnectConfig:
    try:
        config = ClientConfig.load_client_connect_config()
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise Unreachable(f"Temporal's configuration cannot be read: {reason}") from error
    config.setdefault("target_host", "localhost:7233")
    return config


async def stuck(found: WorkflowExecutionDescription) -> tuple[str, ...]:
    """Say why activities are being retried: it is why a rollout seems to stand still."""
    told = []
    for pending in found.raw_description.pending_activities:
        if pending.HasField("last_failure"):
            tried = f"{pending.activity_type.name} has failed {pending.attempt - 1} times"
            failure = await found.data_converter.decode_failure(pending.last_failure)
            reason = said(failure).partition("\n")[0]
            told.append(f"{tried}: {reason}")
    return tuple(told)


def said(error: BaseException) -> str:
    """Return what we said ourselves, else the message of the failure that began it all."""
    while error.__cause__ is not None and not isinstance(error, ApplicationError):
        error = error.__cause__
    return error.message if isinstance(error, ApplicationError) else str(error)


def unreachable(error: RPCError) -> Unreachable:
    """Return the error that a silent or failing server is told as."""
    return Unreachable(f"Temporal does not answer: {error.message}")


async def asked(
    handle: WorkflowHandle[Any, Any], query: MethodSyncNoParam[Any, Result]
) -> Result | None:
    """Ask the workflow; without a live worker nobody answers."""
    try:
        return await handle.query(query, rpc_timeout=QUERY_PATIENCE)
    except (RPCError, WorkflowQueryFailedError):
        return None


async def ending(handle: WorkflowHandle[Any, Result]) -> tuple[Result | None, str]:
    """Return the result of a run that has closed, or why it failed; neither if it went on anew."""
    try:
        return await handle.result(follow_runs=False), ""
    except WorkflowFailureError as error:
        return None, said(error)
    except WorkflowContinuedAsNewError:
        return None, ""


async def facts(found: WorkflowExecution) -> dict[str, Any]:
    """Return what Temporal itself knows of a workflow: the head of every description."""
    return {
        "workflow_id": found.id,
        "run_id": found.run_id or "",
        "status": found.status.name.lower() if found.status else "unknown",
        "started_at": found.start_time,
        "closed_at": found.close_time,
        "memo": dict(await found.memo()),
    }
