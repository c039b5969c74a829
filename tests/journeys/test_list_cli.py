"""`rampart list`: the live rollouts first, who waits for what, and only what is asked for."""

import time
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from control.rollouts import Description
from terminal.listing import age, listing
from tests.typed import Rampart, Said, versions

SLOW = "stages: [{percent: 10, bake: 1h}, {percent: 100}]\ncheck_min: 500ms\n"
PROMPTS = ("older", "paused", "newest")
STATES = [
    ("newest.system", "baking"),
    ("paused.system", "paused"),
    ("older.system", "rolled_back"),
]


@pytest.fixture
def rollouts(rampart: Rampart, tmp_path: Path) -> None:
    """One that was rolled back, one that is paused, one that bakes; made once."""
    if rampart("list", "--json").json:
        return
    (tmp_path / "slow.yaml").write_text(SLOW)
    for name in PROMPTS:
        versions(rampart, f"{name}.system", "1.0.0", "1.1.0")
    for name in ("paused", "older", "newest"):
        assert rampart("start", f"{name}.system", "1.1.0", "--plan", "slow.yaml").code == 0
    rampart("pause", "paused.system", "--reason", "lunch")
    rampart("rollback", "older.system", "--reason", "rude")
    rampart("watch", "older.system")
    deadline = time.monotonic() + 30  # Temporal's lists lag a little
    while states(rampart("list", "--json")) != STATES:
        assert time.monotonic() < deadline, rampart("list").out
        time.sleep(0.2)


def states(said: Said) -> list[tuple[str, str]]:
    return [(one["prompt"], one["state"]) for one in said.json]


@pytest.mark.usefixtures("rollouts")
def test_the_live_ones_come_first_and_say_who_waits_for_what(rampart: Rampart) -> None:
    lines = [" ".join(line.split()) for line in rampart("list").out.splitlines()]

    assert lines[0] == "prompt change state ramp age waits for"
    assert lines[1].startswith("newest.system 1.0.0 → 1.1.0 baking █░░░░░░░░░ 10 % ")
    assert "stage 1 to bake until" in lines[1]
    assert "paused █░░░░░░░░░ 10 % " in lines[2]
    assert lines[2].endswith("somebody to resume it: paused by ann: lunch")
    assert lines[3].startswith("older.system 1.0.0 → 1.1.0 rolled back 0 % ")
    assert "ended " in lines[3]


@pytest.mark.usefixtures("rollouts")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--live", STATES[:2]),
        ("--state paused", STATES[1:2]),
        ("--state paused --state rolled_back", STATES[1:]),
        ("--limit 1", STATES[:1]),
        ("--live --state rolled_back", []),
    ],
)
def test_only_what_is_asked_for_is_listed(
    rampart: Rampart, options: str, expected: list[tuple[str, str]]
) -> None:
    assert states(rampart("list", *options.split(), "--json")) == expected


@pytest.mark.usefixtures("rollouts")
def test_nothing_of_that_kind_is_told_in_a_line(rampart: Rampart) -> None:
    said = rampart("list", "--state", "promoted")

    assert said.out == "no such rollout: `rampart list` shows all of them\n"


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_a_list_fits_any_width_and_loses_nothing(width: int) -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    memo: dict[str, object] = {
        "prompt": "a-rather-long-name.system",
        "change": "1.0.0 → 1.1.0",
        "phase": "waiting_for_approval",
        "percent": 50.0,
        "waiting_for": "an approval of stage 2; it has baked and the guardrails agree",
    }
    one = Description(workflow_id="w", run_id="r", status="running", started_at=now, memo=memo)
    console = Console(file=StringIO(), width=width, no_color=True)

    with console.capture() as captured:
        console.print(listing([one], now=now + timedelta(hours=30), width=width))

    told = captured.get()
    assert max(len(line) for line in told.splitlines()) <= width
    assert "waiting for approval" in told
    assert "1d" in told
    columns = "".join(told.split())
    assert "agree" in columns


@pytest.mark.parametrize(
    ("lasted", "told"),
    [
        (timedelta(milliseconds=300), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(minutes=90), "1h"),
        (timedelta(days=3, hours=5), "3d"),
    ],
)
def test_an_age_is_told_in_one_unit(lasted: timedelta, told: str) -> None:
    assert age(lasted) == told
