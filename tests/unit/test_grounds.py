"""What a picture shows of evidence is what `explain` tells, read once for each check."""

import pytest
from sqlmodel import delete

from control.grounds import Grounding
from domain.database import Database
from domain.evidence.looks import Judged
from domain.hindsight.explanation import explain
from domain.rollouts import RolloutManager
from domain.tables import EvidenceRow
from tests.finished import STORIES, Archive, tell
from tests.house import House


class Counting(RolloutManager):
    """Counts how often the latest check is read."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.reads = 0

    async def latest_check(self, rollout_id: str) -> Judged | None:
        self.reads += 1
        return await super().latest_check(rollout_id)


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


@pytest.mark.parametrize("story", ["harmed late", "response time"])
async def test_the_latest_check_is_explained_as_explain_does(archive: Archive, story: str) -> None:
    house, rollout = await archive.find(story)
    grounding = Grounding(house.rollouts)
    checks = await house.rollouts.checks(rollout.id)

    found = await grounding.of([rollout], await house.rollouts.decisions(rollout.id))

    assert found == {rollout.prompt: explain(STORIES[story][0], checks[-1])}


async def test_it_is_read_again_only_when_there_was_another_check(archive: Archive) -> None:
    house, rollout = await archive.find("harmed late")
    rollouts = Counting(house.database)
    grounding = Grounding(rollouts)
    decisions = list(await rollouts.decisions(rollout.id))
    checks = [number for number, line in enumerate(decisions) if line.action]

    for _ in range(3):
        await grounding.of([rollout], decisions[: checks[-1]])
    before = rollouts.reads
    for _ in range(3):
        await grounding.of([rollout], decisions)

    assert (before, rollouts.reads) == (1, 2)


async def test_rollouts_that_are_looked_at_in_turn_are_each_read_once(archive: Archive) -> None:
    house, rollout = await archive.find("harmed late")
    rollouts = Counting(house.database)
    grounding = Grounding(rollouts)
    decisions = await rollouts.decisions(rollout.id)
    other = rollout.model_copy(update={"id": "r-other"})

    for _ in range(3):
        await grounding.of([rollout], decisions)
        await grounding.of([other], decisions)

    assert rollouts.reads == 2


async def test_before_the_first_check_and_after_retention_there_are_none(house: House) -> None:
    rollout = await tell(house, "by a person")
    decisions = await house.rollouts.decisions(rollout.id)
    async with house.database.transaction() as session:
        await session.exec(delete(EvidenceRow))

    unchecked = await Grounding(house.rollouts).of([rollout], decisions[:1])
    swept = await Grounding(house.rollouts).of([rollout], decisions)

    assert (unchecked, swept) == ({}, {})
    assert await house.rollouts.latest_check("no such rollout") is None
