"""Who was given what by a process that assigns from memory: noted at once, recorded soon after."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Self

from domain.database import Database
from domain.errors import DomainError, InvalidValue
from domain.events import TEXT_LIMIT
from domain.experiments import ABTestManager
from domain.exposures import BATCH_LIMIT, Exposure
from domain.fields import check_text
from domain.routing import OUTAGES
from domain.snapshot import Assignment

CAPACITY = 100_000  # users
EVERY = timedelta(seconds=1)

Key = tuple[str, str | None, int | None]  # user, experiment, epoch

logger = logging.getLogger(__name__)


class ExposureRecorder:
    """Notes who was assigned what, and records it every so often while it is entered.

    A user is recorded once per assignment, however often they come. Any thread may note; flushing
    is for the event loop that entered.
    """

    def __init__(
        self,
        storage: Database | ABTestManager | None = None,
        *,
        capacity: int = CAPACITY,
        every: timedelta = EVERY,
    ) -> None:
        """Take whom to tell.

        Args:
            storage: As for every manager; or the manager itself.
            capacity: How many may wait before others are dropped, > 0; while it is entered, that is
                looked at with each flush. As many are remembered after they were recorded, so that
                they are not told again and again.
            every: How long a user waits, > 0.

        Raises:
            InvalidValue: One of them is not > 0.
        """
        if capacity <= 0 or every <= timedelta():
            raise InvalidValue(f"capacity and every must be > 0, got {capacity} and {every}")
        if not isinstance(storage, ABTestManager):
            storage = ABTestManager(storage)
        self._experiments = storage
        self._capacity = capacity
        self._every = every.total_seconds()
        self._noted: dict[str, Assignment] = {}
        self._others: dict[Key, Assignment] = {}  # of users who are in `_noted` with another
        self._told: set[Key] = set()
        self._due: dict[str, list[Exposure]] = {}
        self._careful = True
        self._dropped = self._recorded = 0
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    @property
    def dropped(self) -> int:
        """How often somebody was not recorded: no room, an unstorable id, a deleted experiment."""
        return self._dropped

    @property
    def recorded(self) -> int:
        """How many the database was told of."""
        return self._recorded

    @property
    def waiting(self) -> int:
        """How many it is to be told of."""
        return len(self._noted) + len(self._others) + sum(map(len, self._due.values()))

    def note(self, assignment: Assignment, user_id: str) -> None:
        """Have the user recorded with what they were assigned, if an experiment did it.

        Never raises, and never waits.
        """
        try:
            # One lookup, and nothing made that the garbage collector would have to look at: that,
            # a set for each assignment, or asking for room here would double what assigning costs.
            if assignment.experiment_id is not None and (
                self._careful or self._noted.setdefault(user_id, assignment) is not assignment
            ):
                self._note_with_care(assignment, user_id)
        except TypeError:  # an id without a hash
            self._dropped += 1

    async def flush(self) -> int:
        """Record everybody noted until now, and return how many the database did not know.

        Raises:
            Unavailable: The database is away; who is not recorded yet goes on waiting.
        """
        async with self._flushing:
            self._collect()
            try:
                return sum([await self._record(experiment_id) for experiment_id in [*self._due]])
            finally:
                entered = self._task is not None
                self._careful = not entered or self.waiting >= self._capacity

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self._keep_flushing())
        self._careful = False
        return self

    async def __aexit__(self, *_: object) -> None:
        """Record who still waits; whom the database does not take now are dropped."""
        self._left.set()
        if self._task is not None:
            await self._task
        self._task = None
        with suppress(*OUTAGES):
            await self.flush()
        self._dropped += self.waiting
        for waiting in (self._noted, self._others, self._due):
            waiting.clear()

    async def _keep_flushing(self) -> None:
        while not self._left.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._every)
            with suppress(*OUTAGES):
                await self.flush()

    def _note_with_care(self, assignment: Assignment, user_id: str) -> None:
        """Note if there is room: also users of several experiments, or of two epochs at a time."""
        if not _storable(user_id) or self.waiting >= self._capacity:
            self._dropped += 1
        elif self._noted.setdefault(user_id, assignment) is not assignment:
            self._others.setdefault(_key(assignment, user_id), assignment)

    def _collect(self) -> None:
        """Move who was noted, and not told before, to those due; threads may go on noting."""
        if len(self._told) > self._capacity:
            self._told.clear()
        for _ in range(len(self._noted)):
            user_id, assignment = self._noted.popitem()
            self._fall_due(assignment, user_id)
        for _ in range(len(self._others)):
            (user_id, *_), assignment = self._others.popitem()
            self._fall_due(assignment, user_id)

    def _fall_due(self, assignment: Assignment, user_id: str) -> None:
        key = _key(assignment, user_id)
        if key in self._told:
            return
        if not _storable(user_id):
            self._dropped += 1
            return
        self._told.add(key)
        exposure = Exposure(user_id, assignment.version or "", assignment.epoch or 0)
        self._due.setdefault(assignment.experiment_id or "", []).append(exposure)

    async def _record(self, experiment_id: str) -> int:
        """Tell who is due of one experiment; what it refuses is dropped."""
        new, exposures = 0, self._due[experiment_id]
        while batch := exposures[:BATCH_LIMIT]:
            try:
                new += await self._experiments.record_exposures(experiment_id, batch)
                self._recorded += len(batch)
            except DomainError as error:  # the experiment was deleted since
                logger.warning("%d exposures are not recorded: %s", len(batch), error)
                self._dropped += len(batch)
            del exposures[: len(batch)]
        del self._due[experiment_id]
        return new


def _key(assignment: Assignment, user_id: str) -> Key:
    return user_id, assignment.experiment_id, assignment.epoch


def _storable(user_id: object) -> bool:
    try:
        check_text(user_id, field="user_id")
    except InvalidValue:
        return False
    return 0 < len(str(user_id)) <= TEXT_LIMIT
