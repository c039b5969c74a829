"""The pages of rollouts while Temporal is away: what the database knows, and the way back."""

import re
from html import unescape

from domain import VersionStatus
from domain.plan import RolloutRequest, preset
from domain.record import Rollout
from domain.rollouts import RolloutManager
from domain.tokens import Role
from tests.gateway.entrance import ON_SQLITE, Entrance
from tests.house import House

pytestmark = ON_SQLITE

HOSTILE = '"><script>alert(1)</script>'
HERE = "/rollouts/greeting.system"


async def opened(way_in: Entrance, name: str, *, by: str = "", reason: str = "") -> Rollout:
    house = House(way_in.house.database, name=name)
    if name != "greeting":
        await house.furnish()
    request = RolloutRequest(
        name=name,
        prompt_type="system",
        candidate="1.1.0",
        plan=preset("demo"),
        by=by,
        reason=reason,
    )
    return await house.rollouts.open(request, key=f"run-{name}")


def listed(page: str) -> list[str]:
    """Return the prompts on a list, from top to bottom."""
    return [unescape(found) for found in re.findall(r'<tr><th scope="row"><a [^>]*>([^<]*)', page)]


async def test_the_list_has_live_rollouts_first_and_says_that_temporal_is_away(
    way_in: Entrance,
) -> None:
    await way_in.enter()
    await opened(way_in, "greeting")
    farewell = await opened(way_in, "farewell")
    await way_in.house.rollouts.roll_back(farewell.id, reason="slow")

    page = await way_in.page()

    assert listed(page) == ["greeting.system", "farewell.system"]
    assert "no Temporal server answers" in page
    assert page.index('id="live"') < page.index('id="ended"')


async def test_without_temporal_a_page_shows_what_the_database_knows_and_rolls_back_directly(
    way_in: Entrance,
) -> None:
    await way_in.enter()
    before = await way_in.house.facts()
    rollout = await way_in.house.ramped(stage=2)
    await way_in.house.rollouts.check(rollout.id, number=1)

    page = await way_in.page(HERE)
    answer = await way_in.submit(f"{HERE}/rollback", reason="fire", how="direct")

    assert "50 % of users get 1.1.0." in page
    assert "Temporal is away" in page
    assert 'id="do-rollback-direct"' in page
    assert 'id="do-rollback"' not in page
    assert re.search(r'<button id="do-pause"[^>]* disabled>', page)
    assert "rolled back directly, and read back" in answer.text
    assert "Everybody is on 1.0.0 again" in answer.text
    assert "directly: fire" in answer.text
    assert "rolled back directly, and" not in await way_in.page(HERE)  # it is said once
    assert await way_in.house.facts() == before


async def test_a_page_shows_the_latest_check_as_bars_pictures_and_figures(
    way_in: Entrance,
) -> None:
    await way_in.enter()
    rollout = await opened(way_in, "greeting")
    await way_in.house.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
    await way_in.house.rollouts.check(rollout.id, number=1)
    await way_in.house.rollouts.check(rollout.id, number=2)

    page = await way_in.page(HERE)

    assert "Check 2," in page
    assert page.count("<meter ") == 2
    assert re.search(r'<svg [^>]*class="picture"', page)
    assert "Evidence of harm, in figures" in page
    assert len(page.encode()) < 300_000


async def test_earlier_rollouts_stay_readable_by_their_id(way_in: Entrance) -> None:
    await way_in.enter()
    first = await opened(way_in, "greeting")
    await way_in.house.rollouts.roll_back(first.id, reason="the first was slow")
    await way_in.house.open(key="run-again")
    other = await opened(way_in, "farewell")

    page = await way_in.page(HERE)
    earlier = await way_in.page(f"{HERE}?id={first.id}")

    assert f"?id={first.id}" in page
    assert "the first was slow" in earlier
    assert "Everybody is on 1.0.0 again" in earlier
    assert "is none of greeting.system" in await way_in.page(f"{HERE}?id={other.id}", status=404)
    assert "no rollout" in await way_in.page(f"{HERE}?id=nonsense", status=404)


async def test_an_incomplete_rollback_is_shouted(way_in: Entrance) -> None:
    await way_in.enter()
    rollout = await way_in.house.ramped(stage=1)
    manager: RolloutManager = way_in.house.rollouts
    await manager.return_traffic(rollout.id, reason="slow")
    await manager.restore(rollout.id)
    baseline = await way_in.house.get("1.0.0")
    await way_in.house.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)
    await manager.prove(rollout.id)

    page = await way_in.page(HERE)

    assert "The rollback is not complete." in page
    assert "status of 1.0.0 is archived, was production" in page
    assert 'id="do-rollback-direct"' in page


async def test_hostile_names_and_reasons_are_shown_and_do_nothing(way_in: Entrance) -> None:
    await way_in.enter()
    await opened(way_in, HOSTILE, by=HOSTILE, reason=HOSTILE)
    prompt = f"{HOSTILE}.system"
    (address,) = set(re.findall(r'href="(/ui/rollouts/[^"]+)"', await way_in.page()))

    page = (await way_in.client.get(address)).text
    list_page = await way_in.page(f"?text={'%22%3E%3Cscript'}")
    refused = await way_in.submit(f"{address.removeprefix('/ui')}/pause", reason=HOSTILE)

    for text in (page, list_page, refused.text):
        assert "<script>alert" not in text
    assert prompt in unescape(page)
    assert listed(list_page) == [prompt]


async def test_what_is_said_once_cannot_be_put_into_an_address(way_in: Entrance) -> None:
    await way_in.enter()
    await opened(way_in, "greeting")
    for forged in ("!", "bm9uc2Vuc2U", "WzEsMl0", "W10"):
        way_in.client.cookies.set("rampart_said", forged, path="/ui")

        page = await way_in.page(f"{HERE}?said=evil&note=evil")

        assert "evil" not in page


async def test_a_rollout_nobody_knows_has_no_page_and_no_stream(way_in: Entrance) -> None:
    await way_in.enter(Role.ADMIN)

    for path in ("/rollouts/nobody.knows", "/rollouts/nobody.knows/live"):
        assert "no Temporal server answers" in await way_in.page(path, status=503)
