"""What people see: every word of it also without colour, and in a narrow terminal."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console, RenderableType

from control.picture import Arm, Picture
from control.rollouts import Description
from domain.judge import Action, Reading, Standing, Verdict
from domain.plan import preset
from domain.prompts import PromptVersion
from domain.record import Before, Decision, Kind, Rollout, RolloutStatus
from terminal import palette, screen, sheet
from terminal.listing import listed, listing
from workflows.progress import Outcome, Progress
from workflows.state import Phase

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
READING = Reading(guardrail="success", standing=Standing.SAFE, evidence="98.0% of 250 events")
PROGRESS = Progress(
    phase=Phase.BAKING,
    prompt="greeting.system",
    rollout_id="r-1",
    baseline="1.0.0",
    candidate="1.1.0",
    plan="demo",
    stage=1,
    stages=(10, 50, 100),
    percent=10,
    verdict=Verdict(action=Action.ADVANCE, reason="success: 98.0 %", readings=(READING,)),
    checks=3,
    waiting_for="stage 1 to bake until 12:00:02, then for the guardrails to agree",
    next_check_at=NOW + timedelta(seconds=1),
    due_at=NOW + timedelta(seconds=2),
)
ROLLOUT = Rollout(
    id="r-1",
    workflow_id="rollout/greeting.system",
    name="greeting",
    prompt_type="system",
    baseline="1.0.0",
    baseline_id="v-0",
    candidate="1.1.0",
    candidate_id="v-1",
    experiment_id="e-1",
    plan=preset("demo"),
    before=Before(baseline_status="production", candidate_status="active"),
    status=RolloutStatus.LIVE,
    epoch=3,
    stage=1,
    percent=10,
    opened_at=NOW,
)
LIVE = Description(
    workflow_id="rollout/greeting.system",
    run_id="run",
    status="running",
    started_at=NOW - timedelta(seconds=3),
    progress=PROGRESS,
)


def decision(
    kind: Kind, reason: str, *, percent: float = 10, action: Action | None = None
) -> Decision:
    return Decision(
        kind=kind, at=NOW, stage=1, percent=percent, epoch=3, action=action, reason=reason
    )


BAKING = Picture(
    description=LIVE,
    progress=PROGRESS,
    rollout=ROLLOUT,
    arms=(
        Arm(role="candidate", version="1.1.0", events=250, rate=0.98),
        Arm(role="baseline", version="1.0.0", events=0, rate=0.0),
    ),
    decisions=(
        decision(Kind.RAMPED, "10 % of users get 1.1.0 (stage 1 of 3)"),
        decision(Kind.CHECKED, "first", action=Action.HOLD),
        decision(Kind.CHECKED, "second", action=Action.HOLD),
        decision(Kind.CHECKED, "third", action=Action.ADVANCE),
    ),
    link="http://127.0.0.1:8233/namespaces/default/workflows/rollout%2Fgreeting.system/run",
    at=NOW,
)


def ended(phase: Phase, *, reason: str, status: RolloutStatus) -> Picture:
    outcome = Outcome(
        rollout_id="r-1",
        prompt="greeting.system",
        outcome=phase,
        baseline="1.0.0",
        candidate="1.1.0",
        reason=reason,
        by="guardrails",
    )
    closed = replace(LIVE, status="completed", closed_at=NOW, outcome=outcome, progress=None)
    ramped = tuple(decision(Kind.RAMPED, "ramp", percent=percent) for percent in (10, 50))
    rollout = ROLLOUT.model_copy(update={"status": status})
    return replace(BAKING, description=closed, rollout=rollout, decisions=ramped)


def shown(what: RenderableType, *, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, markup=False, no_color=True, highlight=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_a_live_rollout_is_told_in_words_without_colour() -> None:
    told = shown(screen.draw(BAKING))

    assert "greeting.system 1.0.0 → 1.1.0 baking" in told
    assert "███░░░░░░░░░░░░░░░░░░░░░░░░░░░ 10 %" in told
    assert "1 of 3: [10 %] → 50 % → 100 %" in told
    assert "3s of 5s" in told
    assert "98.0% of 250 events" in told
    assert "no events yet" in told
    assert "advance (check 3)" in told
    assert "stage 1 to bake until" in told


@pytest.mark.parametrize(
    "picture",
    [BAKING, ended(Phase.ROLLED_BACK, reason="bad " * 40, status=RolloutStatus.ROLLED_BACK)],
)
def test_nothing_is_lost_in_a_narrow_terminal(picture: Picture) -> None:
    wide, narrow = shown(screen.draw(picture), width=400), shown(screen.draw(picture), width=60)

    assert max(len(line) for line in narrow.splitlines()) <= 60
    assert "".join(narrow.split()) == "".join(wide.split())


def test_of_checks_in_a_row_that_agree_the_latest_is_shown() -> None:
    told = shown(screen.draw(BAKING))

    assert "first" not in told
    assert "second" in told
    assert "third" in told


def test_why_tells_until_when_in_absolute_and_in_relative_time() -> None:
    told = shown(screen.why(BAKING))

    assert "2026-01-31 12:00:02 UTC (in 2s)" in told
    assert "2026-01-31 12:00:01 UTC (in 1s)" in told
    assert "safe: 98.0% of 250 events" in told


def test_without_a_worker_it_says_that_nothing_moves() -> None:
    alone = replace(BAKING, description=replace(LIVE, progress=None))

    assert "no worker answers" in shown(screen.why(alone))
    assert "no worker answers" in shown(screen.draw(alone))
    assert "no worker answers" in screen.standing(alone)


def test_an_activity_that_is_retried_is_told_as_what_blocks() -> None:
    stuck = replace(BAKING, description=replace(LIVE, stuck=("ramp has failed 3 times: no disk",)))

    assert "blocked      ramp has failed 3 times: no disk" in shown(screen.why(stuck))


def test_a_reason_that_looks_like_markup_is_shown_as_it_is() -> None:
    progress = PROGRESS.model_copy(update={"waiting_for": "[red]you[/red]"})

    assert "[red]you[/red]" in shown(screen.why(replace(BAKING, progress=progress)))


def test_an_end_is_one_sentence_with_how_far_it_came_how_long_it_took_and_why() -> None:
    promoted = ended(Phase.PROMOTED, reason="good", status=RolloutStatus.PROMOTED)
    rolled_back = ended(Phase.ROLLED_BACK, reason="61 %", status=RolloutStatus.ROLLED_BACK)

    assert screen.ending(promoted) == "1.1.0 was promoted (10 % → 50 %) in 3s"
    assert screen.ending(rolled_back) == "1.1.0 was rolled back at 50 % in 3s (61 %)"


def test_a_rollout_whose_opening_was_refused_says_why() -> None:
    refused = Picture(
        description=replace(LIVE, status="failed", closed_at=NOW, progress=None, failure="no such"),
        progress=Progress(),
        at=NOW,
    )

    told = shown(screen.why(refused))

    assert told.startswith("greeting.system failed")
    assert "no such" in told


@pytest.mark.parametrize(
    ("percent", "drawn"),
    [(0, "░░░░░░░░░░"), (0.1, "█░░░░░░░░░"), (50, "█████░░░░░"), (100, "█" * 10)],
)
def test_a_bar_shows_any_share_at_all(percent: float, drawn: str) -> None:
    assert palette.bar(percent, 10) == drawn


@pytest.mark.parametrize(
    ("away", "told"),
    [
        (timedelta(seconds=90), "in 1m30s"),
        (timedelta(hours=4, seconds=20), "in 4h"),
        (-timedelta(days=2), "2d ago"),
        (timedelta(milliseconds=20), "now"),
    ],
)
def test_a_time_is_told_as_exactly_as_people_read_it(away: timedelta, told: str) -> None:
    assert palette.instant(NOW + away, now=NOW).endswith(f"UTC ({told})")


def test_a_listed_rollout_shows_how_it_stands() -> None:
    memo: dict[str, object] = {
        "prompt": "greeting.system",
        "change": "1.0.0 → 1.1.0",
        "phase": "rolled_back",
        "percent": 0.0,
    }
    over = replace(LIVE, status="completed", memo=memo, closed_at=NOW)

    told = shown(listing([over], now=NOW + timedelta(hours=2)))

    assert "greeting.system  1.0.0 → 1.1.0  rolled back  0 %   2h   ended 2h ago" in told
    assert listed(over)["state"] == "rolled_back"


def test_a_plan_tells_what_is_held_back() -> None:
    told = shown(sheet.plan(preset("demo")))

    assert "100 % for 3s (but 1 % held back)" in told
    assert "success not worse than the version before, from 100 users a stage" in told


def test_a_long_template_is_cut_in_a_list_and_whole_when_shown() -> None:
    version = PromptVersion("v-1", "greeting", "system", "1.0.0", "Hello " * 50 + "end")

    assert "end" not in shown(sheet.versions("greeting.system", [version]), width=80)
    assert "end" in shown(sheet.version(version), width=80)
