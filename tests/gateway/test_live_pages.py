"""A page while it is looked at: what has changed comes by itself, once for all who look."""

import asyncio
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from domain.database import Database
from domain.rollouts import RolloutManager
from domain.tables import DecisionRow, EvidenceRow
from domain.tokens import Role
from gateway.dashboard.rollouts.live import Watches
from gateway.limits import Limits
from tests.gateway.entrance import POLL, Entrance, entrance

HERE = "/rollouts/greeting.system"
QUICK = Limits(flush=POLL, look=timedelta(milliseconds=20), heartbeat=POLL, viewers=3)


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what a stream told."""
    found = re.findall(r"event: (\w+)\r\ndata: (.*?)\r\n\r\n", text, re.S)
    return [(event, json.loads(data)) for event, data in found]


def watches(way_in: Entrance) -> Watches:
    return way_in.gateway._dashboard.watches


async def follow(way_in: Entrance) -> str:
    """Follow until the stream ends."""
    return (await way_in.client.get(f"/ui{HERE}/live")).text


async def test_the_parts_that_change_are_sent_until_the_rollout_is_over(
    sqlite: Database,
) -> None:
    async with entrance(sqlite, limits=QUICK) as way_in:
        await way_in.enter()
        rollout = await way_in.house.ramped(stage=1)
        page = await way_in.page(HERE)
        following = asyncio.create_task(follow(way_in))
        await way_in.until(lambda: looked(way_in), 1)

        await way_in.house.rollouts.roll_back(rollout.id, reason="slow")
        told = events(await following)

    marks = json.loads(re.findall(r'data-marks="([^"]*)"', page)[0].replace("&#34;", '"'))
    first = {data["part"]: data["mark"] for event, data in told[:7] if event == "part"}
    assert first.keys() == marks.keys()
    assert {name for name in marks if first[name] != marks[name]} <= {"headline"}  # its clock
    assert told[-1][0] == "end"
    said = [data["said"] for event, data in told if event == "said"]
    assert said[-1] == "greeting.system 1.1.0 is rolled back"
    last = [data["html"] for event, data in told if data.get("part") == "headline"][-1]
    assert "Everybody is on 1.0.0 again" in last


async def looked(way_in: Entrance) -> int:
    return watches(way_in).looking


async def test_all_who_look_share_one_watch_and_have_keys_of_their_own(
    sqlite: Database,
) -> None:
    async with entrance(sqlite, limits=QUICK) as way_in:
        await way_in.enter()
        rollout = await way_in.house.ramped(stage=1)
        viewers = [asyncio.create_task(follow(way_in)) for _ in range(3)]

        async def there() -> tuple[int, int]:
            return watches(way_in).open, watches(way_in).looking

        await way_in.until(there, (3, 1))
        refused = await way_in.client.get(f"/ui{HERE}/live")
        await way_in.house.rollouts.roll_back(rollout.id, reason="slow")
        told = [events(await viewer) for viewer in viewers]
        await way_in.until(there, (0, 0))

    keys = {
        match
        for one in told
        for _, data in one
        for match in re.findall(r'name="key" value="(\w+)"', data.get("html", ""))
    }
    assert refused.status_code == 503
    assert len(keys) == 3


async def test_a_stream_ends_with_its_token(sqlite: Database) -> None:
    async with entrance(sqlite, limits=QUICK) as way_in:
        await way_in.enter()
        await way_in.house.ramped(stage=1)
        following = asyncio.create_task(follow(way_in))
        await way_in.until(lambda: looked(way_in), 1)
        (token,) = [each for each in await way_in.tokens.list() if each.name == Role.OPERATE]

        await way_in.tokens.revoke(token.id)
        told = events(await asyncio.wait_for(following, 30))

        assert "end" not in [event for event, _ in told]


async def test_an_outage_of_the_database_is_told_and_survived(sqlite: Database) -> None:
    async with entrance(sqlite, limits=QUICK) as way_in:
        await way_in.enter()
        rollout = await way_in.house.ramped(stage=1)
        following = asyncio.create_task(follow(way_in))
        await way_in.until(lambda: looked(way_in), 1)
        async with way_in.outage():
            await asyncio.sleep(0.2)
        await way_in.house.rollouts.roll_back(rollout.id, reason="slow")

        said = [data["said"] for event, data in events(await following) if event == "said"]

    assert any("nothing new can be read" in each for each in said)
    assert said[-1] == "greeting.system 1.1.0 is rolled back"


@pytest.mark.parametrize("extra", [0, 310])
async def test_pictures_are_drawn_of_a_few_hundred_checks_at_most(
    sqlite: Database, extra: int
) -> None:
    async with entrance(sqlite) as way_in:
        manager: RolloutManager = way_in.house.rollouts
        rollout = await way_in.house.ramped(stage=1)
        for number in range(1, 4):
            await manager.check(rollout.id, number=number)
        await repeat_last_check(sqlite, extra)
        await way_in.enter()

        page = await way_in.page(HERE)

    assert f"Check {3 + extra}," in page
    assert 'class="picture"' in page
    assert len(page.encode()) < 300_000


async def repeat_last_check(database: Database, times: int) -> None:
    """Write the latest check so often again, which is quicker than to check."""
    async with database.transaction() as session:
        seen = (await session.exec(select(EvidenceRow).order_by(col(EvidenceRow.number)))).all()[-1]
        line = await session.get_one(DecisionRow, seen.decision_id)
        for number in range(seen.number + 1, seen.number + 1 + times):
            again = {"id": f"{line.id}-{number}", "key": f"check-{number}"}
            session.add(DecisionRow(**line.model_dump() | again))
            await session.flush()
            told = {"decision_id": again["id"], "number": number}
            session.add(EvidenceRow(**seen.model_dump() | told))
