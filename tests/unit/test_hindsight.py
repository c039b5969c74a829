"""Decisions made again from the journal: by the same policy, and by another."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select

from domain.database import Database
from domain.errors import InvalidValue
from domain.evidence.looks import METHOD, Judged
from domain.guardrail import Guardrail, GuardrailKind
from domain.hindsight.counterfactual import WhatIf, what_if
from domain.hindsight.replay import Difference, replay
from domain.plan import RolloutPlan
from domain.record import Rollout, RolloutStatus
from domain.tables import DecisionRow, EvidenceRow
from tests.finished import DEMO, LIMIT, STORIES, TIME, Archive, tell
from tests.house import BY_THRESHOLD, House

ENDS = {
    "healthy": RolloutStatus.PROMOTED,
    "dry run": RolloutStatus.PROMOTED,
}


@pytest.fixture
async def house(database: Database) -> House:
    house = House(database)
    await house.furnish()
    return house


async def replayed(house: House, rollout: Rollout) -> list[Difference]:
    found = await house.rollouts.get(rollout.id)
    return replay(found.plan, await house.rollouts.checks(rollout.id))


async def on(archive: Archive, name: str, other: RolloutPlan) -> WhatIf:
    house, rollout = await archive.find(name)
    return what_if(rollout.plan, other, await house.rollouts.checks(rollout.id))


@pytest.mark.guarantee(7)
@pytest.mark.parametrize("name", STORIES)
async def test_a_finished_rollout_is_replayed_without_a_difference(
    archive: Archive, name: str
) -> None:
    house, rollout = await archive.find(name)

    checks = await house.rollouts.checks(rollout.id)

    assert rollout.status is ENDS.get(name, RolloutStatus.ROLLED_BACK)
    assert len(checks) >= 2
    assert replay(rollout.plan, checks) == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", STORIES)
async def test_postgresql_keeps_a_journal_that_is_replayed_without_a_difference(
    house: House, name: str
) -> None:
    rollout = await tell(house, name)

    checks = await house.rollouts.checks(rollout.id)

    assert rollout.status is ENDS.get(name, RolloutStatus.ROLLED_BACK)
    assert len(checks) >= 2
    assert replay(rollout.plan, checks) == []


def counted(row: EvidenceRow, _line: DecisionRow) -> None:
    first, *others = row.look["samples"]
    counts = [first["counts"][0] | {"s_t": first["counts"][0]["s_t"] - 1}]
    row.look = row.look | {"samples": [first | {"counts": counts}, *others]}


def believed(row: EvidenceRow, _line: DecisionRow) -> None:
    row.evidence = row.evidence | {"peak": row.evidence["peak"] + 1e-15}


def judged_by(row: EvidenceRow, _line: DecisionRow) -> None:
    row.policy = "0" * 12


def decided(_row: EvidenceRow, line: DecisionRow) -> None:
    line.action = "roll_back"


def reasoned(_row: EvidenceRow, line: DecisionRow) -> None:
    line.reason += "!"


def read(_row: EvidenceRow, line: DecisionRow) -> None:
    line.readings = [line.readings[0] | {"standing": "safe"}]


@pytest.mark.guarantee(7)
@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        (counted, "evidence.trails[0].harm[0].wealth[0]"),
        (believed, "evidence.peak"),
        (judged_by, "policy"),
        (decided, "verdict.action"),
        (reasoned, "verdict.reason"),
        (read, "verdict.readings[0].standing"),
    ],
)
async def test_one_changed_row_of_the_journal_is_found(
    house: House, tamper: Callable[[EvidenceRow, DecisionRow], None], what: str
) -> None:
    rollout = await tell(house, "by a person")
    await change(house, rollout, tamper, number=3)

    found = await replayed(house, rollout)

    assert (3, what) in [(difference.number, difference.what) for difference in found]
    assert min(difference.number for difference in found) == 3


async def test_a_missing_row_of_the_journal_is_found(archive: Archive) -> None:
    house, rollout = await archive.find("healthy")
    checks = await house.rollouts.checks(rollout.id)

    found = replay(rollout.plan, [check for check in checks if check.number != 2])

    assert {difference.number for difference in found} >= {3}


async def test_a_look_that_nobody_can_have_had_is_told_as_such(house: House) -> None:
    rollout = await tell(house, "by a person")

    def emptied(row: EvidenceRow, _line: DecisionRow) -> None:
        row.look = row.look | {"samples": []}

    await change(house, rollout, emptied, number=3)

    found = await replayed(house, rollout)

    assert [(one.number, one.what) for one in found] == [(3, "look")]


async def test_a_check_of_another_method_is_not_compared(house: House) -> None:
    rollout = await tell(house, "by a person")

    def older(row: EvidenceRow, _line: DecisionRow) -> None:
        row.method = "e-0"

    await change(house, rollout, older, number=2)

    (found,) = await replayed(house, rollout)

    assert (found.number, found.what) == (2, "method")
    assert found.recorded == f"decided by method e-0, this is {METHOD}: not comparable"


async def test_a_plan_that_was_changed_afterwards_is_found(archive: Archive) -> None:
    house, rollout = await archive.find("by a person")
    eased = rollout.plan.model_copy(update={"alpha": 0.01})

    found = replay(eased, await house.rollouts.checks(rollout.id))

    assert {difference.number for difference in found if difference.what == "policy"} == {
        1,
        2,
        3,
        4,
    }


async def change(
    house: House,
    rollout: Rollout,
    tamper: Callable[[EvidenceRow, DecisionRow], None],
    *,
    number: int,
) -> None:
    """Write over one check of the journal."""
    async with house.database.transaction() as session:
        of_check = (EvidenceRow.rollout_id == rollout.id) & (EvidenceRow.number == number)
        row: Any = (await session.exec(select(EvidenceRow).where(of_check))).one()
        line = await session.get_one(DecisionRow, row.decision_id)
        tamper(row, line)
        session.add_all([row, line])


async def test_the_same_plan_would_have_decided_the_same(archive: Archive) -> None:
    found = await on(archive, "harmed late", DEMO)

    assert found.first is None
    assert found.recorded == found.other


async def test_a_smaller_alpha_would_have_rolled_back_later(archive: Archive) -> None:
    house, rollout = await archive.find("dry run")
    checks = await house.rollouts.checks(rollout.id)

    found = [what_if(rollout.plan, guarded(Guardrail(), alpha=a), checks) for a in (0.05, 0.001)]

    usual, careful = (one.other.rolled_back for one in found)
    assert found[0].recorded.rolled_back is None
    assert usual
    assert careful
    assert (usual.number, careful.number) == (3, 5)


@pytest.mark.guarantee(7)
async def test_thresholds_would_have_let_a_smaller_harm_pass(archive: Archive) -> None:
    found = await on(archive, "harmed late", BY_THRESHOLD)

    assert found.recorded.rolled_back
    assert found.recorded.rolled_back.stage == 2
    assert found.other.rolled_back is None
    assert found.first
    assert found.first.other.action != found.first.recorded.action
    assert "success: counted per user, as recorded, not per event" in found.notes


async def test_evidence_would_have_found_harm_before_the_thresholds_did(archive: Archive) -> None:
    found = await on(archive, "thresholds", guarded(Guardrail(min_events=0)))

    assert found.recorded.rolled_back
    assert found.other.rolled_back
    assert found.other.rolled_back.number <= found.recorded.rolled_back.number


async def test_it_says_since_when_each_stage_might_have_gone_on(archive: Archive) -> None:
    found = await on(archive, "healthy", guarded(Guardrail(min_events=150)))

    stages = [(moment.stage, moment.number) for moment in found.recorded.free_to_go_on]
    assert stages == [(1, 3), (2, 5), (3, 9)]
    stages = [(moment.stage, moment.number) for moment in found.other.free_to_go_on]
    assert stages == [(1, 4), (2, 5), (3, 9)]


async def test_a_plan_of_other_stages_is_told_so(archive: Archive) -> None:
    other = RolloutPlan.parse("stages: [{percent: 20}, {percent: 100}]")

    found = await on(archive, "by a person", other)

    assert "its stages are 20 % → 100 %; the evidence is of 10 % → 50 % → 100 %" in found.notes


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("harmed at 10 %", TIME, r"response_time \(harm 0.05, margin 0.1\) cannot be answered"),
        ("response time", LIMIT, r"response_time p95 limit \(3\) cannot be answered"),
        ("limit", TIME, r"recorded were success \(evidence\), response_time p95 limit \(3\)"),
        (
            "response time",
            Guardrail(metric="response_time", harm=0.2),
            r"\(harm 0.2, margin 0.1\) cannot be answered",
        ),
    ],
)
async def test_what_was_not_counted_is_not_answered(
    archive: Archive, name: str, asked: Guardrail, said: str
) -> None:
    with pytest.raises(InvalidValue, match=said):
        await on(archive, name, guarded(Guardrail(), asked))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("response time", TIME.model_copy(update={"min_events": 500})),
        ("limit", LIMIT.model_copy(update={"quantile": 0.5})),
        ("by a person", Guardrail(metric="user_rating", harm=0.2, margin=0.2)),
        ("healthy", Guardrail(kind=GuardrailKind.LIMIT, limit=0.9)),
    ],
)
async def test_what_was_counted_is_answered(archive: Archive, name: str, asked: Guardrail) -> None:
    found = await on(archive, name, guarded(asked))

    assert len(found.checks) >= 2


async def test_two_plans_can_be_told_apart_check_by_check(archive: Archive) -> None:
    house, rollout = await archive.find("by a person")
    checks: list[Judged] = list(await house.rollouts.checks(rollout.id))

    found = what_if(rollout.plan, guarded(Guardrail(min_events=0)), checks)

    assert [check.recorded for check in found.checks] == [check.verdict for check in checks]
    assert [check.differs for check in found.checks].count(True) >= 1


def guarded(*guardrails: Guardrail, alpha: float = 0.05) -> RolloutPlan:
    return DEMO.model_copy(update={"guardrails": guardrails, "alpha": alpha})
