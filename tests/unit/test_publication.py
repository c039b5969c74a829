"""workflows.publication: the page in Temporal's UI, as that UI can render it."""

from datetime import UTC, datetime

from domain.judge import Action, Verdict
from domain.record import Member
from workflows.progress import Progress
from workflows.publication import WIDTH, details, memo
from workflows.state import Phase

SEEN = Progress(
    phase=Phase.BAKING,
    prompt="greeting.system",
    baseline="1.0.0",
    candidate="1.1.0",
    stage=2,
    stages=(10, 50, 100),
    percent=50,
    verdict=Verdict(action=Action.HOLD, reason="success: 93.1% of 412 events, wants 95.0%"),
    checks=7,
    waiting_for="stage 2 to bake until 2026-11-23 18:00:00 UTC, then for the guardrails to agree",
    next_check_at=datetime(2026, 11, 23, 17, 55, tzinfo=UTC),
)


def test_the_page_says_stage_percent_verdict_reason_and_what_it_waits_for() -> None:
    assert details(SEEN) == (
        "**greeting.system**: 1.0.0 → 1.1.0, **baking**\n"
        "\n"
        "```\n"
        "ramp        ███████████████░░░░░░░░░░░░░░░ 50 %\n"
        "stage       2 of 3: 10 % → [50 %] → 100 %\n"
        "verdict     hold (check 7)\n"
        "reason      success: 93.1% of 412 events, wants 95.0%\n"
        "waits for   stage 2 to bake until 2026-11-23 18:00:00\n"
        "            UTC, then for the guardrails to agree\n"
        "next check  2026-11-23 17:55:00 UTC\n"
        "```\n"
        "\n"
        "More Actions → Send a Signal: `pause`, `resume`, `promote`, `skip`, `approve`, `extend`,"
        " `amend`, `rollback`;"
        ' input is optional: `{"reason": "…", "by": "…"}`.'
    )


def test_the_page_and_the_memo_of_a_bundle_name_who_goes_along() -> None:
    pairs = (("r-1", "greeting.system"), ("r-2", "farewell.system"), ("r-3", "thanks.system"))
    bundle = tuple(
        Member(rollout_id=each, prompt=prompt, baseline="1.0.0", candidate="2.0.0")
        for each, prompt in pairs
    )
    seen = SEEN.model_copy(update={"rollout_id": "r-1", "bundle": bundle})

    page = details(seen)

    assert "\nwith        farewell.system 1.0.0 → 2.0.0\nwith        thanks.system 1.0.0" in page
    assert page.startswith("**greeting.system**: 1.0.0 → 1.1.0, **baking**\n")
    along = "farewell.system 1.0.0 → 2.0.0 + thanks.system 1.0.0 → 2.0.0"
    assert memo(seen)["change"] == f"1.0.0 → 1.1.0 + {along}"
    assert memo(SEEN)["change"] == "1.0.0 → 1.1.0"


def test_what_people_write_cannot_break_the_page() -> None:
    rude = "``` **bold** \n\n# head " + "x" * 300

    page = details(SEEN.model_copy(update={"refused": rude}))

    assert page.count("```") == 2
    table = page.split("```")[1].strip("\n").splitlines()
    assert max(map(len, table)) <= 12 + WIDTH
    assert all(line.startswith(("note ", " ")) for line in table[7:])


def test_before_it_is_open_the_page_says_what_it_waits_for() -> None:
    assert details(Progress()) == "**opening**: waiting for the database to open the rollout"


def test_the_memo_says_the_same_without_a_worker() -> None:
    assert memo(SEEN) == {
        "prompt": "greeting.system",
        "change": "1.0.0 → 1.1.0",
        "phase": "baking",
        "stage": "2 of 3: 10 % → [50 %] → 100 %",
        "percent": 50.0,
        "verdict": "hold",
        "reason": "success: 93.1% of 412 events, wants 95.0%",
        "waiting_for": SEEN.waiting_for,
    }
