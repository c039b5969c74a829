"""The real activities, with users who come just before each check, and faults on demand."""

from temporalio import activity

from activities.rollouts import Check, Note, Ramp, RollBack, RolloutActivities
from domain import VersionStatus
from domain.errors import Unavailable
from domain.judge import Verdict
from domain.record import Proof
from domain.rollouts import RolloutManager
from tests.house import House


class Crowd(RolloutActivities):
    """Hands of a rollout of 1.1.0 in a furnished house.

    Attributes:
        bad_from: From this check on, the candidate fails its users.
        silent: Nobody comes.
        failing: Activities by name, and how many more times each cannot reach the database.
        meddling: Somebody archives the baseline just before a rollback is read back, once.
    """

    def __init__(self, house: House) -> None:
        super().__init__(RolloutManager(house.database), search_attributes=True)
        self.house = house
        self.bad_from = 10**9
        self.silent = False
        self.failing: dict[str, int] = {}
        self.meddling = False

    @activity.defn
    async def check(self, order: Check) -> Verdict:
        self._maybe_fail("check")
        if not self.silent:
            bad = order.number >= self.bad_from
            async with self.house.database.transaction():
                await self.house.events("1.0.0", good=120, bad=0)
                await self.house.events("1.1.0", good=0 if bad else 120, bad=1000 if bad else 0)
        return await super().check(order)

    @activity.defn
    async def ramp(self, order: Ramp) -> int:
        self._maybe_fail("ramp")
        return await super().ramp(order)

    @activity.defn
    async def roll_back(self, order: RollBack) -> None:
        self._maybe_fail("roll_back")
        await super().roll_back(order)

    @activity.defn
    async def return_traffic(self, order: RollBack) -> int:
        self._maybe_fail("return_traffic")
        return await super().return_traffic(order)

    @activity.defn
    async def restore(self, rollout_id: str) -> None:
        self._maybe_fail("restore")
        await super().restore(rollout_id)

    @activity.defn
    async def prove(self, rollout_id: str) -> Proof:
        self._maybe_fail("prove")
        if self.failing.get("read_back", 0) > 0:
            self.failing["read_back"] -= 1
            return Proof(missing=("production is 1.1.0, was 1.0.0",))
        if self.meddling:
            self.meddling = False
            baseline = await self.house.get("1.0.0")
            await self.house.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)
        return await super().prove(rollout_id)

    @activity.defn
    async def note(self, order: Note) -> None:
        self._maybe_fail("note")
        await super().note(order)

    def _maybe_fail(self, name: str) -> None:
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise Unavailable("database sqlite is unavailable: disk I/O error")
