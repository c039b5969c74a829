"""Many prompts, a rollout on each, and users whose events are counted meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle

from domain.database import Database
from domain.metrics import MetricsCollector
from domain.plan import RolloutPlan, RolloutRequest
from domain.prompts import MetricEvent, VersionStatus
from domain.versions import VersionManager

PROMPT_TYPE = "system"
BASELINE, CANDIDATE = "1.0.0", "1.1.0"
AT_ONCE = 8  # prompts that are furnished side by side
BATCH = 20  # events of one prompt in one transaction, one of them the candidate's


class Crowd:
    """Prompts, and their users; every use succeeds, so that no rollout ends by chance."""

    def __init__(self, database: Database, *, size: int) -> None:
        """Take how many prompts there are."""
        self.names = [f"prompt-{number}" for number in range(size)]
        self.events = 0
        self._versions = VersionManager(database)
        self._collector = MetricsCollector(database)
        self._made: dict[str, tuple[str, str]] = {}

    async def furnish(self) -> None:
        """Put a baseline in production for each prompt, and a candidate beside it."""
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with turn:
                self._made[name] = (
                    await self._version(name, BASELINE, VersionStatus.PRODUCTION),
                    await self._version(name, CANDIDATE, VersionStatus.ACTIVE),
                )

        await one(self.names[0])  # which makes the tables, where they are made on first use
        await asyncio.gather(*(one(name) for name in self.names[1:]))

    def requests(self, plan: RolloutPlan) -> Iterator[RolloutRequest]:
        """Yield a request for each prompt."""
        for name in self.names:
            yield RolloutRequest(
                name=name, prompt_type=PROMPT_TYPE, candidate=CANDIDATE, plan=plan, by="benchmark"
            )

    @asynccontextmanager
    async def coming(self, per_second: float) -> AsyncIterator[None]:
        """Have users come, to one prompt after the other, until it is left."""
        task = asyncio.create_task(self._come(per_second))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _come(self, per_second: float) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        for name in cycle(self.names):
            baseline, candidate = self._made[name]
            now = datetime.now(UTC)
            versions = [candidate] + [baseline] * (BATCH - 1)
            self.events += await self._collector.record_events(
                [MetricEvent(version, now, success=True) for version in versions]
            )
            due = max(due + BATCH / per_second, clock())
            await asyncio.sleep(due - clock())

    async def _version(self, name: str, number: str, status: VersionStatus) -> str:
        made = await self._versions.create_version(
            name,
            PROMPT_TYPE,
            f"Hello from {number}",
            number,
            tags=["production"] if status is VersionStatus.PRODUCTION else [],
            status=status,
        )
        return made.version_id
