"""Who was given what, recorded behind the back of those who ask."""

import asyncio
from contextlib import suppress
from itertools import islice
from typing import Self

from domain.errors import DomainError
from domain.experiments import ABTestManager
from domain.limits import BATCH_LIMIT
from domain.routing import OUTAGES
from domain.snapshot import Assignment
from gateway.limits import Limits
from gateway.telemetry import Telemetry

REMEMBERED = 100_000  # users of epochs that are recorded already, and not told again

Given = dict[tuple[int, str], str]  # version by epoch and user


class ExposureLog:
    """Records exposures in the background, in batches, while it is entered.

    What is waiting is lost when the process is killed, and what comes while too many are waiting is
    dropped: whether the split of users is right is judged on those that are left, and a loss that
    does not look at the version leaves it right. Nobody waits for a record.
    """

    def __init__(self, experiments: ABTestManager, telemetry: Telemetry, *, limits: Limits) -> None:
        self._experiments = experiments
        self._telemetry = telemetry
        self._limit = limits.exposures
        self._flush_s = limits.flush.total_seconds()
        self._waiting: dict[str, Given] = {}
        self._count = 0
        self._recorded: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    @property
    def waiting(self) -> int:
        """How many are to be recorded."""
        return self._count

    def note(self, user_id: str, assignment: Assignment) -> None:
        """Have it recorded that the user was given this, if an experiment had a say in it."""
        experiment_id, epoch = assignment.experiment_id, assignment.epoch
        if experiment_id is None or epoch is None or assignment.version is None:
            return
        if hash((experiment_id, epoch, user_id)) in self._recorded:
            return
        given = self._waiting.setdefault(experiment_id, {})
        if (epoch, user_id) in given:
            return
        if self._count >= self._limit:
            self._telemetry.exposures_dropped.inc()
            return
        given[epoch, user_id] = assignment.version
        self._count += 1

    async def flush(self) -> None:
        """Record what is waiting; what the database cannot take now goes on waiting."""
        for experiment_id in list(self._waiting):
            given = self._waiting.pop(experiment_id)
            self._count -= len(given)
            while given:
                batch = dict(islice(given.items(), BATCH_LIMIT))
                try:
                    await self._record(experiment_id, batch)
                except OUTAGES:
                    self._keep(experiment_id, given)
                    return
                for key in batch:
                    del given[key]

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self._flush_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.set()
        if self._task is not None:
            await self._task

    async def _flush_on(self) -> None:
        while not self._left.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), self._flush_s)
            await self.flush()

    async def _record(self, experiment_id: str, batch: Given) -> None:
        told = [(user_id, version, epoch) for (epoch, user_id), version in batch.items()]
        try:
            await self._experiments.record_exposures(experiment_id, told)
        except DomainError:  # the experiment is gone
            self._telemetry.exposures_dropped.inc(len(told))
            return
        self._telemetry.exposures_recorded.inc(len(told))
        if len(self._recorded) + len(told) > REMEMBERED:
            self._recorded.clear()
        self._recorded.update(hash((experiment_id, epoch, user_id)) for user_id, _, epoch in told)

    def _keep(self, experiment_id: str, given: Given) -> None:
        """Put back what could not be recorded; what was first given stays."""
        since = self._waiting.get(experiment_id, {})
        room = self._limit - self._count
        kept = dict(islice(given.items(), room))
        self._telemetry.exposures_dropped.inc(len(given) - len(kept))
        self._waiting[experiment_id] = since | kept
        self._count += len(self._waiting[experiment_id]) - len(since)
