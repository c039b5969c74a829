"""Simulated users: each asks what to serve, is served, and reports how it went."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

from domain.errors import Unavailable
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.prompts import MetricEvent
from domain.routing import Router

USERS = 50_000
PER_SECOND = 500
TICK_S = 0.1
SLOWEST_S = 2.0


class Traffic:
    """Sends users through the assignment and the event path that all use, while it is entered.

    Its random numbers are its own, so that a seed gives the same users in the same order.
    """

    def __init__(
        self,
        router: Router,
        collector: MetricsCollector,
        experiments: ABTestManager,
        *,
        prompt: tuple[str, str],
        health: Mapping[str, float],
        seed: int,
        per_second: int = PER_SECOND,
    ) -> None:
        """Take whom to ask and whom to tell.

        Args:
            router: Kept fresh by its owner.
            collector: Told of every use.
            experiments: Told who was given what.
            prompt: Name and type.
            health: By version, the share of uses that succeed, 0 to 1; looked up at each use.
            seed: Of the users and of their luck.
            per_second: How many come.
        """
        self._router = router
        self._collector = collector
        self._experiments = experiments
        self._prompt = prompt
        self._health = health
        self._random = random.Random(seed)  # noqa: S311  # reproducible, and guards no secret
        self._seed = seed
        self._per_tick = round(per_second * TICK_S)
        self._sent = 0
        self._exposures: dict[str, list[tuple[str, str, int]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._left = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._left.clear()
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._left.set()
        if self._task is not None:
            await self._task

    async def _send(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while not self._left.is_set():
            uses = [self._use() for _ in range(self._per_tick)]
            await self._report([use for use in uses if use is not None])
            due = max(due + TICK_S, clock())
            await asyncio.sleep(due - clock())

    def _use(self) -> MetricEvent | None:
        """Let one user come; None if there is nothing to serve yet."""
        user = f"user-{self._random.randrange(USERS)}"
        served = self._router.assign(*self._prompt, user)
        if served.version_id is None or served.version is None:
            return None
        self._sent += 1
        if served.experiment_id is not None and served.epoch is not None:
            exposure = (user, served.version, served.epoch)
            self._exposures.setdefault(served.experiment_id, []).append(exposure)
        return MetricEvent(
            version_id=served.version_id,
            timestamp=datetime.now(UTC),
            success=self._random.random() < self._health[served.version],
            response_time=min(self._random.lognormvariate(-1.0, 0.4), SLOWEST_S),
            tokens=self._random.randrange(80, 400),
            event_id=f"demo-{self._seed}-{self._sent}",
            user_id=user,
            experiment_id=served.experiment_id,
        )

    async def _report(self, batch: list[MetricEvent]) -> None:
        """Report until it is counted: users and the ids of events make repeating harmless."""
        exposures, self._exposures = self._exposures, {}
        while batch and not self._left.is_set():
            try:
                for experiment_id, given in exposures.items():
                    await self._experiments.record_exposures(experiment_id, given)
                await self._collector.record_events(batch)
            except Unavailable:
                await asyncio.sleep(TICK_S)
            else:
                return
