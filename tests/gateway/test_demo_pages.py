"""The demo's panel: its buttons throw the switch that its users go by."""

from pathlib import Path

from domain.database import Database
from embedded.switch import Switch
from tests.gateway.entrance import ON_SQLITE, Entrance, entrance

HERE = "/rollouts/greeting.system"


async def test_the_candidate_is_broken_and_mended_by_a_button(
    sqlite: Database, tmp_path: Path
) -> None:
    switch = Switch(tmp_path / "switch.json")
    async with entrance(sqlite, demo=switch) as way_in:
        await way_in.enter()
        await way_in.house.ramped(stage=1)
        well = await way_in.page(HERE)

        ill = await way_in.submit("/demo/break")
        broken = switch.read()
        await way_in.submit("/demo/mend")

    assert "98 %" in well
    assert "60 %" in ill.text
    assert "the candidate is broken: watch the evidence grow" in ill.text
    assert (broken.success, switch.read().success) == (0.60, 0.98)


async def test_the_next_version_is_wanted_only_once_the_last_one_is_over(
    sqlite: Database, tmp_path: Path
) -> None:
    switch = Switch(tmp_path / "switch.json")
    async with entrance(sqlite, demo=switch) as way_in:
        await way_in.enter()
        rollout = await way_in.house.ramped(stage=1)
        await way_in.submit("/demo/again")
        meanwhile = switch.read().wanted
        await way_in.house.rollouts.roll_back(rollout.id, reason="slow")
        page = await way_in.page(HERE)

    assert meanwhile == 1
    assert '<button id="do-again" class="main">' in page


@ON_SQLITE
async def test_elsewhere_there_is_no_demo(way_in: Entrance) -> None:
    await way_in.enter()
    await way_in.house.ramped(stage=1)

    assert "Break the candidate" not in await way_in.page(HERE)
    assert (await way_in.client.post("/ui/demo/break")).status_code == 404
