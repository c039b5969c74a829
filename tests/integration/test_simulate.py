"""`rampart simulate`, whole: the fast path, the real workflow, the picture."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.plan import RolloutPlan, preset
from domain.simulation.arrivals import Traffic
from domain.simulation.runs import Fate, simulate
from embedded.rehearsal import rehearsable, rehearse
from tests.typed import Rampart

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.timeout(300)


@pytest.mark.guarantee(8)
def test_it_tells_a_program_what_to_expect(alone: Rampart) -> None:
    code, out, err = alone(
        "simulate", "aggressive", "--users-per-hour", "2000", "--effect", "-0.2", "--runs", "50",
        "--fast", "--json",
    )  # fmt: skip

    told: dict[str, Any] = json.loads(out)
    assert (code, err) == (0, "")
    assert told["asked"]["rolled_back"]["share"] == 1
    assert told["asked"]["promoted"]["share"] == 0
    assert told["healthy"]["rolled_back"]["share"] < 0.2
    assert told["asked"]["hours"]["median"] < 1
    assert told["asked"]["exposed"]["median"] < 200
    assert [entry["what"] for entry in told["calendar"]][:3] == ["10 %", "50 %", "100 %"]
    assert told["real_workflow"] is None


def test_it_tells_a_person_in_a_table_and_draws(alone: Rampart, tmp_path: Path) -> None:
    more = ("--users-per-hour", "2000", "--effect", "-0.2", "--runs", "30", "--fast")

    code, out, _ = alone("simulate", "aggressive", *more, "--picture", "seen.png")
    alone("simulate", "aggressive", *more, "--picture", "seen.html")

    assert code == 0
    for words in ("-20 points (75 %)", "false rollback", "a miss", "users who met it", "complete"):
        assert words in out
    assert (tmp_path / "seen.png").read_bytes().startswith(PNG)
    page = (tmp_path / "seen.html").read_text()
    assert "data:image/png;base64," in page
    assert "http" not in page


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nightly", "--users-per-hour", "10"), "unknown plan 'nightly'"),
        (("demo", "--users-per-hour", "0"), "users_per_hour must be in (0, 1e9], got 0"),
        (
            ("demo", "--users-per-hour", "9", "--control-rate", "1"),
            "control_rate must be in (0, 1)",
        ),
        (("demo", "--users-per-hour", "9", "--effect", "0.1"), "control_rate + effect must be in"),
        (("demo", "--users-per-hour", "9", "--runs", "0"), "runs must be in [1, 100000], got 0"),
        (("demo", "--users-per-hour", "9", "--horizon", "soon"), "--horizon must be a duration"),
        (("demo", "--users-per-hour", "9", "--picture", "a.gif"), "must end in .png or .html"),
        (("demo", "--users-per-hour", "9", "--picture", "no/a.png"), "no directory no"),
        (("demo",), "missing option '--users-per-hour'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    alone: Rampart, words: tuple[str, ...], told: str
) -> None:
    code, out, err = alone("simulate", *words)

    assert (code, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_lint_says_with_the_arithmetic_where_too_few_users_come(
    alone: Rampart, tmp_path: Path
) -> None:
    (tmp_path / "plan.yaml").write_text(preset("standard").to_yaml())
    many = alone("plan", "lint", "plan.yaml", "--users-per-hour", "10000")

    code, out, _ = alone("plan", "lint", "plan.yaml", "--users-per-hour", "100")

    assert many[1] == "plan.yaml: a valid plan of 4 stages\n"
    assert code == 0
    assert "  but: stage 1 sees about 60 candidate users in its 12h (100 an hour × 5 %)" in out
    assert alone("plan", "lint", "plan.yaml", "--users-per-hour", "0")[0] == 2


@pytest.mark.guarantee(8)
async def test_the_real_workflow_rolls_back_as_the_simulated_ones_do() -> None:
    traffic = Traffic(users_per_hour=1000, control_rate=0.95, effect=-0.3)
    simulated = simulate(preset("aggressive"), traffic, runs=200)

    real = await rehearse(simulated, seed=7)

    assert (real.fate, real.stage, real.expected) == (Fate.ROLLED_BACK, 1, True)
    assert "evidence of harm" in real.reason
    assert 0 < real.exposed < 200
    assert real.remarks == ()


@pytest.mark.guarantee(8)
async def test_the_real_workflow_promotes_what_is_healthy_on_the_same_day() -> None:
    plan = RolloutPlan.parse(
        "stages: [{percent: 10, bake: 4h, approval: true}, {percent: 100, bake: 2h}]\n"
        "guardrails: [success, response_time]\ncheck_min: 10m\ncheck_max: 30m\n"
    )
    simulated = simulate(plan, Traffic(users_per_hour=1000, control_rate=0.95), runs=200)

    real = await rehearse(simulated, seed=7)

    assert (real.fate, real.stage, real.expected) == (Fate.PROMOTED, 2, True)
    assert 6.5 <= real.hours <= 7.2
    assert real.remarks == ("without response_time", "approvals given at once")


async def test_the_real_workflow_is_given_up_at_the_horizon() -> None:
    few = Traffic(users_per_hour=1, control_rate=0.95)
    horizon = timedelta(hours=1)
    simulated = simulate(preset("aggressive"), few, runs=20, horizon=horizon)

    real = await rehearse(simulated)

    assert (real.fate, real.expected) == (Fate.HOLDING, True)
    assert 1 <= real.hours < 1.5


def test_a_rehearsal_of_very_many_checks_makes_them_rarer_and_says_so() -> None:
    plan = RolloutPlan.parse(
        "stages: [{percent: 10, bake: 20h}, {percent: 100}]\ncheck_max: 30s\nfinal_bake: 0s"
    )
    simulated = simulate(plan, Traffic(users_per_hour=100, control_rate=0.95), runs=2)

    changed, remarks = rehearsable(simulated)

    assert changed.check_max == timedelta(minutes=1)
    assert remarks[0].startswith("check_max 1m, for ")
