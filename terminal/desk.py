"""What an operator's command works with: Temporal, the database, and who is asking."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from pydantic import JsonValue
from temporalio.service import RPCError

from control.connection import NoRollout, Unreachable, address, connect, namespace
from control.picture import Picture, Viewer
from control.rollouts import NOTHING, TELLING, Control, Description
from domain.database import Database
from domain.errors import NotFound
from domain.plan import RolloutRequest
from domain.record import Decision, Rollout
from domain.rollouts import RolloutManager
from domain.versions import VersionManager
from settings import UI_OFFSET, Settings
from terminal import watch
from terminal.watch import Show
from workflows.answers import Changed
from workflows.commands import Verb

LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Open connections. `ui` is Temporal's web UI; empty when it is not known."""

    settings: Settings
    control: Control
    database: Database
    viewer: Viewer
    ui: str


@asynccontextmanager
async def at_desk() -> AsyncIterator[Desk]:
    """Connect to Temporal and the database of the settings.

    Raises:
        Unreachable, Unavailable: One of them does not answer.
    """
    settings = Settings.from_env()
    async with storage() as database:
        client = await connect()
        ui = settings.ui_url or _local_ui(client.service_client.config.target_host)
        queue = settings.task_queue
        try:
            yield Desk(
                settings=settings,
                control=Control(client, task_queue=queue, leader=RolloutManager(database).leader),
                database=database,
                viewer=Viewer(client, database, queue=queue, ui=ui),
                ui=ui,
            )
        except RPCError as error:
            raise Unreachable(f"Temporal does not answer: {error.message}") from error


@asynccontextmanager
async def storage() -> AsyncIterator[Database]:
    """Open the database of the settings, and have Redis, if there is one, told of changes.

    Raises:
        Unavailable: It does not answer; asked now, before anything is begun elsewhere.
    """
    settings = Settings.from_env()
    database = Database(settings.database_url)
    async with AsyncExitStack() as undo:
        undo.push_async_callback(database.dispose)
        await database.probe()
        if settings.redis_url:
            from domain import broker
            from domain.broadcast.publisher import Publisher

            redis = await undo.enter_async_context(broker.connect(settings.redis_url))
            database.announce_to(Publisher(redis, database).announce)
        yield database


async def start(request: RolloutRequest, *, key: str = "") -> Picture:
    """Start a rollout, once for each key, and return how it stands once it is open."""
    async with at_desk() as desk:
        await desk.control.start(request, key=key)
        return await desk.viewer.look(request.name, request.prompt_type)


async def order(  # who, why and once go with every verb
    verb: Verb,
    name: str,
    prompt_type: str,
    *,
    reason: str,
    by: str,
    key: str = "",
    asked: Mapping[str, JsonValue] = NOTHING,
) -> Changed:
    """Send a verb to the live rollout and return its answer; Temporal alone is asked, if it knows.

    Raises:
        NoRollout: There is none; where production can be reverted instead, it says how.
        Unreachable: Temporal does not answer; what a rollback can do without, it says.
    """
    try:
        queue = Settings.from_env().task_queue
        control = Control(await connect(), task_queue=queue, leader=_leader)
        return await control.order(
            verb, name, prompt_type, reason=reason, by=by, key=key, asked=asked
        )
    except Unreachable as error:
        if verb is not Verb.ROLLBACK:
            raise
        without = f"`rampart rollback {name}.{prompt_type} --direct`"
        raise Unreachable(f"{error}; to roll back without it: {without}") from error
    except NoRollout as error:
        if verb is not Verb.ROLLBACK:
            raise
        async with storage() as database:
            why = reason or "its workflow was gone"
            manager = RolloutManager(database)
            if await manager.roll_back_prompt(name, prompt_type, reason=why, by=by):
                return Changed(said="rolled back in the database: its workflow was gone")
            raise NoRollout(f"{error}{await _instead(database, name, prompt_type)}") from error


async def _leader(name: str, prompt_type: str) -> Rollout | None:
    async with storage() as database:
        return await RolloutManager(database).leader(name, prompt_type)


async def roll_back_directly(name: str, prompt_type: str, *, reason: str, by: str) -> str:
    """Roll back in the database, then tell the workflow, if Temporal is there; say what was done.

    Raises:
        NoRollout: None is live; where production can be reverted instead, it says how.
        RollbackIncomplete: Users are on the baseline; something else could not be restored.
    """
    async with storage() as database:
        manager = RolloutManager(database)
        try:
            proof = await manager.roll_back_directly(name, prompt_type, reason=reason, by=by)
        except NotFound as error:
            raise NoRollout(f"{error}{await _instead(database, name, prompt_type)}") from error
    told = await _tell(name, prompt_type, reason=proof.reason, by=by)
    then = "its workflow was told" if told else "its workflow was not reached, and will find it so"
    return f"rolled back directly, and read back: all is as before; {then}"


async def _tell(name: str, prompt_type: str, *, reason: str, by: str) -> bool:
    try:
        async with asyncio.timeout(TELLING.total_seconds()):
            client = await connect()
    except (Unreachable, TimeoutError):
        return False
    control = Control(client, task_queue=Settings.from_env().task_queue, leader=_leader)
    return await control.tell(name, prompt_type, reason=reason, by=by)


async def look(name: str, prompt_type: str) -> Picture:
    """Return the prompt's live rollout, else its latest."""
    async with at_desk() as desk:
        return await desk.viewer.look(name, prompt_type)


async def follow(name: str, prompt_type: str, *, show: Show) -> Picture:
    """Show the prompt's rollout until it has ended; return the last picture."""
    async with at_desk() as desk:
        return await watch.follow(desk.viewer, name, prompt_type, show=show)


async def keep_watch(name: str, prompt_type: str) -> Picture:
    """Show the prompt's rollout until it has ended, and send what keys stand for.

    Raises:
        KeyboardInterrupt: Somebody left before that.
    """
    from terminal.lookout import Lookout

    by = Settings.from_env().operator

    async def send(verb: Verb, reason: str) -> str:
        return (await order(verb, name, prompt_type, reason=reason, by=by)).said

    async with at_desk() as desk:
        lookout = Lookout(
            follow=lambda show: watch.follow(desk.viewer, name, prompt_type, show=show), send=send
        )
        last = await lookout.until_over()
    if last is None:
        raise KeyboardInterrupt
    return last


async def every_rollout(*, live: bool, limit: int) -> list[Description]:
    """Return the live rollouts, then those that have ended unless `live`, the latest first."""
    async with at_desk() as desk:
        found = await desk.control.list(limit=limit, live=True)
        opened = {
            each.workflow_id: each.opened_at
            for each in await RolloutManager(desk.database).list(limit=limit)
            if each.concluded_at is None
        }
        # Temporal knows since when its run lasts, and a long rollout has many.
        found = [
            replace(each, started_at=opened.get(each.workflow_id, each.started_at))
            for each in found
        ]
        if live or len(found) >= limit:
            return found
        return found + await desk.control.list(limit=limit - len(found), live=False)


async def decisions(name: str, prompt_type: str) -> Sequence[Decision]:
    """Return the journal of the prompt's latest rollout; the database alone is asked.

    Raises:
        NoRollout: It never had one.
    """
    async with storage() as database:
        manager = RolloutManager(database)
        for latest in await manager.list(name, prompt_type, limit=1):
            return await manager.decisions(latest.id)
    raise NoRollout(f"no rollout of {name}.{prompt_type} is known: start one with `rampart start`")


async def _instead(database: Database, name: str, prompt_type: str) -> str:
    """Name the command that changes production without a rollout, if it would."""
    moves = await VersionManager(database).tag_history(name, prompt_type)
    if len({move.version_id for move in moves if move.version_id}) < 2:
        return ""
    return (
        "; to return production to the version before, use"
        f" `rampart version revert {name}.{prompt_type}`"
    )


def temporal_ui() -> tuple[str, str]:
    """Return Temporal's web UI, empty when unknown, and the namespace; nobody is asked.

    Raises:
        Unreachable: Temporal's configuration cannot be read.
    """
    return Settings.from_env().ui_url or _local_ui(address()), namespace()


def _local_ui(target: str) -> str:
    host, _, port = target.partition(":")
    return f"http://{host}:{int(port) + UI_OFFSET}" if host in LOCAL and port.isdigit() else ""
