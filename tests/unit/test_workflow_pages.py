"""The pages of the other workflows in Temporal's UI: rings, monitors, the reconciler, the post."""

from datetime import UTC, datetime, timedelta

from domain.monitors.alerts import Alert, Subject
from domain.monitors.plan import MonitorPlan
from workflows.commands import Verb
from workflows.markdown import LABEL, WIDTH, block, listed, signals
from workflows.monitors.page import caption
from workflows.monitors.page import details as monitor_page
from workflows.monitors.state import MonitorProgress, Phase, Vigil
from workflows.notifications.workflow import details as notice_page
from workflows.reconciliation import details as reconciled_page
from workflows.rings.page import RingsProgress
from workflows.rings.page import details as rings_page
from workflows.rings.report import RingPhase, RingReport, RingsPhase

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
RINGS = RingsProgress(
    phase=RingsPhase.RUNNING,
    prompt="offer.system",
    candidate="1.1.0",
    on_failure="roll_back_all",
    ring=2,
    rings=(
        RingReport(segment="internal", prompt="offer_internal.system", phase=RingPhase.PROMOTED),
        RingReport(segment="", prompt="offer.system", phase=RingPhase.RUNNING),
    ),
    waiting_for="the rollout of offer.system to end: see rollout/offer.system",
)


def test_a_long_value_goes_on_below_itself_and_json_stays_on_its_line() -> None:
    example = '{"set": {"stages.2.bake": "2h", "stages.3.bake": "4h"}}'

    shown = block([("amend", "change " * 10), ("", example), ("`note`", "`x`")])

    lines = shown.splitlines()
    assert lines[1].startswith("amend       change")
    assert lines[2].startswith(" " * (LABEL + 1) + "change")
    assert f"{'':<{LABEL}} {example}" in lines
    assert max(len(line) for line in lines if example not in line) <= LABEL + 1 + WIDTH
    assert "'x'" in lines[-2]


def test_of_many_values_the_page_says_how_many_more_there_are() -> None:
    assert listed("open", ["a", "b", "c"], most=2) == [("open", "a"), ("", "b"), ("", "and 1 more")]
    assert listed("open", []) == []


def test_what_is_over_takes_no_signal() -> None:
    assert signals([]) == "Nothing can be sent to it any more."


def test_the_page_of_rings_leads_to_each_rings_own_rollout() -> None:
    page = rings_page(RINGS, [Verb.PAUSE])

    assert page.startswith("**offer.system** → 1.1.0, ring by ring: **running**\n\n```\n")
    assert "ring 1      internal: promoted\n            rollout/offer_internal.system\n" in page
    assert "ring 2      everybody: running\n            rollout/offer.system\n" in page
    assert "on failure  promoted rings return, too\n" in page
    assert "pause       hold the running ring, and start no further\n            one\n" in page
    assert "rollback" not in page


def test_the_page_of_a_monitor_says_what_is_wrong_now_and_how_to_end_it() -> None:
    alert = Alert(
        at=NOW, version_id="v-1", condition="x", value=0.4, message="greeting 1.1.0 fails"
    )
    progress = MonitorProgress(
        phase=Phase.WATCHING,
        plan=MonitorPlan(versions=("v-1",), interval=timedelta(minutes=1)),
        subjects=(Subject(version_id="v-1", label="greeting 1.1.0"),),
        until=NOW,
        looks=3,
        alerts=1,
        open=(alert,),
        readings=(),
    )

    page = monitor_page(progress)

    assert "open        greeting 1.1.0 fails\n" in page
    assert "stop        end it now; it returns the alerts it has\n" in page
    assert "Nothing can be sent" in monitor_page(
        progress.model_copy(update={"phase": Phase.COMPLETED})
    )


def test_the_wait_of_a_monitor_tells_what_the_last_look_found() -> None:
    assert caption(Vigil(looks=3)) == "look 3: nothing is wrong"


def test_the_reconciler_says_what_it_found_or_that_there_was_nothing() -> None:
    found = {"late": [], "rolled_back": ["greeting.system: its workflow is terminated"]}

    assert "rolled back greeting.system: its workflow is terminated\n" in reconciled_page(found)
    assert reconciled_page({"late": []}).endswith("there was nothing to do.")


def test_a_notification_says_whom_it_tells_and_who_did_not_get_it() -> None:
    assert "team" in notice_page(["team"])
    assert "team        404 from the chat\nbo          got it\n" in notice_page(
        ["team", "bo"], ["404 from the chat", ""]
    )
    assert notice_page([]) == "No target asks to be told of it."
