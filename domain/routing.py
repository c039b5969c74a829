"""What prompts serve, read from their rows (`RoutingManager`) and served from memory (`Router`)."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Self

from mmh3 import mmh3_32_uintdigest as hash32
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from domain.broadcast.updates import Updates
from domain.composition import PRODUCTION_TAG, compose
from domain.database import Database, default_database
from domain.epochs import LIVE, claim_epoch, live_rollout, lock_prompt, routing_row
from domain.errors import Unavailable
from domain.snapshot import Answers, Assignment, Reason, RoutingSnapshot, Served
from domain.tables import RoutingRow

__all__ = [
    "LIVE",
    "PRODUCTION_TAG",
    "Assignment",
    "Reason",
    "Router",
    "RoutingManager",
    "RoutingSnapshot",
    "Served",
    "claim_epoch",
    "live_rollout",
    "lock_prompt",
]

POLL = timedelta(seconds=1)
RELAXED = 5  # times less often the database is asked by who is told
CANCEL_S = 0.1  # after which it is tried again
PATIENCE = timedelta(seconds=5)  # with the database, of a router that has snapshots from elsewhere
# A driver's own errors included: serving outlives everything that can happen to the database.
OUTAGES = (Unavailable, SQLAlchemyError, OSError)


class RoutingManager:
    """Reads what prompts serve."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()

    async def epochs(self) -> dict[tuple[str, str], int]:
        """Return the epoch of every prompt whose serving was ever changed."""
        query = select(RoutingRow.name, RoutingRow.prompt_type, RoutingRow.epoch)
        async with self._database.reading() as session:
            found = await session.exec(query.where(RoutingRow.epoch > 0))
            return {(name, prompt_type): epoch for name, prompt_type, epoch in found}

    async def snapshot(self, name: str, prompt_type: str) -> RoutingSnapshot | None:
        """Return what the prompt serves now; None if nothing was ever decided."""
        async with self._database.reading() as session:
            row = (await session.exec(routing_row(name, prompt_type))).first()
            if row is None or row.epoch == 0:
                return None
            return await compose(session, row)


class Router:
    """Assigns users from memory, and keeps its memory fresh while it is entered."""

    def __init__(
        self,
        storage: Database | None = None,
        *,
        poll: timedelta = POLL,
        updates: Updates | None = None,
    ) -> None:
        """Take where to ask, and who tells.

        Args:
            storage: Asked for epochs every so often, and for the snapshots that are newer.
            poll: How often, >= 0; while it is told of changes, five times less often.
            updates: Tells of changes as they happen (`domain.broadcast.updates_of`).
        """
        self._manager = RoutingManager(storage)
        self._poll = poll.total_seconds()
        self._updates = updates
        self._snapshots: dict[tuple[str, str], RoutingSnapshot] = {}
        self._answers: dict[str, dict[str, Answers]] = {}  # a key of two would have to be made
        self._stale = self._told = False
        self._listeners: list[Callable[[RoutingSnapshot], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._asked, self._woken, self._left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @property
    def stale(self) -> bool:
        """Whether the database could not be asked the last time it was."""
        return self._stale

    @property
    def snapshots(self) -> Mapping[tuple[str, str], RoutingSnapshot]:
        """What is held of each prompt, by name and type."""
        return self._snapshots

    def listen(self, heard: Callable[[RoutingSnapshot], None]) -> None:
        """Have `heard` called with each newer snapshot as soon as users are served by it.

        It must neither wait nor raise.
        """
        self._listeners.append(heard)

    def assign(
        self, name: str, prompt_type: str, user_id: str, *, default: str | None = None
    ) -> Assignment:
        """Return what the user is served. Never raises, whatever it is given."""
        try:
            ready = self._answers[name][prompt_type]
            # `ready.of(user_id)` written out: each call saved is a fifth of the whole.
            place = hash32(user_id.encode(), ready.salt)
            return ready.assignments[bisect_right(ready.bounds, place)]
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
            return self._assign_with_care((name, prompt_type), user_id, default=default)

    def apply(self, snapshot: RoutingSnapshot) -> bool:
        """Serve from the snapshot if it is newer than the one held; return whether it was."""
        prompt = (snapshot.name, snapshot.prompt_type)
        if snapshot.epoch <= self._epoch(prompt):
            return False
        self._snapshots[prompt] = snapshot
        self._prepare(snapshot)
        for heard in self._listeners:
            heard(snapshot)
        return True

    def hear(self, snapshot: RoutingSnapshot) -> None:
        """Serve from a snapshot that somebody tells of; what else it takes is asked for at once."""
        newer = snapshot.epoch > self._epoch((snapshot.name, snapshot.prompt_type))
        if newer and not self.apply(snapshot):
            self.wake()

    def wake(self) -> None:
        """Have the database asked now, and not only when it is time."""
        self._woken.set()

    def rely(self, told: bool) -> None:
        """Ask the database less often while changes are told of, and at once when they cease to."""
        if self._told and not told:
            self.wake()
        self._told = told

    async def refresh(self) -> None:
        """Load what has changed; if the database cannot be asked, go on with what is known."""
        held = {prompt: snapshot.epoch for prompt, snapshot in self._snapshots.items()}
        try:
            for prompt, epoch in (await self._manager.epochs()).items():
                behind = epoch < held.get(prompt, 0)
                if behind or epoch > self._epoch(prompt):
                    await self._load(prompt, over=held[prompt] if behind else None)
        except OUTAGES:
            self._mark(stale=True)
        else:
            self._mark(stale=False)

    async def __aenter__(self) -> Self:
        for event in (self._asked, self._woken, self._left):
            event.clear()
        self._tasks = [asyncio.create_task(self._keep_fresh())]
        try:
            await self._begin()
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        if self._tasks[0].done():
            await self.__aexit__()  # raises what it died of
        return self

    async def __aexit__(self, *_: object) -> None:
        """End between two refreshes: a cancelled one could pass for an outage, and be survived."""
        self._left.set()
        self._woken.set()
        fresh, *following = self._tasks
        for task in following:
            while not task.done():  # a driver may take it for an outage, and it is survived
                task.cancel()
                await asyncio.wait([task], timeout=CANCEL_S)
        await fresh

    async def _begin(self) -> None:
        """Serve from what is told while the database is asked; without updates, wait for it."""
        if self._updates is not None:
            for snapshot in await self._updates.load():
                self.hear(snapshot)
            self._tasks.append(asyncio.create_task(self._updates.follow(self)))
        with suppress(TimeoutError):
            patience = PATIENCE.total_seconds() if self._snapshots else None
            await asyncio.wait_for(self._asked.wait(), patience)

    async def _keep_fresh(self) -> None:
        while not self._left.is_set():
            self._woken.clear()
            try:
                await self.refresh()
            finally:
                self._asked.set()
            with suppress(TimeoutError):
                poll = self._poll * (RELAXED if self._told else 1)
                await asyncio.wait_for(self._woken.wait(), poll)

    async def _load(self, prompt: tuple[str, str], *, over: int | None) -> None:
        """Serve what the database says of the prompt.

        Snapshots are told of after they are committed. So one that was held before the database
        was asked, and that it is behind (`over`, its epoch), is of a database that is no more:
        of before a restore, or another one's. The database is right.
        """
        snapshot = await self._manager.snapshot(*prompt)
        if snapshot is None:
            return
        if over is not None and snapshot.epoch < over == self._epoch(prompt):
            del self._snapshots[prompt]
        self.apply(snapshot)

    def _epoch(self, prompt: tuple[str, str]) -> int:
        held = self._snapshots.get(prompt)
        return held.epoch if held else -1

    def _mark(self, *, stale: bool) -> None:
        if stale != self._stale:
            self._stale = stale
            for snapshot in self._snapshots.values():
                self._prepare(snapshot)

    def _prepare(self, snapshot: RoutingSnapshot) -> None:
        answers = self._answers.setdefault(snapshot.name, {})
        if snapshot.serves:
            answers[snapshot.prompt_type] = snapshot.answers(stale=self._stale)
        else:
            answers.pop(snapshot.prompt_type, None)

    def _assign_with_care(
        self, prompt: tuple[object, object], user_id: object, *, default: str | None
    ) -> Assignment:
        """Answer for an unknown prompt, and for a user id that is not a sound text."""
        known = all(isinstance(part, str) for part in prompt)
        snapshot = self._snapshots.get((str(prompt[0]), str(prompt[1]))) if known else None
        if snapshot is None or not snapshot.serves:
            return Assignment(None, default, Reason.UNKNOWN, snapshot.epoch if snapshot else None)
        if isinstance(user_id, str):
            return snapshot.answers(stale=self._stale).of(user_id)
        answer = replace(snapshot.unsplit(), reason=Reason.ERROR)
        return answer if snapshot.default else replace(answer, version=default)
