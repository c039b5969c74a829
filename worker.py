"""Composition root: database, managers, activities, workflows, one Temporal worker."""

import asyncio
import contextlib
import gc
import inspect
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.monitors import MonitorActivities
from activities.notifications import NotificationActivities
from activities.reconciliation import ReconciliationActivities
from activities.retention import RetentionActivities
from activities.rollouts import RolloutActivities
from activities.segments import SegmentActivities
from activities.trials import TrialActivities
from control.connection import connect
from control.courier import Courier, queue_of
from control.reconciliation import ReconcileControl
from control.retention import RetentionControl
from domain import broker
from domain.broadcast.publisher import Publisher
from domain.database import Database
from domain.errors import InvalidValue
from domain.intake.drain import Drain
from domain.metrics import MetricsCollector
from domain.monitors.manager import MonitorManager
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post
from domain.notifications.targets import Directory
from domain.reconciliation import Reconciler
from domain.retention.manager import RetentionManager
from domain.rollouts import RolloutManager
from domain.segments.lanes import SegmentManager
from domain.trials.manager import TrialManager
from reports.enclosing import Enclosing
from reports.reporter import Reporter
from settings import Settings
from telemetry import logs, meters, tracing
from workflows.experiments.workflow import ExperimentWorkflow
from workflows.meters import BUCKETS
from workflows.monitors.workflow import MonitorWorkflow
from workflows.notifications.workflow import NotificationWorkflow
from workflows.publication import ATTRIBUTES
from workflows.reconciliation import ReconcileWorkflow
from workflows.retention.workflow import RetentionWorkflow
from workflows.rings.workflow import SegmentedRolloutWorkflow
from workflows.rollout import RolloutWorkflow

logger = logging.getLogger(__name__)

GRACE = timedelta(seconds=10)  # what a stopping worker gives its activities to end by themselves
TAKEOVER = timedelta(seconds=2)  # how soon another worker takes up a killed one's workflows
# Loaded once and shared: inside the sandbox each workflow would load its own, at 15 MB and 200 ms.
PASSED_THROUGH = (
    "activities",
    "domain",
    "opentelemetry",
    "pydantic",
    "pydantic_core",
    "settings",
    "sqlalchemy",
    "sqlmodel",
    "workflows.execution",  # else what gives up in one module is not caught in another
    "telemetry",
    "yaml",
)
RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
)


WORKFLOWS = (
    RolloutWorkflow,
    ExperimentWorkflow,
    SegmentedRolloutWorkflow,
    MonitorWorkflow,
    RetentionWorkflow,
    ReconcileWorkflow,
)


def build_worker(
    client: Client,
    *hands: object,
    task_queue: str,
    deployment: WorkerDeploymentConfig | None = None,
) -> Worker:
    """Return a worker, not yet running.

    Args:
        client: Of the Temporal server.
        hands: Objects with activities; what none of them can do waits for another worker.
        task_queue: Where it looks for work.
        deployment: The version it is of its deployment; None for a worker without one.
    """
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=[activity for each in hands for activity in _activities_of(each)],
        workflow_runner=RUNNER,
        graceful_shutdown_timeout=GRACE,
        sticky_queue_schedule_to_start_timeout=TAKEOVER,
        deployment_config=deployment,
    )


def version_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """Return which version of its deployment a worker is, if it is to be one.

    What runs goes on under the version that is current: every release replays the histories of
    those before it, and a rollout that stayed with its first worker would keep that one for weeks.
    """
    if not settings.build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def build_notifier(client: Client, hands: NotificationActivities, *, task_queue: str) -> Worker:
    """Return the worker of notifications, with slots and a queue of its own; not yet running."""
    return Worker(
        client,
        task_queue=queue_of(task_queue),
        workflows=[NotificationWorkflow],
        activities=_activities_of(hands),
        workflow_runner=RUNNER,
        graceful_shutdown_timeout=TAKEOVER,  # what hangs may not keep a worker from stopping
        max_cached_workflows=100,
        max_concurrent_activity_task_polls=2,
        max_concurrent_workflow_task_polls=2,
    )


def _activities_of(hands: object) -> list[Callable[..., Any]]:
    """Return the methods that `@activity.defn` has marked."""
    methods = [method for _, method in inspect.getmembers(hands, inspect.ismethod)]
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


async def register_search_attributes(client: Client) -> bool:
    """Make the server know our search attributes; return whether it does.

    Where that is not permitted (Temporal Cloud, say), log the command that does it, and go on.
    """
    wanted = {key.name: key.indexed_value_type for key in ATTRIBUTES}
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes={
                    name: IndexedValueType.ValueType(kind) for name, kind in wanted.items()
                },
            )
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            logger.warning("%s; go on without. Register them by: %s", error.message, _command())
            return False
    return True


def _command() -> str:
    kinds = {key.name: key.indexed_value_type.name.title() for key in ATTRIBUTES}
    flags = " ".join(f"--name {name} --type {kind}" for name, kind in kinds.items())
    return f"temporal operator search-attribute create {flags}"


async def run(settings: Settings) -> None:
    """Work until SIGINT or SIGTERM, then let running activities end.

    Raises:
        Unreachable: No Temporal server answers.
        Unavailable: The database does not, or it has the tables of another release.
    """
    database = Database(settings.database_url)
    await database.probe()
    spans = tracing.begin(settings.tracing, service="rampart-worker")
    runtime = meters.runtime(settings.metrics_address, buckets=BUCKETS)
    client = await connect(interceptors=spans.interceptors, runtime=runtime)
    known = await register_search_attributes(client)
    worker = build_worker(
        client,
        RolloutActivities(RolloutManager(database), search_attributes=known),
        TrialActivities(TrialManager(database), search_attributes=known),
        SegmentActivities(SegmentManager(database), search_attributes=known),
        MonitorActivities(MonitorManager(database)),
        RetentionActivities(RetentionManager(database)),
        ReconciliationActivities(Reconciler(database)),
        task_queue=settings.task_queue,
        deployment=version_of(settings),
    )
    await RetentionControl(client, task_queue=settings.task_queue).ensure()
    await ReconcileControl(client, task_queue=settings.task_queue).ensure()
    gc.collect()
    gc.freeze()  # what is loaded by now stays: looking through it again and again is wasted
    notifying = _beside(_notify(settings, client, database))
    async with _with_redis(settings.redis_url, database), worker, notifying:
        logger.info("worker.ready", extra={"task_queue": settings.task_queue})
        await _until_told_to_stop()
    await database.dispose()
    await asyncio.sleep(0.05)  # leaving at once can crash the interpreter: sdk-python#300


@contextlib.asynccontextmanager
async def _with_redis(url: str, database: Database) -> AsyncIterator[None]:
    """Where there is a Redis: tell it of changes, and count the events that wait in it."""
    if not url:
        yield
        return
    client = broker.connect(url)
    try:
        async with Publisher(client, database), Drain(client, MetricsCollector(database)):
            yield
    finally:
        await client.aclose()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work beside the rest, and end with it. Should it die, the rest goes on without."""
    task = asyncio.create_task(work)
    task.add_done_callback(_log_death)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _log_death(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("%s died", task.get_coro(), exc_info=error)


async def _notify(settings: Settings, client: Client, database: Database) -> None:
    """Tell the targets of the settings what journals say, until cancelled.

    A mistake in the settings stops nothing else: what there is to tell waits until it is mended.
    """
    try:
        directory = Directory.read(settings.notify, settings.notify_file)
        reporter = Reporter(database, ui=settings.ui_url, namespace=client.namespace)
        post = await asyncio.to_thread(
            Post,
            directory,
            ui=settings.ui_url,
            namespace=client.namespace,
            enclose=Enclosing(reporter).enclose,
        )
    except InvalidValue as error:
        logger.error("nobody is notified until this is mended: %s", error)
        return
    for problem in post.wording.problems():
        logger.warning("our own words are used for: %s", problem)
    outbox, queue = Outbox(database), settings.task_queue
    async with contextlib.AsyncExitStack() as stack:
        if post.targets:
            hands = NotificationActivities(outbox, post)
            await stack.enter_async_context(build_notifier(client, hands, task_queue=queue))
        courier = Courier(client, outbox, task_queue=queue, wanted=bool(post.targets))
        await stack.enter_async_context(courier)
        await asyncio.Event().wait()


async def _until_told_to_stop() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


def main() -> None:
    """Run one worker, as `rampart worker` does."""
    settings = Settings.from_env()
    logs.set_up(settings.log_format)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
