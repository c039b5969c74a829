"""A furnished house for stories about rollouts: one prompt, its versions, its users."""

from collections.abc import Sequence
from datetime import UTC, datetime

from domain import (
    ABTestManager,
    MetricEvent,
    MetricsCollector,
    PromptVersion,
    VersionManager,
    VersionStatus,
)
from domain.database import Database
from domain.guardrail import Guardrail, GuardrailKind
from domain.plan import RolloutPlan, RolloutRequest, preset
from domain.record import Rollout
from domain.rollouts import RolloutManager
from domain.routing import RoutingManager

USERS = [f"user-{number}" for number in range(2_000)]

BY_THRESHOLD = preset("demo").model_copy(
    update={"guardrails": (Guardrail(kind=GuardrailKind.THRESHOLD),)}
)


class House:
    """A prompt `greeting.system` with 1.0.0 in production and 1.1.0 to roll out."""

    def __init__(self, database: Database, *, name: str = "greeting") -> None:
        self.database = database
        self.name = name
        self.versions = VersionManager(database)
        self.experiments = ABTestManager(database)
        self.metrics = MetricsCollector(database)
        self.rollouts = RolloutManager(database)
        self.routing = RoutingManager(database)

    async def furnish(self) -> None:
        async with self.database.transaction():
            await self.version("1.0.0", VersionStatus.PRODUCTION, tags=["production"])
            await self.version("1.1.0")

    async def version(
        self,
        number: str,
        status: VersionStatus = VersionStatus.ACTIVE,
        *,
        tags: Sequence[str] = (),
    ) -> PromptVersion:
        return await self.versions.create_version(
            self.name, "system", f"Hello {number}", number, status=status, tags=tags
        )

    async def put_in_production(self, number: str) -> None:
        async with self.database.transaction():
            found = await self.get(number)
            await self.versions.tag_version(found.version_id, "production")
            await self.versions.update_status(found.version_id, VersionStatus.PRODUCTION)

    async def get(self, number: str) -> PromptVersion:
        found = await self.versions.get_version(self.name, "system", number)
        assert found
        return found

    async def open(
        self, candidate: str = "1.1.0", key: str = "run-1", plan: RolloutPlan = BY_THRESHOLD
    ) -> Rollout:
        request = RolloutRequest(
            name=self.name, prompt_type="system", candidate=candidate, plan=plan
        )
        return await self.rollouts.open(request, key=key)

    async def ramped(self, stage: int, plan: RolloutPlan = BY_THRESHOLD) -> Rollout:
        rollout = await self.open(plan=plan)
        epoch = rollout.epoch
        for number in range(1, stage + 1):
            epoch = await self.rollouts.ramp(rollout.id, stage=number, epoch=epoch)
        return await self.rollouts.get(rollout.id)

    async def events(self, number: str, *, good: int, bad: int) -> None:
        version, now = await self.get(number), datetime.now(UTC)
        served, failed = (MetricEvent(version.version_id, now, success=so) for so in (True, False))
        await self.metrics.record_events([served] * good + [failed] * bad)

    async def share(self, number: str) -> float:
        """Return which part of the users gets the version now."""
        snapshot = await self.routing.snapshot(self.name, "system")
        assert snapshot
        given = [snapshot.evaluate(user).version for user in USERS]
        return given.count(number) / len(given)

    async def facts(self) -> dict[str, object]:
        """Return all that a rollback has to restore."""
        snapshot = await self.routing.snapshot(self.name, "system")
        assert snapshot
        versions = await self.versions.list_versions(self.name, "system")
        return {
            "versions": {v.version: (v.status, v.tags) for v in versions},
            "served": {user: snapshot.evaluate(user).version for user in USERS[:200]},
            "routed": snapshot.experiment_id,
        }
