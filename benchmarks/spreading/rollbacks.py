"""Rollbacks, one after the other, and how long each takes to the last of the processes."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from benchmarks.spreading.processes import BARE_CHANNEL, CANDIDATE, PROMPT, Processes, Way
from domain import broker
from domain.broadcast.publisher import Publisher
from domain.database import Database, Prompt
from domain.plan import RolloutRequest, preset
from domain.prompts import VersionStatus
from domain.rollouts import RolloutManager
from domain.versions import VersionManager

POLL_S = 1.0  # of the routers; a rollback falls anywhere into it


@dataclass(frozen=True)
class Spread:
    """How long after the commit of its first step a rollback was served, in ms.

    Attributes:
        last_ms: By the last of the processes, of each rollback.
        each_ms: By each of them, of all rollbacks.
    """

    last_ms: list[float]
    each_ms: list[float]

    @staticmethod
    def of(seen: Iterable[tuple[int, list[int]]]) -> "Spread":
        """Take when each rollback was committed, and when each process served it, in ns."""
        each = [[(at - committed) / 1e6 for at in served] for committed, served in seen]
        return Spread([max(served) for served in each], [ms for served in each for ms in served])


class Operator:
    """Opens, ramps and rolls back, and knows when users' return was committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rollouts = RolloutManager(database)
        self._commits: list[int] = []

    async def furnish(self) -> None:
        """Put a baseline in production, and a candidate beside it."""
        versions = VersionManager(self._database)
        first = await versions.create_version(*PROMPT, "Hello", "1.0.0")
        await versions.tag_version(first.version_id, "production")
        await versions.update_status(first.version_id, VersionStatus.PRODUCTION)
        await versions.create_version(*PROMPT, "Hi", CANDIDATE, status=VersionStatus.ACTIVE)

    def tell(self, announce: Callable[[frozenset[Prompt]], Awaitable[None]] | None) -> None:
        """Note when a commit returned, and only then announce it, if it is to be announced."""

        async def noted(prompts: frozenset[Prompt]) -> None:
            self._commits.append(time.monotonic_ns())
            if announce is not None:
                await announce(prompts)

        self._database.announce_to(noted)

    async def ramp(self, key: str) -> str:
        """Begin a rollout at 50 % and return its id."""
        plan = preset("demo")
        stages = (plan.stages[0].model_copy(update={"percent": 50}), *plan.stages[-1:])
        plan = plan.model_copy(update={"stages": stages})
        request = RolloutRequest(
            name=PROMPT[0], prompt_type=PROMPT[1], candidate=CANDIDATE, plan=plan
        )
        rollout = await self._rollouts.open(request, key=key)
        await self._rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
        return rollout.id

    async def roll_back(self, rollout_id: str) -> int:
        """Roll back and return when its first step was committed, in ns: users go back first."""
        self._commits.clear()
        await self._rollouts.roll_back(rollout_id, reason="benchmark")
        return self._commits[0]


async def spread(
    processes: Processes, way: Way, *, times: int, database_url: str, redis_url: str
) -> Spread:
    """Roll back so many times."""
    async with AsyncExitStack() as stack:
        database = Database(database_url)
        stack.push_async_callback(database.dispose)
        operator = Operator(database)
        operator.tell(None)
        if way is Way.REDIS:
            client = await stack.enter_async_context(broker.connect(redis_url))
            publisher = await stack.enter_async_context(Publisher(client, database))
            operator.tell(publisher.announce)
        await stack.enter_async_context(processes)
        seen = []
        for number in range(times):
            rollout_id = await operator.ramp(f"{way}-{number}")
            await processes.all_treat(True)
            await asyncio.sleep(random.uniform(0, POLL_S if way is Way.POLLING else 0.02))  # noqa: S311
            committed = await operator.roll_back(rollout_id)
            seen.append((committed, await processes.all_treat(False)))
        return Spread.of(seen)


async def spread_bare(processes: Processes, *, times: int, redis_url: str) -> Spread:
    """Publish one byte so many times: as fast as it gets."""
    async with broker.connect(redis_url) as client, processes:
        seen = []
        await processes.all_treat(True)
        for _ in range(times):
            await client.publish(BARE_CHANNEL, "1")
            await processes.all_treat(True)
            await asyncio.sleep(0.02)
            began = time.monotonic_ns()
            await client.publish(BARE_CHANNEL, "0")
            seen.append((began, await processes.all_treat(False)))
        return Spread.of(seen)
