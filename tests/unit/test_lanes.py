"""Segments of a prompt, the lanes that serve them, and the router that tells users apart."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from domain.database import Database
from domain.errors import Conflict, InvalidValue, NotFound
from domain.plan import RolloutRequest, preset
from domain.prompts import PromptVariant, VersionStatus
from domain.routing import Reason, Router
from domain.segments.audience import SegmentRouter
from domain.segments.lanes import SegmentManager
from domain.segments.plan import Opening, SegmentedPlan, SegmentedRequest
from tests.house import House

PROMPT = ("greeting", "system")
BETA, PREMIUM = '"beta" in groups', 'plan == "premium"'
ALONE = RolloutRequest(
    name="greeting", prompt_type="system", candidate="1.1.0", plan=preset("demo")
)
REQUEST = SegmentedRequest(name="greeting", prompt_type="system", candidate="1.1.0")


@pytest.fixture
async def house(database: Database) -> House:
    """A prompt with 1.0.0 in production, 1.1.0 to roll out, and segments `beta` and `premium`."""
    house = House(database)
    await house.furnish()
    segments = SegmentManager(database)
    await segments.define(*PROMPT, "beta", BETA)
    await segments.define(*PROMPT, "premium", PREMIUM)
    return house


def request(*names: str, candidate: str = "1.1.0", everyone: bool = True) -> SegmentedRequest:
    plan = SegmentedPlan.model_validate({"segments": list(names), "everyone": everyone})
    return REQUEST.model_copy(update={"plan": plan, "candidate": candidate})


def rings(opening: Opening) -> list[tuple[str, str, bool]]:
    return [(ring.segment, ring.name, ring.already) for ring in opening.rings]


async def order(house: House) -> list[str]:
    return [each.name for each in await SegmentManager(house.database).list(*PROMPT)]


async def state(house: House, name: str) -> dict[str, tuple[str, list[str]]]:
    versions = await house.versions.list_versions(name, "system")
    return {each.version: (each.status.value, each.tags) for each in versions}


async def start_experiment(house: House, name: str) -> str:
    arms = [PromptVariant("1.0.0", 0.5), PromptVariant("1.1.0", 0.5)]
    return (await house.experiments.create_experiment(name, "system", arms)).experiment_id


async def test_segments_keep_the_order_they_are_given(house: House) -> None:
    segments = SegmentManager(house.database)

    await segments.define(*PROMPT, "internal", "true", order=1)
    defined = await order(house)
    await segments.define(*PROMPT, "premium", PREMIUM, order=1)
    moved = await order(house)
    await segments.reorder(*PROMPT, ["beta", "internal", "premium"])
    reordered = [(each.name, each.order) for each in await segments.list(*PROMPT)]

    assert defined == ["internal", "beta", "premium"]
    assert moved == ["premium", "internal", "beta"]
    assert reordered == [("beta", 1), ("internal", 2), ("premium", 3)]


async def test_defining_again_changes_the_rule_and_keeps_the_place(house: House) -> None:
    segments = SegmentManager(house.database)

    changed = await segments.define(*PROMPT, "beta", "staff")
    again = await segments.define(*PROMPT, "beta", "staff")

    assert changed == again
    assert [(each.name, each.rule) for each in await segments.list(*PROMPT)] == [
        ("beta", "staff"),
        ("premium", PREMIUM),
    ]


async def test_removing_closes_the_gap_and_repeats_harmlessly(house: House) -> None:
    segments = SegmentManager(house.database)

    assert await segments.remove(*PROMPT, "beta") is True
    assert await segments.remove(*PROMPT, "beta") is False

    assert [(each.name, each.order) for each in await segments.list(*PROMPT)] == [("premium", 1)]


async def test_concurrent_definitions_all_get_a_place(house: House) -> None:
    segments = SegmentManager(house.database)

    await asyncio.gather(*(segments.define(*PROMPT, f"s{n}", "true") for n in range(8)))

    assert [each.order for each in await segments.list(*PROMPT)] == list(range(1, 11))


async def test_a_wrong_definition_is_refused_and_nothing_is_written(house: House) -> None:
    segments = SegmentManager(house.database)

    with pytest.raises(InvalidValue, match=r"^segment rule: rule is not CEL: "):
        await segments.define(*PROMPT, "gold", "plan ==")
    with pytest.raises(InvalidValue, match=r"^segment order: must be greater than or equal to 1"):
        await segments.define(*PROMPT, "gold", "true", order=0)
    with pytest.raises(InvalidValue, match=r"^the name of the lane must be 1 to 200 printable "):
        await segments.define("g" * 198, "system", "gold", "true")
    with pytest.raises(NotFound, match=r"^farewell\.system has no version: create one before "):
        await segments.define("farewell", "system", "gold", "true")
    with pytest.raises(Conflict, match=r"once: beta, premium; got beta$"):
        await segments.reorder(*PROMPT, ["beta"])

    assert await order(house) == ["beta", "premium"]


async def test_a_lane_has_no_segments_and_a_prompt_with_segments_is_no_lane(house: House) -> None:
    segments = SegmentManager(house.database)
    await segments.open(request("beta"))

    with pytest.raises(Conflict, match=r"^greeting_beta\.system is the lane of segment 'beta' of "):
        await segments.define("greeting_beta", "system", "gold", "true")
    await segments.remove(*PROMPT, "beta")
    await segments.define("greeting_beta", "system", "gold", "true")
    with pytest.raises(Conflict, match=r"^greeting_beta\.system has segments itself, cannot be a "):
        await segments.define(*PROMPT, "beta", BETA)


async def test_segments_do_not_change_while_a_lane_compares(house: House) -> None:
    segments = SegmentManager(house.database)
    await segments.open(request("beta"))
    experiment = await start_experiment(house, "greeting_beta")
    why = rf"^experiment {experiment} is live on greeting_beta\.system, cannot change the segments"

    with pytest.raises(Conflict, match=why):
        await segments.define(*PROMPT, "premium", "true")
    with pytest.raises(Conflict, match=why):
        await segments.remove(*PROMPT, "premium")
    with pytest.raises(Conflict, match=why):
        await segments.reorder(*PROMPT, ["premium", "beta"])
    await segments.define(*PROMPT, "beta", BETA)  # as it is: nobody moves

    assert await order(house) == ["beta", "premium"]


async def test_opening_copies_the_versions_and_keeps_production(house: House) -> None:
    await house.version("2.0.0", VersionStatus.DRAFT)
    segments = SegmentManager(house.database)

    opening = await segments.open(request("premium", "beta"))
    again = await segments.open(request("premium", "beta"))

    assert opening == again
    assert rings(opening) == [
        ("premium", "greeting_premium", False),
        ("beta", "greeting_beta", False),
        ("", "greeting", False),
    ]
    for lane in ("greeting_premium", "greeting_beta"):
        assert await state(house, lane) == {
            "1.0.0": ("production", ["production"]),
            "1.1.0": ("active", []),
            "2.0.0": ("draft", []),
        }
    copy = await house.versions.get_version("greeting_beta", "system", "1.1.0")
    parent = await house.versions.get_version("greeting_beta", "system", "1.0.0")
    assert copy
    assert parent
    assert copy.template == "Hello 1.1.0"
    assert copy.metadata == {"copied_from": (await house.get("1.1.0")).version_id}
    assert copy.parent_version == parent.version_id


async def test_a_lane_goes_its_own_way_until_it_is_opened_again(house: House) -> None:
    segments = SegmentManager(house.database)
    await segments.open(request("beta"))
    copy = await house.versions.get_version("greeting_beta", "system", "1.1.0")
    assert copy
    await house.versions.tag_version(copy.version_id, "production")
    await house.version("1.2.0")

    second = await segments.open(request("beta", candidate="1.2.0"))
    first = await segments.open(request("beta", "premium"))

    assert rings(second)[0] == ("beta", "greeting_beta", False)
    assert rings(first)[0] == ("beta", "greeting_beta", True)
    assert (await state(house, "greeting_beta"))["1.1.0"][1] == ["production"]
    assert list(await state(house, "greeting_beta")) == ["1.2.0", "1.1.0", "1.0.0"]


async def test_a_candidate_that_was_a_draft_when_copied_is_active_in_the_lane(
    house: House,
) -> None:
    draft = await house.version("2.0.0", VersionStatus.DRAFT)
    segments = SegmentManager(house.database)
    await segments.open(request("beta"))

    with pytest.raises(Conflict, match=r"^candidate 2\.0\.0 of greeting\.system is draft: only an"):
        await segments.open(request("beta", candidate="2.0.0"))
    await house.versions.update_status(draft.version_id, VersionStatus.ACTIVE)
    await segments.open(request("beta", candidate="2.0.0"))

    assert (await state(house, "greeting_beta"))["2.0.0"] == ("active", [])


async def test_without_names_every_segment_is_opened_in_order(house: House) -> None:
    opening = await SegmentManager(house.database).open(REQUEST)

    assert [ring.segment for ring in opening.rings] == ["beta", "premium", ""]
    assert {ring.plan for ring in opening.rings} == {preset("standard")}


async def test_what_cannot_be_opened_is_refused_and_no_lane_is_left(house: House) -> None:
    segments = SegmentManager(house.database)
    refused = [
        (request("beta", "gold"), NotFound, r"segment 'gold' of greeting\.system is not defined:"),
        (request("beta", candidate="9.9.9"), NotFound, r"candidate '9\.9\.9' of greeting\.system"),
        (request(candidate="1.0.0"), Conflict, r"1\.0\.0 of greeting\.system is in production in"),
    ]

    for wrong, error, why in refused:
        with pytest.raises(error, match=f"^{why}"):
            await segments.open(wrong)

    assert await house.versions.list_prompts() == [PROMPT]


async def test_a_prompt_without_production_cannot_be_opened(database: Database) -> None:
    house = House(database)
    await house.version("1.1.0")

    with pytest.raises(NotFound, match=r"^greeting\.system has no production version: tag one"):
        await SegmentManager(database).open(REQUEST)


async def test_a_ring_on_which_something_is_live_is_refused(house: House) -> None:
    segments = SegmentManager(house.database)
    await house.open()

    with pytest.raises(Conflict, match=r"^rollout \S+ is live on greeting\.system, cannot open a"):
        await segments.open(request("beta"))
    assert await house.versions.list_prompts() == [PROMPT]

    await start_experiment(house, "greeting_beta")
    with pytest.raises(Conflict, match=r"^experiment \S+ is live on greeting_beta\.system, cannot"):
        await segments.open(request("beta", everyone=False))


async def test_a_lane_with_another_version_of_the_number_is_refused(house: House) -> None:
    await house.versions.create_version("greeting_beta", "system", "Hey", "1.1.0")

    with pytest.raises(Conflict, match=r"^greeting_beta\.system has a 1\.1\.0 of its own, unlike"):
        await SegmentManager(house.database).open(request("beta"))


async def test_users_are_served_by_the_lane_of_their_segment(house: House) -> None:
    segments = SegmentManager(house.database)
    await segments.open(request("premium"))
    copy = await house.versions.get_version("greeting_premium", "system", "1.1.0")
    assert copy
    await house.versions.tag_version(copy.version_id, "production")

    async with SegmentRouter(house.database) as router:
        premium = router.assign(*PROMPT, "u", attributes={"plan": "premium"})
        free = router.assign(*PROMPT, "u", attributes={"plan": "free"})
        unopened = router.assign(*PROMPT, "u", attributes={"groups": ["beta"]})
        nobody = router.assign(*PROMPT, "u")

    assert premium.version_id == copy.version_id
    assert free == unopened == nobody
    assert (nobody.version, nobody.reason) == ("1.0.0", Reason.DEFAULT)


async def test_opening_a_lane_changes_what_nobody_sees(house: House) -> None:
    async with SegmentRouter(house.database) as router:
        before = router.assign(*PROMPT, "u", attributes={"plan": "premium"})
        await SegmentManager(house.database).open(request("premium"))
        await router.refresh()
        after = router.assign(*PROMPT, "u", attributes={"plan": "premium"})

    assert (before.version, after.version) == ("1.0.0", "1.0.0")
    assert before.version_id != after.version_id


async def test_an_experiment_of_a_lane_divides_its_segment_alone(house: House) -> None:
    await SegmentManager(house.database).open(request("premium"))
    await start_experiment(house, "greeting_premium")
    users = [f"user-{n}" for n in range(200)]

    async with SegmentRouter(house.database) as router:
        premium = {
            user: router.assign(*PROMPT, user, attributes={"plan": "premium"}) for user in users
        }
        others = {router.assign(*PROMPT, user).version for user in users}

    assert {each.version for each in premium.values()} == {"1.0.0", "1.1.0"}
    for user in users[:20]:
        named = await house.experiments.get_variant_for_user("greeting_premium", user)
        assert named == premium[user].version
    assert others == {"1.0.0"}


async def test_a_new_rule_reaches_a_router_at_its_next_refresh(house: House) -> None:
    segments = SegmentManager(house.database)
    async with SegmentRouter(house.database, poll=timedelta(hours=1)) as router:
        await segments.define(*PROMPT, "beta", "staff")
        before = router.segment_of(*PROMPT, "u", attributes={"staff": True})
        await router.refresh()
        after = router.segment_of(*PROMPT, "u", attributes={"staff": True})
        await segments.remove(*PROMPT, "beta")
        await router.refresh()
        gone = router.segment_of(*PROMPT, "u", attributes={"staff": True})

    assert (before, after, gone) == (None, "beta", None)


@pytest.mark.parametrize(
    ("user", "attributes"),
    [("u", 7), ("u", [1]), (None, {"plan": "premium"}), ("\ud800", {"plan": object()})],
)
async def test_serving_never_raises(house: House, user: object, attributes: object) -> None:
    async with SegmentRouter(house.database) as router:
        known = router.assign(*PROMPT, user, attributes=attributes)  # type: ignore[arg-type]
        unknown = router.assign([], {}, user, attributes=attributes, default="x")  # type: ignore[arg-type]

    assert known.version == "1.0.0"
    assert unknown.version == "x"


async def test_without_a_database_a_router_goes_on_with_the_segments_it_knows(
    tmp_path: Path,
) -> None:
    database = Database(f"sqlite:///{tmp_path}/rampart.db")
    house = House(database)
    await house.furnish()
    await SegmentManager(database).define(*PROMPT, "premium", PREMIUM)

    async with SegmentRouter(database, poll=timedelta(hours=1)) as router:
        await database.dispose()
        for file in tmp_path.iterdir():
            file.unlink()
        tmp_path.rmdir()
        await router.refresh()
        segment = router.segment_of(*PROMPT, "u", attributes={"plan": "premium"})
        served = router.assign(*PROMPT, "u", attributes={"plan": "premium"})
        await database.dispose()

    assert segment == "premium"
    assert (served.version, served.reason) == ("1.0.0", Reason.STALE)


async def test_a_prompt_without_segments_is_served_as_by_a_router(database: Database) -> None:
    house = House(database)
    await house.furnish()
    await house.ramped(1)

    async with Router(database) as plain, SegmentRouter(database) as router:
        users = [f"user-{n}" for n in range(100)]
        assert [router.assign(*PROMPT, user, attributes={"plan": "x"}) for user in users] == [
            plain.assign(*PROMPT, user) for user in users
        ]


async def test_an_orphan_is_rolled_back_only_if_the_workflow_left_it(house: House) -> None:
    await house.rollouts.open(ALONE, key="run-1", workflow_id="rollout/greeting.system")
    segments = SegmentManager(house.database)

    others = await segments.roll_back_orphan(*PROMPT, workflow_id="another", reason="gone")
    ours = await segments.roll_back_orphan(
        *PROMPT, workflow_id="rollout/greeting.system", reason="terminated"
    )
    again = await segments.roll_back_orphan(
        *PROMPT, workflow_id="rollout/greeting.system", reason="terminated"
    )

    assert (others, ours, again) == (False, True, False)
    assert (await house.get("1.0.0")).tags == ["production"]
