"""workflows.publication: the page in Temporal's UI, as that UI can render it."""

from datetime import UTC, datetime, timedelta

from domain.judge import Action, Reading, Standing, Verdict, verdict
from domain.plan import preset
from domain.record import Before, Member, Rollout, RolloutStatus
from workflows import captions
from workflows.commands import Command, Verb
from workflows.gates import offers
from workflows.markdown import WIDTH
from workflows.page import details
from workflows.progress import Progress
from workflows.publication import memo
from workflows.state import Phase, State

SEEN = Progress(
    phase=Phase.BAKING,
    prompt="greeting.system",
    baseline="1.0.0",
    candidate="1.1.0",
    stage=2,
    stages=(10, 50, 100),
    plan="demo",
    asked="ann: greets by name",
    percent=50,
    verdict=Verdict(action=Action.HOLD, reason="success: 93.1% of 412 events, wants 95.0%"),
    checks=7,
    waiting_for="stage 2 to bake until 2026-11-23 18:00:00 UTC, then for the guardrails to agree",
    next_check_at=datetime(2026, 11, 23, 17, 55, tzinfo=UTC),
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
    epoch=1,
    stage=0,
    percent=0,
    opened_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
)


def test_the_page_says_where_it_stands_and_why_and_which_signals_it_would_follow() -> None:
    assert details(SEEN, [Verb.PAUSE, Verb.EXTEND, Verb.ROLLBACK]) == (
        "**greeting.system**: 1.0.0 → 1.1.0, **baking**\n"
        "\n"
        "```\n"
        "asked by    ann: greets by name\n"
        "ramp        ███████████████░░░░░░░░░░░░░░░ 50 %\n"
        "stage       2 of 3: 10 % → [50 %] → 100 %, plan demo\n"
        "verdict     hold (check 7)\n"
        "reason      success: 93.1% of 412 events, wants 95.0%\n"
        "waits for   stage 2 to bake until 2026-11-23 18:00:00\n"
        "            UTC, then for the guardrails to agree\n"
        "next check  2026-11-23 17:55:00 UTC\n"
        "```\n"
        "\n"
        "**To act**, *More Actions → Send a Signal*. Now it would follow these."
        ' Input is optional; all take `{"reason": "…", "by": "…"}`.\n'
        "\n"
        "```\n"
        "pause       hold the ramp; the guardrails stay on\n"
        "extend      bake longer:\n"
        '            {"longer": "2h"}\n'
        "rollback    everybody back to 1.0.0, now and for good\n"
        "```\n"
        "\n"
        "*Request Cancellation* rolls back, too. *Terminate* does not: users stay where they are"
        " until the lease runs out. The *Timeline* tells the story so far; so does"
        " `rampart journal greeting.system`."
    )


def test_each_guardrail_has_a_line_of_its_own_and_what_decided_comes_first() -> None:
    readings = (
        Reading(guardrail="success", standing=Standing.UNDECIDED, evidence="needs 100 users"),
        Reading(guardrail="tokens", standing=Standing.SAFE, evidence="within the margin; n 300"),
        Reading(guardrail="rating", standing=Standing.UNDECIDED, evidence="no users yet"),
    )
    seen = SEEN.model_copy(update={"verdict": verdict(readings)})

    assert (
        "reason      success: needs 100 users\n"
        "            rating: no users yet\n"
        "also seen   tokens: within the margin; n 300\n"
    ) in details(seen)


def test_the_page_says_who_ordered_a_rollback_and_what_may_follow() -> None:
    ordered = {"phase": Phase.ROLLED_BACK, "ordered": "ann: complaints", "next_check_at": None}

    page = details(SEEN.model_copy(update=ordered))

    assert "**rolled back**" in page
    assert "\nrollback    ordered by ann: complaints\n" in page
    assert page.endswith("Nothing can be sent to it any more.")


def test_the_page_offers_what_would_be_followed_and_nothing_else() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    state = State(rollout=ROLLOUT)
    state.enter(1, epoch=2, now=now)

    baking = offers(state, now=now)
    state.pause = Command(by="ann")
    paused = offers(state, now=now)
    state.rollback = Command(by="ann")

    assert baking == [Verb.PAUSE, Verb.PROMOTE, Verb.SKIP, Verb.EXTEND, Verb.ROLLBACK, Verb.AMEND]
    assert paused == [Verb.RESUME, Verb.EXTEND, Verb.ROLLBACK, Verb.AMEND]
    assert offers(State(), now=now) == [Verb.PAUSE, Verb.ROLLBACK]
    assert offers(State(stage=3), now=now) == [Verb.PAUSE, Verb.ROLLBACK]  # as somebody forged it


def test_a_timer_tells_what_the_last_check_said_and_what_the_rollout_does() -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    state = State(rollout=ROLLOUT)
    state.enter(1, epoch=2, now=now)

    fresh = captions.wait(state, now=now)
    state.checks = 1
    state.judged(Verdict(action=Action.HOLD, reason="too few"))
    judged = captions.wait(state, now=now + timedelta(seconds=2))
    state.pause = Command(by="ann", reason="lunch")

    assert captions.ramp(state, 1) == "to 10 %, stage 1 of 3"
    assert fresh == "baking at 10 % until 2026-11-23 12:00:05 UTC"
    assert judged == f"check 1: hold; {fresh}"
    assert captions.wait(state, now=now) == "check 1: hold; paused at 10 % by ann: lunch"
    state.pause = Command(by="ann", reason="[x](http://evil)")
    assert captions.wait(state, now=now).endswith("by ann: \\[x\\](http://evil)")


def test_the_page_and_the_memo_of_a_bundle_name_who_goes_along() -> None:
    pairs = (("r-1", "greeting.system"), ("r-2", "farewell.system"), ("r-3", "thanks.system"))
    bundle = tuple(
        Member(rollout_id=each, prompt=prompt, baseline="1.0.0", candidate="2.0.0")
        for each, prompt in pairs
    )
    seen = SEEN.model_copy(update={"rollout_id": "r-1", "bundle": bundle})

    page = details(seen)

    assert "\nwith        farewell.system 1.0.0 → 2.0.0\n            thanks.system 1.0.0" in page
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
    assert all(line.startswith(("note ", " ")) for line in table[8:])


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
