"""domain.judge: the decision table, as a table."""

from datetime import timedelta

import pytest

from domain.guardrail import Guardrail, GuardrailKind, Role
from domain.judge import Action, Reading, Standing, read, unreadable, verdict
from domain.policy import Policy

HARMED, SAFE, NOT_HARMED, UNDECIDED, ERROR = Standing


@pytest.mark.parametrize(
    ("standings", "action"),
    [
        ([], Action.HOLD),
        ([SAFE, SAFE], Action.ADVANCE),
        ([SAFE, NOT_HARMED], Action.ADVANCE),
        ([SAFE, UNDECIDED], Action.HOLD),
        ([SAFE, ERROR], Action.HOLD),
        ([UNDECIDED, HARMED], Action.ROLL_BACK),
        ([ERROR, HARMED], Action.ROLL_BACK),
        ([SAFE, HARMED], Action.ROLL_BACK),
    ],
)
def test_harm_rolls_back_doubt_holds_and_blindness_never_advances(
    standings: list[Standing], action: Action
) -> None:
    readings = [Reading(guardrail="success", standing=s, evidence="…") for s in standings]

    assert verdict(readings).action is action


def test_the_reason_names_the_guardrails_at_fault() -> None:
    harmed = Reading(guardrail="success", standing=HARMED, evidence="71.0% of 200 events")
    safe = Reading(guardrail="rating", standing=SAFE, evidence="4.2")

    assert verdict([safe, harmed]).reason == "success: 71.0% of 200 events"


@pytest.mark.parametrize(
    ("events", "rate", "standing"),
    [
        (0, 0.0, UNDECIDED),
        (100, 0.0, UNDECIDED),
        (101, 0.799, HARMED),
        (101, 0.8, UNDECIDED),
        (101, 0.949, UNDECIDED),
        (101, 0.95, SAFE),
        (10**9, 1.0, SAFE),
        (-1, 0.9, ERROR),
        (200, float("nan"), ERROR),
        (200, 1.01, ERROR),
        (200, -0.01, ERROR),
    ],
)
def test_a_rate_is_read_by_the_thresholds_of_the_seed(
    events: int, rate: float, standing: Standing
) -> None:
    assert (
        read(Guardrail(kind=GuardrailKind.THRESHOLD), events=events, rate=rate).standing is standing
    )


def test_what_could_not_be_measured_holds_and_says_so() -> None:
    held = unreadable("disk I/O error", lasted=timedelta(days=9), policy=Policy())

    assert (held.action, held.reason) == (Action.HOLD, "metrics unreadable: disk I/O error")
    assert [reading.standing for reading in held.readings] == [ERROR]


@pytest.mark.parametrize(
    ("minutes", "action"), [(14, Action.HOLD), (15, Action.ROLL_BACK), (99, Action.ROLL_BACK)]
)
def test_who_fears_blindness_is_rolled_back_once_it_has_lasted(
    minutes: int, action: Action
) -> None:
    afraid = Policy(guardrails=(Guardrail(when_blind="roll_back"),))

    found = unreadable("no route", lasted=timedelta(minutes=minutes), policy=afraid)

    assert found.action is action


@pytest.mark.parametrize(
    ("role", "dry_run", "action"),
    [
        (Role.GUARDRAIL, False, Action.ROLL_BACK),
        (Role.GOAL, False, Action.HOLD),
        (Role.INFO, False, Action.ADVANCE),
        (Role.GUARDRAIL, True, Action.ADVANCE),
    ],
)
def test_only_a_guardrail_that_acts_rolls_back(role: Role, dry_run: bool, action: Action) -> None:
    fine = Reading(guardrail="success", standing=NOT_HARMED, evidence="…")
    harmed = Reading(guardrail="tokens", standing=HARMED, evidence="…", role=role, dry_run=dry_run)

    assert verdict([fine, harmed]).action is action
