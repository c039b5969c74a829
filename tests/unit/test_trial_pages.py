"""What people see of an experiment: the page in Temporal's UI, the memo, the terminal."""

from datetime import UTC, datetime

from rich.console import Console, RenderableType

from control.experiments import ExperimentDescription
from domain.judge import Standing
from domain.trials.contest import ArmResult
from domain.trials.findings import ArmReport, Conclusion, Report, TrialStatus
from terminal import experiment_sheet
from workflows.experiments.commands import Verb
from workflows.experiments.page import details, memo
from workflows.experiments.phase import Phase
from workflows.experiments.progress import ExperimentProgress

ARMS = (
    ArmReport(
        version="1.0.0", is_control=True, share=2 / 3, n=2000, rate=0.9, interval=(0.873, 0.923)
    ),
    ArmReport(
        version="1.1.0",
        share=1 / 3,
        n=2000,
        rate=0.96,
        interval=(0.941, 0.974),
        difference=0.06,
        difference_interval=(-0.004, 0.122),
        standing=Standing.NOT_HARMED,
    ),
    ArmReport(version="1.2.0", n=1000, rate=0.7, difference=-0.2, stopped=True),
)
SHOWN = ExperimentProgress(
    phase=Phase.RUNNING,
    prompt="greeting.system",
    experiment_id="e-1",
    arms=ARMS,
    elapsed="3d",
    waiting_for="2026-12-01 09:00:00 UTC: it runs for 7d",
)
RESULT = ArmResult(
    version="1.1.0", control="1.0.0", significant=True, p_value=0.0004, adjusted_p=0.0012,
    winner="B", n_a=2000, n_b=2000, rate_a=0.9, rate_b=0.96, difference=0.06,
    interval=(0.044, 0.076),
)  # fmt: skip
CONCLUSION = Conclusion(
    experiment_id="e-1",
    prompt="greeting.system",
    control="1.0.0",
    winner="1.1.0",
    arms=(RESULT,),
    early=True,
    ending=TrialStatus.DEPLOYED,
    deployed="1.1.0",
    by="ana",
    why="1.1.0 is in production, 1.0.0 is deprecated",
)
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def told(**more: object) -> ExperimentDescription:
    given = {"workflow_id": "experiment/greeting.system", "run_id": "r", "status": "running"}
    return ExperimentDescription(**{**given, "started_at": NOW, **more})  # type: ignore[arg-type]


def drawn(shown: RenderableType) -> str:
    console = Console(width=150, record=True, color_system=None, file=None)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def test_the_page_shows_every_arm_in_a_code_block() -> None:
    page = details(SHOWN, [Verb.PAUSE, Verb.DEPLOY])

    assert page.startswith("**greeting.system**, goal success: **running**\n\n```\n")
    assert "1.0.0       control, 67%\n            n 2000: 90.0 % [87.3 % … 92.3 %]\n" in page
    assert "            +6.0 pp [-0.4 pp … +12.2 pp], not harmed\n" in page
    assert 'which ends it:\n            {"version": "1.1.0"}\n' in page
    assert "resume" not in page
    assert "|" not in page
    assert max(map(len, page.split("```")[1].splitlines())) <= 56  # what a small laptop shows


def test_before_it_is_open_the_page_says_what_it_waits_for() -> None:
    assert details(ExperimentProgress()) == (
        "**opening**: waiting for the database to open the experiment"
    )


def test_the_memo_says_it_all_without_a_worker() -> None:
    assert memo(SHOWN) == {
        "prompt": "greeting.system",
        "phase": "running",
        "experiment_id": "e-1",
        "arms": {
            "1.0.0": "control, 67%, n 2000: 90.0 % [87.3 % … 92.3 %]",
            "1.1.0": (
                "33%, n 2000: 96.0 % [94.1 % … 97.4 %], +6.0 pp [-0.4 pp … +12.2 pp], not harmed"
            ),
            "1.2.0": "0%, n 1000: 70.0 % [–], -20.0 pp [–], stopped",
        },
        "waiting_for": "2026-12-01 09:00:00 UTC: it runs for 7d",
    }


def test_the_terminal_shows_a_table_of_arms() -> None:
    lines = drawn(experiment_sheet.status(told(progress=SHOWN), "greeting.system")).splitlines()

    assert lines[0] == "greeting.system running"
    assert lines[2].split() == [
        *("arm", "users", "n", "success", "interval", "difference", "interval", "standing"),
    ]
    assert lines[4].split("  ")[0] == "1.1.0"
    assert lines[4].endswith("not harmed")
    assert lines[5].rstrip().endswith("stopped")


def test_the_terminal_shows_the_tests_of_the_end() -> None:
    ended = told(closed_at=NOW, status="completed", conclusion=CONCLUSION)

    text = drawn(experiment_sheet.status(ended, "greeting.system"))

    assert "greeting.system deployed" in text
    assert "+6.0 pp     +4.4 pp … +7.6 pp  0.0004  0.0012    1.1.0" in text
    assert "1.1.0 beats every other arm (1.1.0 +6.0 pp against 1.0.0, p 0.0012)" in text
    assert "a person chose the moment" in text
    assert "1.1.0 is in production, 1.0.0 is deprecated (by ana)" in text


def test_without_a_worker_the_terminal_says_so() -> None:
    silent = told(memo={"phase": "running"})

    assert "no worker answers" in drawn(experiment_sheet.status(silent, "greeting.system"))
    assert experiment_sheet.to_json(silent)["worker_answers"] is False


def test_a_stopped_arm_gives_its_share_to_control() -> None:
    report = Report(arms=(ARMS[0], ARMS[1])).without("1.1.0")

    assert [(arm.share, arm.stopped) for arm in report.arms] == [(1.0, False), (0.0, True)]
