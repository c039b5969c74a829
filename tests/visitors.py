"""The real activities of an experiment, with users who come just before each look."""

from random import Random

from temporalio import activity

from activities.trials import LookAt, StopArm, TrialActivities
from domain.errors import Unavailable
from domain.trials.findings import Report
from domain.trials.manager import TrialManager
from tests.house import House


class Visitors(TrialActivities):
    """Users of a furnished house, evenly many of every arm that gets any.

    Attributes:
        rates: How often each version succeeds.
        each: How many users of each arm come before a look.
        failing: Activities by name, and how many more times each cannot reach the database.
    """

    def __init__(self, house: House, *, seed: int = 3, each: int = 60) -> None:
        self.manager = TrialManager(house.database)
        super().__init__(self.manager, search_attributes=True)
        self.house = house
        self.rates: dict[str, float] = {}
        self.each = each
        self.failing: dict[str, int] = {}
        self._chance = Random(seed)  # noqa: S311  # reproducible users, not secrets

    @activity.defn
    async def look_at_arms(self, order: LookAt) -> Report:
        self._maybe_fail("look_at_arms")
        trial = await self.manager.get(order.trial_id)
        async with self.house.database.transaction():
            for version, rate in self.rates.items():
                if version not in trial.stopped:
                    good = sum(self._chance.random() < rate for _ in range(self.each))
                    await self.house.events(version, good=good, bad=self.each - good)
        return await super().look_at_arms(order)

    @activity.defn
    async def stop_arm(self, order: StopArm) -> int:
        self._maybe_fail("stop_arm")
        return await super().stop_arm(order)

    def _maybe_fail(self, name: str) -> None:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise Unavailable("database sqlite is unavailable: disk I/O error")
