"""What is found on the pages of lists: by queries of their own, hence on both databases."""

from domain.paging import SIZE
from domain.trials.findings import TrialStatus
from domain.trials.manager import TrialManager
from tests.gateway.entrance import Entrance
from tests.gateway.test_experiment_pages import PLACE, tried
from tests.gateway.test_rollout_pages import listed, opened
from tests.gateway.visitor import Visitor

QUERIES = {
    "": ["farewell.system", "greeting.system"],
    "text=Fare": ["farewell.system"],
    "text=ada": ["greeting.system"],
    "text=cheaper": ["farewell.system"],
    "text=1.1.0&state=rolled_back": ["farewell.system"],
    "state=live": ["greeting.system"],
    "state=promoted": [],
    "text=%25": [],
    "text=_": [],
    "text=nobody": [],
}


async def test_rollouts_are_found_by_prompt_person_reason_version_and_state(
    way_in: Entrance,
) -> None:
    await way_in.enter()
    await opened(way_in, "greeting", by="ada")
    farewell = await opened(way_in, "farewell", reason="shorter, hence cheaper")
    await way_in.house.rollouts.roll_back(farewell.id, reason="slow")

    for query, found in QUERIES.items():
        page = await way_in.page(f"?{query}")

        assert sorted(listed(page)) == found, query
        assert ("No rollout fits" in page) == (not found), query


async def test_experiments_are_listed_live_ones_first_and_narrowed(way_in: Entrance) -> None:
    trials, ended = TrialManager(way_in.house.database), await tried(way_in)
    await trials.release(ended.id, TrialStatus.STOPPED, by="ann")
    live = await tried(way_in, "run-2")
    visitor = Visitor(way_in)

    everything, over = (
        await visitor.open("/experiments"),
        await visitor.open("/experiments?state=over&q=GREET"),
    )
    none = await visitor.open("/experiments?q=nobody")

    assert everything.source.index(live.id) < everything.source.index(ended.id)
    assert (ended.id in over.source, live.id in over.source) == (True, False)
    assert "No experiment is like that" in none.said
    assert (await visitor.open("/experiments?state=odd")).status == 422


async def test_earlier_experiments_stay_within_reach(way_in: Entrance) -> None:
    trials, ended = TrialManager(way_in.house.database), await tried(way_in)
    await trials.release(ended.id, TrialStatus.STOPPED, by="ann", reason="enough")
    await tried(way_in, "run-2")
    visitor = Visitor(way_in)

    latest = await visitor.open(PLACE)
    earlier = await visitor.open(f"{PLACE}?id={ended.id}")

    assert f"{PLACE}?id={ended.id}" in latest.source
    assert "everybody gets 1.0.0: enough (by ann)" in earlier.said
    assert "Temporal is away" not in earlier.said
    assert (await visitor.open(f"/experiments/other.system?id={ended.id}")).status == 404
    assert (await visitor.open("/experiments/nobody.knows")).status == 404


async def test_prompts_are_listed_with_what_is_in_production_and_under_way(
    way_in: Entrance,
) -> None:
    await way_in.house.versions.create_version("mail", "user", "Hi")
    await way_in.house.open()

    page = await Visitor(way_in).open("/prompts")
    found = await Visitor(way_in).open("/prompts?q=MAIL")
    nothing = await Visitor(way_in).open("/prompts?q=nobody")

    assert "greeting.system 1.0.0 rollout 1.0.0 → 1.1.0 2" in page.said
    assert "mail.user none – 1 never" in page.said
    assert "mail.user" in found.said
    assert "greeting.system" not in found.said
    assert "No prompt is called like that" in nothing.said


async def test_a_list_goes_on_on_the_next_page(way_in: Entrance) -> None:
    for number in range(SIZE):
        await way_in.house.versions.create_version(f"a-{number:02}", "user", "Hi")
    visitor = Visitor(way_in)

    first, second = await visitor.open("/prompts"), await visitor.open("/prompts?page=2")

    assert "greeting.system" not in first.said
    assert 'href="/ui/prompts?q=&amp;page=2"' in first.source
    assert "greeting.system" in second.said
    assert "Page 3" not in second.said
    assert (await visitor.open("/prompts?page=0")).status == 422
