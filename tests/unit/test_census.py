"""How rollouts stand, all together."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from domain.census import CensusManager
from domain.database import Database
from domain.guardrail import Guardrail
from domain.plan import preset
from domain.tables import RolloutRow
from tests.house import House

COMPARED = preset("demo").model_copy(update={"guardrails": (Guardrail(),)})


async def test_an_empty_house_has_no_rollouts_in_any_state(database: Database) -> None:
    found = await CensusManager(database).take()

    assert set(found.rollouts.values()) == {0}
    assert found.rollouts.keys() >= {"live", "promoted", "rolled_back"}
    assert (found.leases_expired, found.weights) == (0, ())


async def test_rollouts_are_counted_by_status(database: Database) -> None:
    for name, ends in (("greeting", False), ("farewell", True)):
        house = House(database, name=name)
        await house.furnish()
        rollout = await house.open(key=name)
        if ends:
            await house.rollouts.roll_back(rollout.id, reason="enough")

    found = await CensusManager(database).take()

    assert (found.rollouts["live"], sum(found.rollouts.values())) == (1, 2)


async def test_a_lease_counts_once_it_has_expired_and_until_the_rollout_has_ended(
    database: Database,
) -> None:
    house, census = House(database), CensusManager(database)
    await house.furnish()
    rollout = await house.open()
    await leased(database, timedelta(minutes=1))
    looked_after = await census.take()
    await leased(database, timedelta(minutes=-1))
    left_alone = await census.take()
    async with database.transaction() as session:
        await session.exec(update(RolloutRow).values(status="rolled_back"))
    ended = await census.take()

    assert rollout
    assert (looked_after.leases_expired, left_alone.leases_expired) == (0, 1)
    assert ended.leases_expired == 0


async def test_the_latest_check_of_what_is_live_is_weighed(database: Database) -> None:
    house = House(database)
    await house.furnish()
    rollout = await house.ramped(2, COMPARED)
    await house.events("1.0.0", good=300, bad=3)
    await house.rollouts.check(rollout.id, number=1)
    await house.events("1.0.0", good=300, bad=3)
    await house.events("1.1.0", good=200, bad=60)
    verdict = await house.rollouts.check(rollout.id, number=2)

    (weight,) = (await CensusManager(database).take()).weights

    (reading,) = verdict.readings
    assert (weight.flag, weight.guardrail) == ("greeting.system", reading.guardrail)
    assert weight.log_e == reading.log_e


async def leased(database: Database, left: timedelta) -> None:
    async with database.transaction() as session:
        until = datetime.now(UTC) + left
        await session.exec(update(RolloutRow).values(lease_until=until))
