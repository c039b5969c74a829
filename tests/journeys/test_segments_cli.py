"""Segments and rings from the command line, on a real dev server, and what outlives a kill."""

import asyncio
import time
from pathlib import Path

import pytest

from dev import Stack
from domain.database import Database
from tests.house import House
from tests.typed import Rampart, Said, terminate, versions

QUICK = """
stages: [{percent: 50, bake: 500ms}, {percent: 100}]
guardrails: [{kind: threshold, metric: success, min_events: 0, floor: 0, target: 0}]
check_min: 500ms
check_max: 500ms
final_bake: 500ms
"""
SLOW = "stages: [{percent: 10, bake: 1h}, {percent: 100}]\ncheck_min: 500ms\n"
PREMIUM = 'plan == "premium"'


@pytest.fixture(autouse=True)
def plans(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(QUICK)
    (tmp_path / "slow.yaml").write_text(SLOW)


async def _come(stack: Stack, name: str) -> None:
    database = Database(stack.database_url)
    await House(database, name=name).events("1.1.0", good=50, bad=0)
    await database.dispose()


def ended(rampart: Rampart, stack: Stack, prompt: str) -> Said:
    """Let users come to the running ring, content ones, until all is over."""
    for _ in range(120):
        found = rampart("rings", "status", prompt, "--json")
        if found.json["status"] != "running":
            return found
        for ring in found.json["rings"]:
            if ring["phase"] == "running":
                asyncio.run(_come(stack, ring["prompt"].rpartition(".")[0]))
        time.sleep(0.2)
    raise AssertionError(f"never ended: {found.out}")


def running(rampart: Rampart, prompt: str) -> None:
    """Wait until the first ring's own rollout is in its first stage."""
    lane = rampart("rings", "status", prompt, "--json").json["rings"][0]["prompt"]
    for _ in range(100):
        found = rampart("status", lane, "--json")
        if found.code == 0 and found.json["phase"] == "baking":
            return
        time.sleep(0.1)
    raise AssertionError(found.out + found.err)


def in_production(rampart: Rampart, prompt: str) -> list[str]:
    found = rampart("version", "list", prompt, "--json").json
    return [version["version"] for version in found if "production" in version["tags"]]


def test_segments_are_defined_ordered_checked_and_removed(rampart: Rampart) -> None:
    versions(rampart, "hello.system", "1.0.0", "1.1.0")

    defined = rampart("segment", "define", "hello.system", "premium", PREMIUM)
    rampart("segment", "define", "hello.system", "beta", '"beta" in groups', "--order", "1")
    listed = rampart("segment", "list", "hello.system", "--json")
    reordered = rampart("segment", "reorder", "hello.system", "premium", "beta")
    premium = rampart(
        "segment", "check", "hello.system", "--attributes", '{"plan": "premium"}', "--user", "u1"
    )
    nobody = rampart("segment", "check", "hello.system", "--json")
    removed = rampart("segment", "remove", "hello.system", "beta")
    again = rampart("segment", "remove", "hello.system", "beta")

    assert defined.out == f"segment premium of hello.system is no. 1: {PREMIUM}\n"
    assert [(each["order"], each["name"]) for each in listed.json] == [(1, "beta"), (2, "premium")]
    assert reordered.out == "hello.system: premium, beta\n"
    assert premium.out.splitlines() == [
        "user u1 is in segment premium (lane hello_premium.system)",
        "  gets 1.0.0 (DEFAULT)",
    ]
    assert (nobody.json["segment"], nobody.json["version"]) == (None, "1.0.0")
    assert removed.code == 0
    assert (again.code, again.err) == (2, "rampart: hello.system has no segment 'beta'\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("segment", "define", "bye.system", "vip", "plan =="), "segment rule: rule is not CEL: "),
        (("segment", "define", "bye.system", "v_p", "true"), "segment name: String should match "),
        (("segment", "check", "bye.system", "--attributes", "[1]"), "--attributes must be a JSON"),
        (("rings", "status", "bye.system"), "no segmented rollout of bye.system is known: start "),
        (("rings", "pause", "bye.system"), "no segmented rollout of bye.system is known: start "),
        (("rings", "start", "bye.system", "1.1.0", "--segment", "vip"), "segment 'vip' of bye.sys"),
        (("rings", "start", "bye.system", "9.9.9"), "candidate '9.9.9' of bye.system does not ex"),
        (("rings", "start", "bye.system", "1.1.0", "--plan", "swift"), "unknown plan 'swift': "),
        (("rings", "start", "bye.system", "1.1.0", "--on-failure", "cry"), "request: plan.on_fai"),
        (("rings", "start", "bye.system", "1.1.0", "--file", "quick.yaml"), "quick.yaml: plan: un"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    rampart: Rampart, words: tuple[str, ...], why: str
) -> None:
    versions(rampart, "bye.system", "1.0.0", "1.1.0")

    refused = rampart(*words)

    assert refused.code == 2
    assert refused.err.startswith(f"rampart: {why}")
    assert refused.err.count("\n") == 1


def test_a_version_goes_from_segment_to_segment_to_everybody(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "greeting.system", "1.0.0", "1.1.0")
    rampart("segment", "define", "greeting.system", "premium", PREMIUM)

    started = rampart(
        "rings", "start", "greeting.system", "1.1.0", "--plan", "quick.yaml", "--reason", "nicer"
    )
    last = ended(rampart, stack, "greeting.system")
    served = rampart(
        "segment", "check", "greeting.system", "--attributes", '{"plan": "premium"}', "--json"
    )
    again = rampart("rings", "start", "greeting.system", "1.1.0")

    assert started.out.startswith("started greeting.system → 1.1.0, ring by ring\n")
    assert last.json["outcome"] == "promoted"
    assert [(ring["segment"], ring["phase"]) for ring in last.json["rings"]] == [
        ("premium", "promoted"),
        ("", "promoted"),
    ]
    assert (served.json["segment"], served.json["version"]) == ("premium", "1.1.0")
    assert in_production(rampart, "greeting.system") == ["1.1.0"]
    assert (again.code, "in production in every ring already" in again.err) == (2, True)


def test_an_operator_steers_the_running_ring_and_rolls_it_back(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "farewell.system", "1.0.0", "1.1.0")
    rampart("segment", "define", "farewell.system", "premium", PREMIUM)

    rampart("rings", "start", "farewell.system", "1.1.0", "--plan", "slow.yaml")
    second = rampart("rings", "start", "farewell.system", "1.1.0")
    moved = rampart("segment", "remove", "farewell.system", "premium")
    paused = rampart("rings", "pause", "farewell.system", "--reason", "lunch")
    again = rampart("rings", "pause", "farewell.system")
    shown = rampart("rings", "status", "farewell.system")
    rampart("rings", "rollback", "farewell.system", "--reason", "enough", "--by", "bob")
    last = ended(rampart, stack, "farewell.system")
    late = rampart("rings", "resume", "farewell.system")

    assert (second.code, "is live already" in second.err) == (2, True)
    assert (moved.code, "cannot change the segments" in moved.err) == (2, True)
    assert paused.out == (
        "farewell.system: paused: no further ring starts; told to farewell_premium.system\n"
    )
    assert again.err == "rampart: pause was refused: it is paused already by ann: lunch\n"
    assert "1  premium          running        farewell_premium.system" in shown.out
    assert (last.json["outcome"], last.json["reason"], last.json["by"]) == (
        "stopped",
        "enough",
        "bob",
    )
    assert in_production(rampart, "farewell_premium.system") == ["1.0.0"]
    assert late.err.startswith("rampart: no live segmented rollout of farewell.system: ")


def between_rings(rampart: Rampart, stack: Stack, prompt: str, *more: str) -> None:
    """Start with two segments and an hour between, and wait until the first is promoted."""
    versions(rampart, prompt, "1.0.0", "1.1.0")
    for segment in ("beta", "premium"):
        rampart("segment", "define", prompt, segment, f'plan == "{segment}"')
    words = ("--plan", "quick.yaml", "--pause-between", "1h", "--no-everyone")
    rampart("rings", "start", prompt, "1.1.0", *words, *more)
    for _ in range(120):
        found = rampart("rings", "status", prompt, "--json").json
        if found["phase"] == "between_rings" and found["ring"] == 2:
            return
        asyncio.run(_come(stack, found["rings"][0]["prompt"].rpartition(".")[0]))
        time.sleep(0.2)
    raise AssertionError(f"never between rings: {found}")


def test_between_rings_a_pause_holds_and_a_promotion_starts_the_next(
    rampart: Rampart, stack: Stack
) -> None:
    between_rings(rampart, stack, "advice.system")

    rampart("rings", "pause", "advice.system", "--reason", "lunch")
    refused = rampart("rings", "promote", "advice.system")
    gate = rampart("rings", "approve", "advice.system")
    rampart("rings", "resume", "advice.system")
    promoted = rampart("rings", "promote", "advice.system")
    last = ended(rampart, stack, "advice.system")

    assert refused.err == (
        "rampart: promote was refused: it is paused by ann: lunch; resume it first\n"
    )
    assert gate.err == "rampart: approve was refused: no ring is running: it is paused\n"
    assert promoted.out == "advice.system: promoted: the next ring starts now\n"
    assert [ring["phase"] for ring in last.json["rings"]] == ["promoted", "promoted"]


def test_a_rollback_between_rings_starts_no_other_and_reverts_by_policy(
    rampart: Rampart, stack: Stack
) -> None:
    between_rings(rampart, stack, "notice.system", "--on-failure", "roll_back_all")

    rampart("rings", "rollback", "notice.system", "--reason", "enough")
    last = ended(rampart, stack, "notice.system")

    assert last.json["outcome"] == "rolled_back"
    assert [ring["phase"] for ring in last.json["rings"]] == ["reverted", "waiting"]
    assert in_production(rampart, "notice_beta.system") == ["1.0.0"]


def test_a_live_rollout_on_a_lane_is_told_in_a_sentence(rampart: Rampart, stack: Stack) -> None:
    between_rings(rampart, stack, "summary.system")
    rampart("start", "summary_premium.system", "1.1.0", "--plan", "slow.yaml")

    rampart("rings", "promote", "summary.system")
    last = ended(rampart, stack, "summary.system")
    rampart("rollback", "summary_premium.system")

    assert last.json["outcome"] == "stopped"
    assert [ring["phase"] for ring in last.json["rings"]] == ["promoted", "refused"]
    assert last.json["reason"] == (
        "premium: a rollout of summary_premium.system is live already:"
        " rollout/summary_premium.system"
    )


def test_a_ring_outlives_a_terminated_parent_with_its_guards_on(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "offer.system", "1.0.0", "1.1.0")
    rampart("segment", "define", "offer.system", "premium", PREMIUM)
    rampart("rings", "start", "offer.system", "1.1.0", "--plan", "slow.yaml")
    running(rampart, "offer.system")

    asyncio.run(terminate(stack, "segments/offer.system"))
    left = rampart("status", "offer_premium.system", "--json")
    rolled_back = rampart("rollback", "offer_premium.system")

    assert left.json["phase"] == "baking"
    assert rolled_back.code == 0


def test_what_a_terminated_ring_leaves_is_rolled_back(rampart: Rampart, stack: Stack) -> None:
    versions(rampart, "thanks.system", "1.0.0", "1.1.0")
    rampart("segment", "define", "thanks.system", "premium", PREMIUM)
    rampart("rings", "start", "thanks.system", "1.1.0", "--plan", "slow.yaml")
    running(rampart, "thanks.system")

    asyncio.run(terminate(stack, "rollout/thanks_premium.system"))
    last = ended(rampart, stack, "thanks.system")
    journal = rampart("journal", "thanks_premium.system", "--json")

    assert last.json["outcome"] == "stopped"
    assert [ring["phase"] for ring in last.json["rings"]] == ["rolled_back", "waiting"]
    assert journal.json[-1]["kind"] == "rolled_back"
