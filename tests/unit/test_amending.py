"""Plans changed in flight, on both databases: written once, or not at all; nobody notices."""

import pytest
from pydantic import JsonValue
from sqlmodel import select

from domain.amendment import Amendment
from domain.database import Database
from domain.errors import Conflict, InvalidPlan, NotFound
from domain.guardrail import Guardrail, Role
from domain.hindsight.counterfactual import what_if
from domain.hindsight.explanation import explain
from domain.hindsight.replay import replay
from domain.judge import Action, Standing
from domain.plan import RolloutPlan, preset
from domain.record import Decision, Kind, Rollout, RolloutStatus
from domain.tables import DecisionRow, RolloutRow
from tests.couple import Couple
from tests.finished import DEMO, TIME, Telling
from tests.house import USERS, House

PLAN = preset("aggressive")
# What is only read from the journal: that both databases keep it the same, others tell.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


def setting(**values: JsonValue) -> Amendment:
    return Amendment.parse({"set": {key.replace("__", "."): one for key, one in values.items()}})


async def kept(house: House) -> tuple[object, int]:
    """Return what an amendment might write to."""
    async with house.database.reading() as session:
        row = (await session.exec(select(RolloutRow))).one()
        lines = (await session.exec(select(DecisionRow.id))).all()
    return row.model_dump(), len(lines)


@pytest.mark.guarantee(5)
async def test_amend_in_flight_is_journalled_with_who_why_and_the_difference(house: House) -> None:
    rollout = await house.ramped(stage=1, plan=PLAN)

    made = await house.rollouts.amend(
        rollout.id, setting(stages__2__bake="2h"), key="a", by="ana", reason="it is quiet"
    )

    assert made.diff == ("stages.2.bake: 8h → 2h",)
    now = await house.rollouts.get(rollout.id)
    assert now.plan == made.after != rollout.plan
    line = (await journal(house, rollout))[-1]
    assert (line.kind, line.by) == (Kind.AMENDED, "ana")
    assert line.reason == "stages.2.bake: 8h → 2h: it is quiet"
    assert line.details
    assert RolloutPlan.model_validate(line.details["before"]) == PLAN
    assert RolloutPlan.model_validate(line.details["after"]) == now.plan
    assert line.details["diff"] == ["stages.2.bake: 8h → 2h"]


async def journal(house: House, rollout: Rollout) -> list[Decision]:
    return list(await house.rollouts.decisions(rollout.id))


async def test_an_amendment_that_is_sent_again_counts_once(house: House) -> None:
    rollout = await house.ramped(stage=1, plan=PLAN)
    first = await house.rollouts.amend(rollout.id, setting(final_bake="1h"), key="a")
    between = await house.rollouts.amend(rollout.id, setting(final_bake="2h"), key="b")

    again = await house.rollouts.amend(rollout.id, setting(final_bake="1h"), key="a")

    assert again == first
    assert (await house.rollouts.get(rollout.id)).plan == between.after
    assert len(await house.rollouts.amendments(rollout.id)) == 2


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (setting(stages__2__percent=40), "lowers stage 2"),
        (Amendment.parse({"set": {"stages": [{"percent": 10, "bake": "4h"}, {"percent": 100}]}}),
         "removes stage 2"),
        (setting(alpha=0.2), "widens"),
        (setting(final_bake="30m"), "changes nothing"),
    ],
)  # fmt: skip
async def test_an_amendment_that_is_refused_changes_nothing(
    house: House, wish: Amendment, why: str
) -> None:
    rollout = await house.ramped(stage=2, plan=PLAN)
    before = await kept(house)

    with pytest.raises(Conflict, match=why):
        await house.rollouts.amend(rollout.id, wish, key="a")

    assert await kept(house) == before


async def test_an_amendment_of_what_is_no_rollout_or_over_is_refused(house: House) -> None:
    rollout = await house.ramped(stage=1, plan=PLAN)
    with pytest.raises(NotFound):
        await house.rollouts.amend("r-0", setting(final_bake="1h"), key="a")
    with pytest.raises(InvalidPlan):
        await house.rollouts.amend(rollout.id, setting(final_bake="-1h"), key="a")
    await house.rollouts.roll_back(rollout.id, reason="enough")

    with pytest.raises(Conflict, match="is rolled_back, cannot be amended"):
        await house.rollouts.amend(rollout.id, setting(final_bake="1h"), key="a")


async def test_a_goal_that_has_shown_harm_once_is_never_weakened(house: House) -> None:
    goal = Guardrail(role=Role.GOAL)
    plan = DEMO.model_copy(update={"guardrails": (TIME, goal)})
    told = Telling(house, await house.open(plan=plan))
    await told.ramp()
    await told.watch(3, rates=(0.6, 0.95), split=0.5)
    assert told.verdict.readings[1].standing is Standing.HARMED
    await told.come(5000, 5000, rates=(1, 0.5))
    await told.check()

    for wish in (setting(guardrails__2__harm=0.5), setting(guardrails=["response_time"])):
        with pytest.raises(Conflict, match="guardrail success has shown harm: it stays as it is"):
            await house.rollouts.amend(told.rollout.id, wish, key="a")


@pytest.mark.guarantee(12)
async def test_no_treated_user_flips_over_amendments(house: House) -> None:
    rollout = await house.ramped(stage=1, plan=PLAN)
    treated = await served(house)
    many: list[JsonValue] = [
        {"percent": 10, "bake": "4h"},
        {"percent": 20},
        {"percent": 60},
        {"percent": 100},
    ]

    await house.rollouts.amend(rollout.id, setting(stages=many), key="a")
    amended = await served(house)
    epoch = rollout.epoch
    ramped = []
    for stage in (2, 3, 4):
        epoch = await house.rollouts.ramp(rollout.id, stage=stage, epoch=epoch)
        await house.rollouts.amend(rollout.id, setting(final_bake=f"{stage}h"), key=f"a{stage}")
        ramped.append(await served(house))

    assert amended == treated
    for smaller, larger in zip([treated, *ramped], ramped, strict=False):
        assert smaller < larger
    assert [round(len(users) / len(USERS), 1) for users in ramped] == [0.2, 0.6, 1.0]


async def served(house: House) -> set[str]:
    """Return who gets the candidate."""
    snapshot = await house.routing.snapshot("greeting", "system")
    assert snapshot
    return {user for user in USERS if snapshot.evaluate(user).version == "1.1.0"}


async def amended_in_flight(house: House) -> Rollout:
    """Tell of a rollout that is watched in one way, then in another, and ends well."""
    told = Telling(house, await house.open(plan=DEMO))
    rollouts, known = house.rollouts, told.rollout.id
    await told.come(0, 300, rates=(1, 0.95))
    await told.ramp()
    await told.watch(3, rates=(0.95, 0.95))
    watching: list[JsonValue] = [
        {"metric": "success", "min_events": 50},
        {"metric": "response_time", "min_events": 50},
    ]
    await rollouts.amend(known, setting(guardrails=watching), key="a")
    await rollouts.amend(known, setting(stages__2__promote_when="not_harmed"), key="b")
    await told.watch(3, rates=(0.95, 0.95))
    await told.ramp()
    await told.watch(3, rates=(0.95, 0.95), split=0.5)
    await rollouts.amend(known, setting(guardrails=["success"], alpha=0.02), key="c")
    await told.watch(2, rates=(0.95, 0.95), split=0.5)
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95), split=0.9)
    await told.promote()
    await rollouts.amend(known, setting(final_bake="9s"), key="d")
    await told.check()
    await told.complete()
    return await rollouts.get(known)


@pytest.mark.guarantee(5)
async def test_amend_in_flight_evidence_continues_and_replay_finds_no_difference(
    house: House,
) -> None:
    rollout = await amended_in_flight(house)
    checks = await house.rollouts.checks(rollout.id)
    changes = await house.rollouts.amendments(rollout.id)

    assert rollout.status is RolloutStatus.PROMOTED
    assert replay(rollout.plan, checks, changes) == []
    assert replay(rollout.plan, checks) != []
    totals = [check.evidence.trails[0].total for check in checks]
    assert totals == sorted(totals)  # nothing was forgotten
    assert [len(check.evidence.trails) for check in checks] == [1] * 3 + [2] * 6 + [1] * 5
    shares = [check.evidence.stakes for check in checks]
    assert shares[2] == ()
    assert shares[3][0] == pytest.approx(0.5)
    assert 0 < shares[3][1] < 0.5
    assert shares[9][0] < 1  # and what the second one held is not got back for nothing


@ON_SQLITE
async def test_an_amended_rollout_is_explained_by_the_plan_of_the_check(house: House) -> None:
    told = Telling(house, await house.open(plan=DEMO))
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95))
    both: list[JsonValue] = [{"metric": "success"}, {"metric": "response_time", "min_events": 50}]
    made = await house.rollouts.amend(told.rollout.id, setting(guardrails=both), key="a")
    checks = await house.rollouts.checks(told.rollout.id)
    before = explain(made.before, checks[-1])
    await told.watch(1, rates=(0.95, 0.95))
    (latest,) = (await house.rollouts.checks(told.rollout.id))[-1:]

    after = explain(made.after, latest)

    assert [one.guardrail for one in before.guardrails] == ["success"]
    assert [one.guardrail for one in after.guardrails] == ["success", "response_time"]
    spent = [one.alpha for one in after.guardrails]
    assert spent[0] == pytest.approx(0.025)
    assert spent[1] < 0.025
    assert made.diff[-1].startswith("guardrail response_time may spend 0.0")


@ON_SQLITE
async def test_what_if_judges_what_was_added_in_flight_from_then_on(house: House) -> None:
    rollout = await amended_in_flight(house)
    checks = await house.rollouts.checks(rollout.id)
    changes = await house.rollouts.amendments(rollout.id)
    other = DEMO.model_copy(update={"guardrails": (Guardrail(), TIME)})

    found = what_if(rollout.plan, other, checks, changes)

    assert [len(check.other.readings) for check in found.checks] == [1] * 3 + [2] * 6 + [1] * 5
    assert "response_time: judged only while the rollout's own plan counted it" in found.notes


async def test_harm_in_what_was_added_in_flight_rolls_back(house: House) -> None:
    told = Telling(house, await house.open(plan=DEMO))
    await told.come(0, 300, rates=(1, 0.95))
    await told.ramp()
    await told.watch(2, rates=(0.95, 0.95))
    both: list[JsonValue] = [{"metric": "success"}, {"metric": "response_time", "min_events": 50}]
    await house.rollouts.amend(told.rollout.id, setting(guardrails=both), key="a")

    await told.watch(12, rates=(0.95, 0.95), slower=2.0, split=0.3)

    assert told.verdict.action is Action.ROLL_BACK
    assert told.verdict.reason.startswith("response_time: ")


async def test_the_plan_of_a_bundle_is_amended_for_all_or_for_none(database: Database) -> None:
    couple = Couple(database)
    await couple.furnish()
    plan = DEMO.model_copy(update={"guardrails": (Guardrail(), TIME)})
    leader = await couple.open(plan=plan)
    await couple.rollouts.ramp(leader.id, stage=1, epoch=leader.epoch)
    await couple.rollouts.check(leader.id, number=1)
    along = await couple.along(leader)

    made = await couple.rollouts.amend(leader.id, setting(guardrails=["success"]), key="a")
    await couple.rollouts.check(leader.id, number=2)
    with pytest.raises(Conflict, match="widens"):
        await couple.rollouts.amend(leader.id, setting(alpha=0.5), key="b")

    for one in (leader.id, along.id):
        now = await couple.rollouts.get(one)
        changes = await couple.rollouts.amendments(one)
        judged = [
            change.model_copy(update={"before": now.judging(change.before)}) for change in changes
        ]
        assert now.plan == made.after
        assert len(changes) == 1
        assert replay(now.judging(now.plan), await couple.rollouts.checks(one), judged) == []
