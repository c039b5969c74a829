"""Ten rollouts that are over, each of another kind: what came, what was checked, how it ended."""

import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain import MetricEvent
from domain.database import Database
from domain.guardrail import Guardrail, GuardrailKind, Role
from domain.judge import Action, Verdict
from domain.plan import RolloutPlan, preset
from domain.record import Rollout
from tests.house import BY_THRESHOLD, House

DEMO = preset("demo")


class Telling:
    """A rollout while it is told; the same chance every time."""

    def __init__(self, house: House, rollout: Rollout) -> None:
        self.house = house
        self.rollout = rollout
        self.verdict = Verdict()
        self.checks = 0
        self._epoch = rollout.epoch
        self._stage = 0
        self._chance = random.Random(8)  # noqa: S311

    async def ramp(self) -> None:
        self._stage += 1
        self._epoch = await self.house.rollouts.ramp(
            self.rollout.id, stage=self._stage, epoch=self._epoch
        )

    async def come(
        self, candidate: int, control: int, *, rates: tuple[float, float], slower: float = 1.0
    ) -> None:
        """Let so many users come, each with an outcome, a time and a rating."""
        for number, many, rate, factor in (
            ("1.1.0", candidate, rates[0], slower),
            ("1.0.0", control, rates[1], 1.0),
        ):
            version = await self.house.get(number)
            event = MetricEvent(version.version_id, datetime.now(UTC))
            happy = round(many * rate)
            said = [
                replace(
                    event,
                    success=one < happy,
                    response_time=factor * self._chance.lognormvariate(0, 0.5),
                    user_rating=float(self._chance.choice((3, 4, 5))),
                )
                for one in range(many)
            ]
            await self.house.metrics.record_events(said)

    async def check(self, times: int = 1, *, baked: timedelta = timedelta(seconds=5)) -> None:
        for _ in range(times):
            self.checks += 1
            self.verdict = await self.house.rollouts.check(
                self.rollout.id, number=self.checks, baked=baked
            )

    async def roll_back(self, reason: str, *, by: str = "guardrails") -> None:
        await self.house.rollouts.roll_back(self.rollout.id, reason=reason, by=by)

    async def promote(self) -> None:
        self._epoch = await self.house.rollouts.promote(self.rollout.id, epoch=self._epoch)

    async def complete(self) -> None:
        await self.house.rollouts.complete(self.rollout.id)

    async def watch(
        self, looks: int, *, rates: tuple[float, float], slower: float = 1.0, split: float = 0.1
    ) -> None:
        """Let 400 users come before each check, until one rolls back."""
        for _ in range(looks):
            mine = round(400 * split)
            await self.come(mine, 400 - mine, rates=rates, slower=slower)
            await self.check()
            if self.verdict.action is Action.ROLL_BACK:
                await self.roll_back(self.verdict.reason)
                return


async def healthy(told: Telling) -> None:
    for split in (0.1, 0.5, 0.9):
        await told.ramp()
        await told.watch(4, rates=(0.95, 0.95), split=split)
    await told.promote()
    await told.check()
    await told.complete()


async def harmed_at_once(told: Telling) -> None:
    await told.ramp()
    await told.watch(9, rates=(0.85, 0.95))


async def broken(told: Telling) -> None:
    await told.ramp()
    await told.watch(9, rates=(0.75, 0.95))


async def harmed_late(told: Telling) -> None:
    await told.ramp()
    await told.watch(4, rates=(0.95, 0.95))
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95), split=0.5)
    await told.watch(9, rates=(0.8, 0.95), split=0.5)


async def slower(told: Telling) -> None:
    await told.come(0, 300, rates=(1, 0.95))
    await told.ramp()
    await told.watch(9, rates=(0.95, 0.95), slower=1.6, split=0.3)


async def harmed_but_dry(told: Telling) -> None:
    await told.ramp()
    await told.watch(6, rates=(0.85, 0.95))
    await told.ramp()
    await told.watch(2, rates=(0.85, 0.95), split=0.5)
    await told.promote()
    await told.complete()


async def worse_for_everybody(told: Telling) -> None:
    await told.ramp()
    await told.watch(4, rates=(0.95, 0.95))
    await told.ramp()
    await told.watch(6, rates=(0.85, 0.85), split=0.5)
    await told.roll_back("the week is over", by="ana")


async def blind_and_back(told: Telling) -> None:
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95))
    await told.house.metrics.reset_metrics((await told.house.get("1.1.0")).version_id)
    await told.check(2)
    await told.watch(6, rates=(0.95, 0.95))
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95), split=0.5)
    await told.roll_back("not on a Friday", by="ana")


async def rolled_back_by_a_person(told: Telling) -> None:
    await told.ramp()
    await told.check(2)
    await told.watch(2, rates=(0.93, 0.95))
    await told.roll_back("it is rude", by="ana")


Story = tuple[RolloutPlan, Callable[[Telling], Awaitable[None]]]


def _guarded(*guardrails: Guardrail) -> RolloutPlan:
    return DEMO.model_copy(update={"guardrails": guardrails})


TIME = Guardrail(metric="response_time", min_events=100)
LIMIT = Guardrail(metric="response_time", kind=GuardrailKind.LIMIT, limit=3.0, min_events=50)
RATING = Guardrail(metric="user_rating", role=Role.GOAL)

STORIES: dict[str, Story] = {
    "healthy": (DEMO, healthy),
    "harmed at 10 %": (DEMO, harmed_at_once),
    "harmed late": (DEMO, harmed_late),
    "thresholds": (BY_THRESHOLD, broken),
    "response time": (_guarded(Guardrail(), TIME), slower),
    "limit": (_guarded(Guardrail(), LIMIT), slower),
    "dry run": (_guarded(Guardrail(dry_run=True), TIME), harmed_but_dry),
    "base rate": (DEMO, worse_for_everybody),
    "blind": (DEMO, blind_and_back),
    "by a person": (_guarded(Guardrail(), RATING), rolled_back_by_a_person),
}


async def tell(house: House, name: str) -> Rollout:
    """Let a story happen in a furnished house, and return the rollout at its end."""
    plan, story = STORIES[name]
    telling = Telling(house, await house.open(plan=plan, key=name))
    await story(telling)
    return await house.rollouts.get(telling.rollout.id)


class Archive:
    """Stories that were told once, each of a prompt of its own, for whoever only reads them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[str, tuple[House, Rollout]] = {}

    async def find(self, name: str) -> tuple[House, Rollout]:
        """Return the house of a story and its rollout; the first who asks has it told."""
        if name not in self._told:
            house = House(self._database, name=re.sub(r"\W+", "-", name))
            await house.furnish()
            self._told[name] = house, await tell(house, name)
        return self._told[name]
