"""Bundles on both databases: several prompts ramp, are judged, promoted and restored as one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from sqlmodel import select

from domain import PromptVariant, VersionStatus
from domain.bundles.companions import MOST, Companion
from domain.bundles.verdicts import parted, together
from domain.database import Database
from domain.errors import Conflict, DomainError, Fenced, InvalidPlan, NotFound
from domain.guardrail import Guardrail
from domain.hindsight.explanation import explain
from domain.hindsight.replay import replay
from domain.judge import Action, Reading, Standing, Verdict
from domain.plan import RolloutPlan, RolloutRequest, Stage, preset
from domain.record import Kind, RolloutStatus
from domain.routing import claim_epoch
from domain.tables import ExperimentRow, RolloutRow
from tests.couple import ALONG, Couple, come
from tests.house import House

SMALL: dict[str, JsonValue] = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": "standard",
}
EVIDENCE = RolloutPlan(stages=(Stage(percent=50), Stage(percent=100)))
OLD, NEW = ("1.0.0", "1.0.0"), ("1.1.0", "1.1.0")


@pytest.fixture
async def couple(database: Database) -> Couple:
    couple = Couple(database)
    await couple.furnish()
    return couple


async def test_a_bundle_ramps_promotes_and_completes_as_one(couple: Couple) -> None:
    rollout = await couple.completed()

    assert await couple.shares() == [1.0, 1.0]
    for facts in await couple.facts():
        assert facts["versions"] == {
            "1.1.0": (VersionStatus.PRODUCTION, ["production"]),
            "1.0.0": (VersionStatus.DEPRECATED, []),
        }
    along = await couple.along(rollout)
    assert (along.status, along.bundle_id) == (RolloutStatus.PROMOTED, rollout.id)
    assert [str(member) for member in along.bundle] == [
        "greeting.system 1.0.0 → 1.1.0",
        "farewell.system 1.0.0 → 1.1.0",
    ]


@pytest.mark.parametrize("name", ["demo", "standard", "conservative"])
async def test_who_gets_one_candidate_gets_them_all_at_every_stage(
    couple: Couple, name: str
) -> None:
    plan = preset(name)
    rollout = await couple.open(plan=plan)
    epoch, treated = rollout.epoch, 0

    for stage in range(1, len(plan.stages) + 1):
        epoch = await couple.rollouts.ramp(rollout.id, stage=stage, epoch=epoch)
        served = await couple.served()

        assert set(served) == {OLD, NEW}
        assert served.count(NEW) > treated
        treated = served.count(NEW)


async def test_the_prompts_of_a_bundle_share_one_salt_and_others_do_not(couple: Couple) -> None:
    rollout = await couple.open()
    other = House(couple.greeting.database, name="other")
    await other.furnish()
    alone = await other.open(key="run-2")

    async with couple.greeting.database.reading() as session:
        salts = {row.rollout_id: row.salt for row in await session.exec(select(ExperimentRow))}

    along = await couple.along(rollout)
    assert salts[rollout.id] == salts[along.id] != salts[alone.id]


@pytest.mark.guarantee(11)
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
async def test_a_rollback_restores_every_prompt_exactly(couple: Couple, stage: int) -> None:
    before = await couple.facts()
    rollout = await couple.ramped(stage=stage)

    await couple.rollouts.roll_back(rollout.id, reason="too slow", by="ana")

    assert await couple.facts() == before
    assert await couple.rollouts.differences(rollout.id) == []
    along = await couple.along(rollout)
    assert (along.status, along.percent) == (RolloutStatus.ROLLED_BACK, 0.0)


async def test_a_companion_stands_for_its_bundle(couple: Couple) -> None:
    before = await couple.facts()
    rollout = await couple.ramped(stage=2)
    along = await couple.along(rollout)

    await couple.rollouts.roll_back(along.id, reason="rude", by="ana")

    assert await couple.facts() == before
    ended = await couple.rollouts.get(rollout.id)
    assert ended.status is RolloutStatus.ROLLED_BACK


async def test_a_completed_bundle_is_rolled_back_as_one(couple: Couple) -> None:
    before = await couple.facts()
    rollout = await couple.completed()

    await couple.rollouts.roll_back(rollout.id, reason="found a day later")

    assert await couple.facts() == before


@pytest.mark.parametrize("moved", ["greeting", "farewell"])
async def test_no_prompt_of_a_completed_bundle_is_restored_once_one_has_moved_on(
    couple: Couple, moved: str
) -> None:
    rollout = await couple.completed()
    house = {"greeting": couple.greeting, "farewell": couple.farewell}[moved]
    await house.version("1.2.0")
    await house.put_in_production("1.2.0")
    before = await couple.facts()

    with pytest.raises(Conflict, match="production has moved on"):
        await couple.rollouts.roll_back(rollout.id, reason="too late")

    assert await couple.facts() == before


async def test_what_a_rollback_did_not_restore_names_its_prompt(couple: Couple) -> None:
    rollout = await couple.ramped(stage=1)
    await couple.rollouts.roll_back(rollout.id, reason="errors")
    baseline = await couple.farewell.get("1.0.0")
    await couple.farewell.versions.update_status(baseline.version_id, VersionStatus.ARCHIVED)

    assert await couple.rollouts.differences(rollout.id) == [
        "farewell.system: status of 1.0.0 is archived, was production"
    ]


async def change(house: House) -> None:
    """Let somebody else change what the prompt serves."""
    async with house.database.transaction() as session:
        await claim_epoch(session, house.name, "system")


@pytest.mark.parametrize("fenced", ["greeting", "farewell"])
async def test_one_prompt_that_cannot_ramp_leaves_the_others_untouched(
    couple: Couple, fenced: str
) -> None:
    rollout = await couple.ramped(stage=1)
    await change({"greeting": couple.greeting, "farewell": couple.farewell}[fenced])
    before, lines = await couple.facts(), await couple.rollouts.decisions(rollout.id)

    with pytest.raises(Fenced, match=rf"{fenced}\.system is at epoch \d+, this writer holds"):
        await couple.rollouts.ramp(rollout.id, stage=2, epoch=rollout.epoch)

    assert await couple.facts() == before
    assert await couple.rollouts.decisions(rollout.id) == lines
    assert await couple.rollouts.get(rollout.id) == rollout


@pytest.mark.guarantee(11)
@pytest.mark.parametrize("fenced", ["greeting", "farewell"])
async def test_one_prompt_that_cannot_be_promoted_leaves_the_others_untouched(
    couple: Couple, fenced: str
) -> None:
    rollout = await couple.ramped(stage=3)
    await change({"greeting": couple.greeting, "farewell": couple.farewell}[fenced])
    before, lines = await couple.facts(), await couple.rollouts.decisions(rollout.id)

    with pytest.raises(Fenced, match=rf"{fenced}\.system is at epoch"):
        await couple.rollouts.promote(rollout.id, epoch=rollout.epoch)

    assert await couple.facts() == before
    assert await couple.rollouts.decisions(rollout.id) == lines


@pytest.mark.parametrize(
    ("greeting", "farewell", "action", "reason"),
    [
        ((97, 4), (79, 22), Action.ROLL_BACK, "farewell.system: success: 78.2% of 101 events"),
        ((79, 22), (97, 4), Action.ROLL_BACK, "greeting.system: success: 78.2% of 101 events"),
        ((97, 4), (90, 11), Action.HOLD, "farewell.system: success: 89.1% of 101 events"),
        ((97, 4), (0, 0), Action.HOLD, "farewell.system: success: no events yet in this stage"),
        ((97, 4), (97, 4), Action.ADVANCE, "greeting.system: success: 96.0% of 101 events"),
    ],
)
async def test_any_harm_rolls_back_and_all_must_agree_to_advance(
    couple: Couple,
    greeting: tuple[int, int],
    farewell: tuple[int, int],
    action: Action,
    reason: str,
) -> None:
    rollout = await couple.ramped(stage=1)
    await couple.greeting.events("1.1.0", good=greeting[0], bad=greeting[1])
    await couple.farewell.events("1.1.0", good=farewell[0], bad=farewell[1])

    verdict = await couple.rollouts.check(rollout.id, number=1)

    assert verdict.action is action
    assert verdict.reason.startswith(reason)
    assert ("greeting" in verdict.reason) == (action is Action.ADVANCE or "greeting" in reason)
    assert [reading.guardrail for reading in verdict.readings] == [
        "greeting.system success",
        "farewell.system success",
    ]


async def test_a_repeated_check_answers_as_it_did(couple: Couple) -> None:
    rollout = await couple.ramped(stage=1)
    first = await couple.rollouts.check(rollout.id, number=1)
    await couple.farewell.events("1.1.0", good=0, bad=500)

    assert await couple.rollouts.check(rollout.id, number=1) == first
    assert (await couple.rollouts.check(rollout.id, number=2)).action is Action.ROLL_BACK


async def test_each_prompt_is_judged_by_its_part_of_alpha_and_replays_exactly(
    couple: Couple,
) -> None:
    rollout = await couple.ramped(stage=1, plan=EVIDENCE)
    for number, rate in enumerate((0.95, 0.6), start=1):
        await come(couple.greeting, "1.0.0", 200 * number, rate=0.95)
        await come(couple.greeting, "1.1.0", 200 * number, rate=0.95)
        await come(couple.farewell, "1.0.0", 200 * number, rate=0.95)
        await come(couple.farewell, "1.1.0", 200 * number, rate=rate)
        verdict = await couple.rollouts.check(rollout.id, number=number)

    assert verdict.action is Action.ROLL_BACK
    assert verdict.reason.startswith("farewell.system: success: ")
    assert verdict.reason.endswith("needs 40")
    for member in (rollout, await couple.along(rollout)):
        checks, judged_by = await couple.rollouts.checks(member.id), member.judging(member.plan)
        assert [len(checks), replay(judged_by, checks)] == [2, []]
        assert explain(judged_by, checks[-1]).alpha == EVIDENCE.alpha / 2
        assert replay(member.plan, checks) != []  # by all of alpha they were not


async def test_a_bundle_has_one_journal_whoever_is_asked(couple: Couple) -> None:
    await couple.farewell.version("2.0.0")
    rollout = await couple.open(ALONG.model_copy(update={"candidate": "2.0.0"}))
    await couple.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
    await couple.rollouts.note(
        rollout.id, key="message:1", kind=Kind.PAUSED, by="ana", reason="lunch"
    )
    await couple.farewell.events("2.0.0", good=0, bad=500)
    await couple.rollouts.check(rollout.id, number=1)
    await couple.rollouts.roll_back(rollout.id, reason="farewell.system is worse")

    lines = await couple.rollouts.decisions(rollout.id)

    assert [(line.kind, line.reason) for line in lines] == [
        (
            Kind.OPENED,
            "greeting.system: 1.1.0 is to replace production by plan demo;"
            " farewell.system: 2.0.0 is to replace production by plan demo",
        ),
        (
            Kind.RAMPED,
            "greeting.system: 10 % of users get 1.1.0 (stage 1 of 3);"
            " farewell.system: 10 % of users get 2.0.0 (stage 1 of 3)",
        ),
        (Kind.PAUSED, "lunch"),
        (
            Kind.CHECKED,
            "farewell.system: success: 0.0% of 500 events, below the floor of 80.0%",
        ),
        (Kind.ROLLING_BACK, "farewell.system is worse"),
        (Kind.ROLLED_BACK, "farewell.system is worse"),
    ]
    assert [len(line.readings) for line in lines] == [0, 0, 0, 2, 0, 0]
    along = await couple.along(rollout)
    assert await couple.rollouts.decisions(along.id) == lines
    assert await couple.rollouts.decisions(rollout.id, limit=2) == lines[-2:]


async def test_opening_twice_with_one_key_opens_once(couple: Couple) -> None:
    first, again = await couple.open(), await couple.open()

    assert first == again
    async with couple.greeting.database.reading() as session:
        assert len((await session.exec(select(RolloutRow))).all()) == 2


async def test_a_second_rollout_of_a_companion_is_told_who_leads_it(couple: Couple) -> None:
    await couple.ramped(stage=1)
    await couple.farewell.version("1.2.0")

    with pytest.raises(
        Conflict, match=r"at 10 %, part of the bundle led by greeting\.system; wait"
    ):
        await couple.farewell.open("1.2.0", key="run-2")


async def test_the_leader_of_a_companion_is_known(couple: Couple) -> None:
    rollout = await couple.open()

    assert await couple.rollouts.leader("farewell", "system") == rollout
    assert await couple.rollouts.leader("greeting", "system") is None
    assert await couple.rollouts.leader("nobody", "knows") is None


async def live_elsewhere(couple: Couple) -> None:
    await couple.farewell.open(key="run-0")


async def experiment_running(couple: Couple) -> None:
    await couple.farewell.experiments.create_experiment(
        "farewell", "system", [PromptVariant("1.0.0", 1), PromptVariant("1.1.0", 1)]
    )


async def in_production(couple: Couple) -> None:
    await couple.farewell.put_in_production("1.1.0")


async def archived(couple: Couple) -> None:
    candidate = await couple.farewell.get("1.1.0")
    await couple.farewell.versions.update_status(candidate.version_id, VersionStatus.ARCHIVED)


async def nothing(_couple: Couple) -> None:
    """Leave it as it is."""


@pytest.mark.parametrize(
    ("prepare", "companion", "kind", "message"),
    [
        (live_elsewhere, {}, Conflict, r"a rollout of farewell\.system is live already"),
        (experiment_running, {}, Conflict, r"on farewell\.system is running: complete or stop it"),
        (in_production, {}, Conflict, r"1\.1\.0 of farewell\.system is in production already"),
        (archived, {}, Conflict, r"1\.1\.0 of farewell\.system is archived: only an active"),
        (
            nothing,
            {"candidate": "9.9.9"},
            NotFound,
            r"'9\.9\.9' of farewell\.system does not exist",
        ),
        (nothing, {"name": "unknown"}, NotFound, r"unknown\.system has no production version"),
    ],
)
async def test_a_bundle_that_cannot_be_opened_whole_is_not_opened_at_all(
    couple: Couple,
    prepare: object,
    companion: dict[str, str],
    kind: type[DomainError],
    message: str,
) -> None:
    assert callable(prepare)
    await prepare(couple)
    before, rollouts = await couple.facts(), await couple.rollouts.list()
    experiments = await couple.greeting.experiments.list_experiments()

    with pytest.raises(kind, match=message):
        await couple.open(ALONG.model_copy(update=companion))

    assert await couple.facts() == before
    assert await couple.rollouts.list() == rollouts
    assert await couple.greeting.experiments.list_experiments() == experiments


@pytest.mark.parametrize(
    ("companions", "message"),
    [
        ([("greeting", "system")], "companions.0 names greeting.system again: each prompt once"),
        ([("a", "system")] * 2, "companions.1 names a.system again: each prompt once"),
        (
            [(f"p{number}", "system") for number in range(MOST + 1)],
            "companions: Tuple should have at most 20 items after validation, not 21",
        ),
    ],
)
def test_a_bundle_names_each_of_at_most_21_prompts_once(
    companions: list[tuple[str, str]], message: str
) -> None:
    named: list[JsonValue] = [
        {"name": name, "prompt_type": kind, "candidate": "1.0.0"} for name, kind in companions
    ]

    with pytest.raises(InvalidPlan) as refused:
        RolloutRequest.parse(SMALL | {"companions": named})

    assert str(refused.value).removeprefix("request: ").startswith(message)
    assert "\n" not in str(refused.value)


def test_an_unknown_field_of_a_companion_is_refused_by_name() -> None:
    wrong: JsonValue = {"name": "a", "prompt_type": "b", "candidate": "1.0.0", "plan": "demo"}

    with pytest.raises(InvalidPlan, match=r"companions\.0: unknown field 'plan'"):
        RolloutRequest.parse(SMALL | {"companions": [wrong]})


async def test_bundles_that_share_prompts_wait_for_one_another_and_never_in_a_circle(
    couple: Couple,
) -> None:
    back = Companion(name="greeting", prompt_type="system", candidate="1.1.0")
    pairs = [
        (couple.open(key=f"there-{number}"), couple.open(back, key=f"b-{number}", name="farewell"))
        for number in range(5)
    ]

    found = await asyncio.gather(*(each for pair in pairs for each in pair), return_exceptions=True)

    opened = [one for one in found if not isinstance(one, BaseException)]
    refused = [one for one in found if isinstance(one, BaseException)]
    assert len(opened) == 1
    assert all(isinstance(one, Conflict) for one in refused), refused
    assert len(await couple.rollouts.list()) == 2


async def test_two_writers_of_one_bundle_follow_one_another(couple: Couple) -> None:
    rollout = await couple.ramped(stage=1)
    along = await couple.along(rollout)

    await asyncio.gather(
        *(couple.rollouts.roll_back(one.id, reason="both") for one in (rollout, along) * 3)
    )

    kinds = [line.kind for line in await couple.rollouts.decisions(rollout.id)]
    assert kinds.count(Kind.ROLLED_BACK) == 1


@given(
    alphas=st.lists(st.floats(0.001, 0.01) | st.none(), min_size=1, max_size=4),
    among=st.integers(1, MOST + 1),
)
def test_the_parts_of_alpha_sum_to_what_the_plan_may_spend(
    alphas: list[float | None], among: int
) -> None:
    names = ("success", "response_time", "tokens", "user_rating")
    guardrails = tuple(
        Guardrail(metric=name, alpha=alpha) for name, alpha in zip(names, alphas, strict=False)
    )
    plan = EVIDENCE.model_copy(update={"guardrails": guardrails})

    policy = parted(plan, among=among).policy_at(1)

    assert policy.alpha * among == pytest.approx(plan.alpha)
    assert policy.weights == pytest.approx(plan.policy_at(1).weights)
    assert sum(policy.weights) <= 1 + 1e-9


def test_one_verdict_names_who_decided_it() -> None:
    fine = Verdict(action=Action.ADVANCE, reason="success: fine")
    bad = Verdict(
        action=Action.ROLL_BACK,
        reason="success: awful",
        readings=(Reading(guardrail="success", standing=Standing.HARMED, evidence="awful"),),
    )

    assert together({"a.x": fine}) == fine
    both = together({"a.x": fine, "b.x": bad})
    assert (both.action, both.reason) == (Action.ROLL_BACK, "b.x: success: awful")
    assert [reading.guardrail for reading in both.readings] == ["b.x success"]
