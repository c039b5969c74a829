"""Composition root of the gateway: database, Redis, Temporal, and a server for it all."""

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import uvicorn
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from control.connection import Unreachable, namespace
from control.payloads import remote_codec
from control.reach import Temporal
from domain import broker
from domain.broadcast.publisher import Publisher
from domain.broadcast.source import updates_of
from domain.census import CensusManager
from domain.database import Database
from domain.errors import WrongRevision
from domain.experiments import ABTestManager
from domain.intake.direct import DirectIntake
from domain.intake.intake import Intake
from domain.intake.stream import Stream
from domain.intake.streaming import StreamIntake
from domain.metrics import MetricsCollector
from domain.rollouts import RolloutManager
from domain.routing import OUTAGES
from domain.segments.audience import SegmentRouter
from domain.tokens import Keyring, TokenManager
from domain.versions import VersionManager
from gateway.app import Gateway, Services
from gateway.dashboard.demo import Demo
from gateway.health import Check
from gateway.vitals import Vitals, intake_gauges
from reports.reporter import Reporter
from settings import Settings
from telemetry import logs
from telemetry.tracing import Tracing, Untraced, begin

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=5)  # with a database at the start
GRACE = timedelta(seconds=10)  # for requests under way when it is told to stop
START = timedelta(minutes=1)  # a process that loads for longer is taken for a hung one
KEEP_ALIVE = timedelta(seconds=75)  # longer than load balancers keep a connection
BACKLOG = 2048
COLLECT = (10_000, 20, 50)  # when garbage is looked for: events come by the thousand, acyclic


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a gateway is served.

    Attributes:
        workers: Processes that share the port; limits and metrics are each one's own.
        open: Let everybody in who can reach it.
        origins: Of web pages whose scripts may ask.
        demo: A file that the demo is switched by; empty everywhere else.
        codec: Open sealed payloads for operators, at `/codec`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    open: bool = False
    origins: tuple[str, ...] = ()
    codec: bool = False
    demo: str = ""


class Intakes:
    """How events come in: through Redis where there is one, else straight into the database."""

    def __init__(self, database: Database, *, redis_url: str) -> None:
        direct = DirectIntake(MetricsCollector(database))
        self._database = database
        self._waiting: tuple[DirectIntake | StreamIntake, ...] = (direct,)
        self.intake: Intake = direct
        self.resources: tuple[AbstractAsyncContextManager[object], ...] = ()
        self.checks: dict[str, Check] = {"database": self._database_answers}
        self._client = broker.connect(redis_url) if redis_url else None
        if self._client is not None:
            streamed = StreamIntake(self._client, direct)
            self.intake, self._waiting = streamed, (direct, streamed)
            self.resources = (aclosing(self._client), Publisher(self._client, database))
            self.checks["redis"] = self._redis_answers

    async def measured(self) -> Sequence[Metric]:
        """Return what `/metrics` shows of events on their way; less of it while Redis is away."""
        backlog = None
        if self._client is not None:
            with suppress(*broker.OUTAGES):
                backlog = await Stream(self._client).backlog()
        return intake_gauges(sum(each.waiting for each in self._waiting), backlog)

    async def _database_answers(self) -> str:
        try:
            await self._database.probe()
        except OUTAGES as error:
            return str(error).splitlines()[0]
        return ""

    async def _redis_answers(self) -> str:
        try:
            aside = (await Stream(self._client).backlog()).aside if self._client else 0
        except broker.OUTAGES as error:
            return f"Redis does not answer, events go into the database: {error}"
        return f"{aside} batches of events could not be counted and are set aside" if aside else ""


def build(
    settings: Settings, options: Options, *, spans: Tracing | Untraced | None = None
) -> Gateway:
    """Return a gateway that works with what the settings name; nothing is reached yet.

    Args:
        settings: Of this process.
        options: How it is served.
        spans: Whether and how it makes spans; by default none.

    Raises:
        InvalidValue: The settings name no database, Redis or keys there could be.
    """
    spans = spans or Untraced()
    database = Database(settings.database_url)
    tokens = TokenManager(database)
    router = _router(settings, database)
    intakes = Intakes(database, redis_url=settings.redis_url)
    return Gateway(
        Services(
            database=database,
            router=router,
            intake=intakes.intake,
            operators=_temporal(settings, database, spans),
            versions=VersionManager(database),
            experiments=ABTestManager(database),
            rollouts=RolloutManager(database),
            reporter=_reporter(settings, database),
            tokens=tokens,
            keyring=None if options.open else Keyring(tokens),
            visitor=settings.operator,
            resources=(_disposed(database), *intakes.resources, router),
            checks=intakes.checks,
            measures=(Vitals(CensusManager(database)).measured, intakes.measured),
            codec=remote_codec(settings.payload_keys, wanted=options.codec),
            demo=_switch(options.demo),
        ),
        origins=options.origins,
        spans=spans.provider,
    )


def _router(settings: Settings, database: Database) -> SegmentRouter:
    updates = updates_of(database, redis_url=settings.redis_url)
    return SegmentRouter(database, updates=updates)


def _temporal(settings: Settings, database: Database, spans: Tracing | Untraced) -> Temporal:
    queue, ui = settings.task_queue, settings.ui_url
    return Temporal(database, queue=queue, ui=ui, interceptors=spans.interceptors)


def _reporter(settings: Settings, database: Database) -> Reporter:
    try:
        known = namespace()
    except Unreachable:  # which every page that needs Temporal says; a report goes without links
        return Reporter(database)
    return Reporter(database, ui=settings.ui_url, namespace=known)


def _switch(path: str) -> Demo | None:
    if not path:
        return None
    from embedded.switch import Switch

    return Switch(Path(path))


def application(settings: Settings, options: Options) -> ASGIApp:
    """Return what a server serves, in a process that does nothing else."""
    logs.set_up(settings.log_format)
    app = build(settings, options, spans=begin(settings.tracing, service="rampart-gateway")).app
    _settle()
    return app


def _settle() -> None:
    """Spare the collector what is there to stay: looking through it takes 0.1 s each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT)


def serve(settings: Settings, options: Options) -> None:
    """Serve until SIGINT or SIGTERM, then let requests under way end.

    A database that is away is waited for; one of another release is not.

    Raises:
        InvalidValue: The settings name no database there could be.
        WrongRevision: The database has the tables of another release.
        OSError: The address is taken, or not ours.
    """
    logs.set_up(settings.log_format)
    build(settings, options)  # what is wrong with the settings is told before anything is served
    asyncio.run(_look_at(Database(settings.database_url)))
    listener = _bound(options)
    config = uvicorn.Config(
        partial(application, settings, options),
        factory=True,
        host=options.host,
        port=options.port,
        workers=options.workers,
        loop="auto",
        http="auto",
        log_config=None,  # its lines go where ours go
        access_log=False,  # it would write tickets
        server_header=False,
        timeout_worker_healthcheck=int(START.total_seconds()),
        timeout_keep_alive=int(KEEP_ALIVE.total_seconds()),
        timeout_graceful_shutdown=int(GRACE.total_seconds()),
        backlog=BACKLOG,
    )
    if options.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


async def _look_at(database: Database) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE.total_seconds()):
            try:
                await database.probe()
            except WrongRevision:
                raise
            except OUTAGES as error:
                logger.warning("gateway.no_database", extra={"error": str(error)})
            finally:
                await database.dispose()


def _bound(options: Options) -> socket.socket:
    where = f"{options.host}:{options.port}"
    try:
        found, *_ = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"cannot listen at {where}: {error.strerror}") from error
    listener = socket.socket(*found[:2])
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(found[4])
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen at {where}: {error.strerror}") from error
    listener.set_inheritable(True)
    return listener


@asynccontextmanager
async def _disposed(database: Database) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await database.dispose()
