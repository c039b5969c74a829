"""Two prompts that go together: `greeting.system` leads, `farewell.system` goes along."""

from datetime import UTC, datetime

from domain import MetricEvent
from domain.bundles.companions import Companion
from domain.database import Database
from domain.plan import RolloutPlan, RolloutRequest
from domain.record import Rollout
from tests.house import BY_THRESHOLD, USERS, House

ALONG = Companion(name="farewell", prompt_type="system", candidate="1.1.0")


class Couple:
    """Two furnished houses on one database."""

    def __init__(self, database: Database) -> None:
        self.greeting = House(database)
        self.farewell = House(database, name="farewell")
        self.rollouts = self.greeting.rollouts

    async def furnish(self) -> None:
        for house in (self.greeting, self.farewell):
            await house.furnish()

    async def open(
        self,
        *companions: Companion,
        key: str = "run-1",
        plan: RolloutPlan = BY_THRESHOLD,
        name: str = "greeting",
    ) -> Rollout:
        request = RolloutRequest(
            name=name,
            prompt_type="system",
            candidate="1.1.0",
            plan=plan,
            companions=companions or (ALONG,),
        )
        return await self.rollouts.open(request, key=key, workflow_id="rollout/greeting.system")

    async def ramped(self, stage: int, plan: RolloutPlan = BY_THRESHOLD) -> Rollout:
        rollout = await self.open(plan=plan)
        epoch = rollout.epoch
        for number in range(1, stage + 1):
            epoch = await self.rollouts.ramp(rollout.id, stage=number, epoch=epoch)
        return await self.rollouts.get(rollout.id)

    async def completed(self) -> Rollout:
        rollout = await self.ramped(stage=3)
        await self.rollouts.promote(rollout.id, epoch=rollout.epoch)
        await self.rollouts.complete(rollout.id)
        return rollout

    async def along(self, leader: Rollout) -> Rollout:
        """Return the companion's rollout."""
        (member,) = leader.companions
        return await self.rollouts.get(member.rollout_id)

    async def facts(self) -> list[dict[str, object]]:
        """Return all that a rollback has to restore."""
        return [await house.facts() for house in (self.greeting, self.farewell)]

    async def shares(self) -> list[float]:
        """Return which part of the users gets each candidate."""
        return [await house.share("1.1.0") for house in (self.greeting, self.farewell)]

    async def served(self) -> list[tuple[str | None, ...]]:
        """Return what each user is given of both."""
        both = [
            await house.routing.snapshot(house.name, "system")
            for house in (self.greeting, self.farewell)
        ]
        return [tuple(one.evaluate(user).version for one in both if one) for user in USERS]


async def come(house: House, number: str, users: int, *, rate: float) -> None:
    """Let so many users come once, of whom `rate` succeed."""
    version, now = await house.get(number), datetime.now(UTC)
    await house.metrics.record_events(
        [
            MetricEvent(
                version.version_id, now, success=user < rate * users, user_id=f"{number}-{user}"
            )
            for user in range(users)
        ]
    )
