"""Temporal: the server, its namespace, what it knows of us, and who works for our queue."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    GetSystemInfoRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from control.connection import ControlError, address, connect
from control.reconciliation import ReconcileControl
from domain.duration import spell
from settings import Settings
from terminal.checkup.finding import Finding, failed, ok, warning
from workflows.publication import ATTRIBUTES

PATIENCE_S = 3.0  # for a connection
STALE = timedelta(seconds=90)  # a live worker asks at least once a minute
START = "start one with `rampart dev`, or set TEMPORAL_ADDRESS"
WORK = "start one with `rampart worker`, with the same RAMPART_TASK_QUEUE and namespace"


async def temporal(settings: Settings) -> list[Finding]:
    """Look at Temporal and at who works for it."""
    try:
        target = address()
        await _reach(target)
        client = await connect()
    except OSError as error:
        said = f"nothing listens at {target}: {error.strerror or 'no answer in time'}"
        return [failed("Temporal", said, START)]
    except ControlError as error:
        return [failed("Temporal", str(error), "correct TEMPORAL_ADDRESS or Temporal's config")]
    try:
        asked = await client.workflow_service.get_system_info(GetSystemInfoRequest())
        seen = [ok("Temporal", f"server {asked.server_version or 'of no version'} at {target}")]
        return [*seen, *await _within(client, settings)]
    except RPCError as error:
        said = f"{target} does not answer: {error.message}"
        return [failed("Temporal", said, "see its logs, and TEMPORAL_API_KEY or TLS of its config")]


async def _reach(target: str) -> None:
    """Find out at once what a client finds out after ten seconds.

    Raises:
        OSError: Nothing listens there.
    """
    host, _, port = target.rpartition(":")
    if not (host and port.isdigit()):
        return
    async with asyncio.timeout(PATIENCE_S):
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()


async def _within(client: Client, settings: Settings) -> list[Finding]:
    """Look inside the namespace, if there is one."""
    try:
        request = DescribeNamespaceRequest(namespace=client.namespace)
        await client.workflow_service.describe_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            return [warning("namespace", f"{client.namespace}: {error.message}", "ask its owner")]
        make = (
            f"set TEMPORAL_NAMESPACE, or: temporal operator namespace create -n {client.namespace}"
        )
        return [failed("namespace", f"there is no {client.namespace!r}", make)]
    return [
        ok("namespace", client.namespace),
        await _attributes(client),
        *await _workers(client, settings),
        await _reconciler(client, settings),
    ]


async def _attributes(client: Client) -> Finding:
    part = "search attributes"
    try:
        request = ListSearchAttributesRequest(namespace=client.namespace)
        known = (await client.operator_service.list_search_attributes(request)).custom_attributes
    except RPCError as error:
        advice = "see that your namespace has them (docs/guides/production.md)"
        return warning(part, f"may not be asked for: {error.message}", advice)
    missing = [key for key in ATTRIBUTES if key.name not in known]
    if not missing:
        return ok(part, ", ".join(key.name for key in ATTRIBUTES))
    flags = " ".join(f"--name {k.name} --type {k.indexed_value_type.name.title()}" for k in missing)
    said = f"without {', '.join(key.name for key in missing)}"
    advice = (
        f"a worker adds them where it may, or: temporal operator search-attribute create {flags}"
    )
    return warning(part, said, advice)


async def _workers(client: Client, settings: Settings) -> list[Finding]:
    queue = settings.task_queue
    workflows = await _pollers(client, queue, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW)
    activities = await _pollers(client, queue, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    if not (workflows and activities):
        return [failed("worker", f"nobody polls the task queue {queue!r}: nothing moves", WORK)]
    identities = sorted({poller.identity for poller in activities})
    seen = max(poller.last_access_time.ToDatetime(UTC) for poller in activities)
    silent = datetime.now(UTC) - seen
    said = f"{len(identities)} on the task queue {queue!r}: {', '.join(identities[:5])}"
    if silent > STALE:
        ago = spell(timedelta(seconds=round(silent.total_seconds())))
        return [warning("worker", f"{said}; the last sign of life {ago} ago", WORK)]
    return [ok("worker", said), *await _versions(client, settings, workflows)]


async def _pollers(
    client: Client, queue: str, kind: TaskQueueType.ValueType
) -> Sequence[PollerInfo]:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    return (await client.workflow_service.describe_task_queue(request)).pollers


async def _versions(
    client: Client, settings: Settings, pollers: Sequence[PollerInfo]
) -> list[Finding]:
    """Look whether somebody works for the version that is current; without versions, nothing."""
    part, name = "worker version", settings.deployment
    builds = {
        poller.deployment_options.build_id
        for poller in pollers
        if poller.deployment_options.deployment_name == name
    } - {""}
    if not builds:
        return []
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=name)
    answer = await client.workflow_service.describe_worker_deployment(request)
    routing = answer.worker_deployment_info.routing_config
    current, there = routing.current_deployment_version.build_id, ", ".join(sorted(builds))
    if current in builds:
        return [ok(part, f"{current} of {name} is current; there are {there}")]
    said = f"{current or 'none'} of {name} is current, and nobody works for it; there are {there}"
    make = f"--deployment-name {name} --build-id {max(builds)}"
    return [failed(part, said, f"temporal worker deployment set-current-version {make}")]


async def _reconciler(client: Client, settings: Settings) -> Finding:
    part = "reconciler"
    try:
        found = await ReconcileControl(client, task_queue=settings.task_queue).describe()
    except ControlError as error:
        return warning(part, str(error), "the first worker makes its schedule where it may")
    if found.paused:
        advice = "unpause the schedule in Temporal: rollouts whose workflow is gone are not found"
        return warning(part, "its schedule is paused", advice)
    if found.failure:
        return warning(part, f"its latest look failed: {found.failure}", "see the worker's logs")
    return ok(part, f"looks every {spell(found.every)}")
