"""What has to be true of a house after the trouble, one function for each truth.

Each raises `AssertionError` with a sentence that says what is wrong.
"""

import asyncio
from collections.abc import Sequence

from sqlmodel import col, select

from domain import MetricsCollector, VersionStatus, broker
from domain.database import Database
from domain.intake.stream import Stream
from domain.record import Kind, RolloutStatus
from domain.tables import DecisionRow, EventRow, EvidenceRow
from tests.chaos.people import NAME, NEW, OLD, TYPE, USERS, People
from tests.chaos.victims import GatewayProcess
from tests.house import House

SETTLE_S = 60.0
EXPECTED = {
    RolloutStatus.PROMOTED: {
        NEW: (VersionStatus.PRODUCTION, ["production"]),
        OLD: (VersionStatus.DEPRECATED, []),
    },
    RolloutStatus.ROLLED_BACK: {
        NEW: (VersionStatus.ACTIVE, []),
        OLD: (VersionStatus.PRODUCTION, ["production"]),
    },
}
SERVED = {RolloutStatus.PROMOTED: NEW, RolloutStatus.ROLLED_BACK: OLD}


async def state_is_right(house: House, ending: RolloutStatus) -> None:
    """The rollout, the versions and the routing are as the ending has them."""
    (rollout,) = await house.rollouts.list(NAME, TYPE)
    assert rollout.status == ending, f"the rollout is {rollout.status}"
    facts = await house.facts()
    assert facts["versions"] == EXPECTED[ending], f"versions are {facts['versions']}"
    wrong = [v for v in facts["served"].values() if v != SERVED[ending]]  # type: ignore[attr-defined]
    assert not wrong, f"{len(wrong)} of {len(USERS)} users would be served {wrong[0]}"
    if ending == RolloutStatus.ROLLED_BACK:
        assert facts["routed"] is None, f"the prompt is still routed to {facts['routed']}"
        left = await house.rollouts.differences(rollout.id)
        assert not left, f"reads back incomplete: {left}"


async def journal_is_right(database: Database, expected: Sequence[Kind]) -> None:
    """Each step is there once, in order; each check is there at most once, with its evidence."""
    async with database.reading() as session:
        lines = (await session.exec(select(DecisionRow).order_by(DecisionRow.id))).all()
        numbers = (await session.exec(select(EvidenceRow.number))).all()
    steps = [line.kind for line in lines if line.kind != Kind.CHECKED]
    assert steps == list(expected), f"the journal tells {', '.join(steps)}"
    keys = [line.key for line in lines]
    assert len(keys) == len(set(keys)), f"the journal has a line twice: {keys}"
    checks = [line.key for line in lines if line.kind == Kind.CHECKED]
    judged = [f"check:{number}" for number in sorted(numbers)]
    assert checks == judged, f"checks {checks} have the evidence of {judged}"


async def events_are_right(
    database: Database, people: People, *, redis_url: str, lost: frozenset[str] = frozenset()
) -> None:
    """What was acknowledged is stored, and counted once, but for what may be `lost`."""
    told = people.acknowledged.keys()
    async with asyncio.timeout(SETTLE_S):
        while not (told - lost <= (found := await _stored(database))) or await _left(redis_url):
            await asyncio.sleep(0.1)
    assert found <= told, f"{len(found - told)} events are stored that nobody sent"
    metrics = MetricsCollector(database)
    house = House(database)
    versions = [(await house.get(number)).version_id for number in (OLD, NEW)]
    counted = sum([(await metrics.get_metrics(each)).total_events for each in versions])
    assert counted == len(found), f"{counted} events are counted, {len(found)} are stored"
    assert counted, "nobody was ever heard"


async def serving_is_right(people: People, gateway: GatewayProcess, ending: RolloutStatus) -> None:
    """Processes that serve have come to the right version: this one, and the gateway."""
    wanted, flag = SERVED[ending], f"{NAME}.{TYPE}"
    served: dict[str, int] = {}
    by_gateway: set[str] = set()
    try:
        async with asyncio.timeout(SETTLE_S):
            while served != {wanted: len(USERS)} or by_gateway != {wanted}:
                await asyncio.sleep(0.1)
                served = people.served()
                by_gateway = {await gateway.evaluate(flag, user) for user in USERS[:10]}
    except TimeoutError:
        raise AssertionError(f"still served: {served}, by the gateway {by_gateway}") from None
    if ending == RolloutStatus.PROMOTED:
        assert not people.flipped, f"{len(people.flipped)} treated users flipped back"


async def _stored(database: Database) -> set[str]:
    async with database.reading() as session:
        return set(await session.exec(select(col(EventRow.id))))


async def _left(redis_url: str) -> int:
    """Return how many entries of the stream are not counted yet."""
    if not redis_url:
        return 0
    async with broker.connect(redis_url, timeout=5) as client:
        backlog = await Stream(client).backlog()
    assert backlog.aside == 0, f"{backlog.aside} events were set aside"
    return backlog.entries
