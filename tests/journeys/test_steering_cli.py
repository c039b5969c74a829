"""A live rollout steered from the command line, on a real server: once for each key."""

import asyncio
import json
import sqlite3
import time
from pathlib import Path

import pytest

from dev import Stack
from domain.database import Database
from tests.house import House
from tests.typed import Rampart, Said, content_of, versions

PROMPT = "greeting.system"
SLOW = """
stages: [{percent: 10, bake: 1h}, {percent: 50, bake: 2h}, {percent: 100}]
check_min: 500ms
check_max: 500ms
final_bake: 1h
"""
OTHER = SLOW.replace("bake: 2h", "bake: 3h")


@pytest.fixture(autouse=True)
def plans(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    (tmp_path / "other.yaml").write_text(OTHER)


def begun(rampart: Rampart, prompt: str, *more: str) -> Said:
    versions(rampart, prompt, "1.0.0", "1.1.0")
    return rampart("start", prompt, "1.1.0", "--plan", "slow.yaml", *more)


def until(rampart: Rampart, prompt: str, stage: int) -> None:
    for _ in range(100):
        if rampart("status", prompt, "--json").json["stage"] == stage:
            return
        time.sleep(0.1)
    raise AssertionError(rampart("why", prompt).out)


async def come(stack: Stack, name: str, many: int = 200) -> None:
    database = Database(stack.database_url)
    house = House(database, name=name)
    for number in ("1.0.0", "1.1.0"):
        await house.events(number, good=many, bad=0)
    await database.dispose()


@pytest.mark.guarantee(5)
def test_amend_mid_bake_keeps_the_evidence_and_answers_with_the_difference(
    rampart: Rampart, stack: Stack
) -> None:
    begun(rampart, PROMPT)
    asyncio.run(come(stack, "greeting"))
    seen = _seen(rampart, stack)

    amended = rampart(
        "amend", PROMPT, "--set", "stages.2.bake=30m", "--set", "final_bake=2s", "--reason", "quiet"
    )
    whole = rampart("amend", PROMPT, "--plan", "other.yaml", "--by", "bob")
    extended = rampart("extend", PROMPT, "2h")
    hurried = rampart("amend", PROMPT, "--set", "final_bake=1s", "--set", "stages.1.bake=1s")
    watched = rampart("promote", PROMPT, "--full", "--reason", "all is well")
    until(rampart, PROMPT, 4)
    asyncio.run(come(stack, "greeting"))
    ended = rampart("watch", PROMPT)
    replayed = rampart("replay", PROMPT, "--json")
    explained = rampart("explain", PROMPT, "--json")
    journal = rampart("journal", PROMPT, "--json").json

    assert amended.out.splitlines() == [
        f"{PROMPT}: amended",
        "  stages.2.bake: 2h → 30m",
        "  final_bake: 1h → 2s",
    ]
    assert whole.out.splitlines()[1:] == ["  stages.2.bake: 30m → 3h", "  final_bake: 2s → 1h"]
    assert extended.out == f"{PROMPT}: extended\n  stages.1.bake: 1h → 3h\n"
    assert (hurried.code, watched.code, ended.code) == (0, 0, 0), (hurried, watched, ended)
    assert (replayed.code, replayed.json["differences"]) == (0, [])
    assert explained.json["guardrails"][0]["overall"]["n_t"] >= seen
    told = [
        (line["kind"], line["by"]) for line in journal if line["kind"] in ("amended", "extended")
    ]
    assert told == [("amended", "ann"), ("amended", "bob"), ("extended", "ann"), ("amended", "ann")]
    assert journal[-1]["kind"] == "completed"


def _seen(rampart: Rampart, stack: Stack) -> int:
    """Return how many of the candidate's users a check has seen, once one has seen any."""
    for _ in range(100):
        found = rampart("explain", PROMPT, "--json")
        if found.code == 0 and (n := found.json["guardrails"][0]["overall"]["n_t"]):
            return int(n)
        time.sleep(0.1)
    raise AssertionError(content_of(stack)[-20:])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("amend still.system --set stages.1.percent=5", ("lowers stage 1 (10 %)", "to 5 %")),
        ("amend still.system --set alpha=0.2", ("alpha 0.05 → 0.2", "widens")),
        ("amend still.system --plan conservative", ("adds a stage before stage 1 (10 %)",)),
        ("amend still.system --set check_min=1m", ("check_min 1m is longer than check_max 500ms",)),
        ("amend still.system --set final_bake=1h", ("changes nothing",)),
        ("amend still.system --set final_bake", ("PLACE=VALUE", "'final_bake'")),
        ("amend still.system --set guardrails=[", ("guardrails", "not YAML")),
        ("amend still.system --set stages.7.bake=1h", ("stages.7.bake", "none of 1 to 3")),
        ("amend still.system", ("--plan", "--set PLACE=VALUE")),
        ("amend still.system --plan nowhere.yaml", ("nowhere.yaml", "No such file")),
        ("extend still.system soon", ("LONGER", "90s", "soon")),
        ("extend still.system 0s", ("LONGER", "0s")),
        ("extend still.system", ("LONGER", "rampart extend --help")),
        ("skip still.system --to 9", ("stage 2 to 3, not to 9",)),
        ("skip still.system --to x", ("--to", "rampart skip --help")),
        ("promote unheard.system --full", ("no rollout of unheard.system",)),
    ],
)
def test_steering_that_is_refused_is_told_in_one_line_and_changes_nothing(
    rampart: Rampart, stack: Stack, *, typed: str, told: tuple[str, ...]
) -> None:
    if rampart("status", "still.system").code:
        begun(rampart, "still.system")
    before = rollouts(stack)

    said = rampart(*typed.split())

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("rampart: ")
    assert [part for part in told if part not in said.err] == []
    assert rollouts(stack) == before


def rollouts(stack: Stack) -> list[tuple[object, ...]]:
    """Return where every rollout stands, and by which plan; checks only renew its lease."""
    connection = sqlite3.connect(stack.directory / "rampart.db")
    try:
        found = "SELECT id, plan, stage, percent, epoch, status FROM rollout ORDER BY id"
        return connection.execute(found).fetchall()
    finally:
        connection.close()


@pytest.mark.guarantee(13)
def test_a_command_that_is_sent_twice_with_a_key_counts_once(rampart: Rampart) -> None:
    first = begun(rampart, "twice.system", "--key", "start-1")
    again = rampart("start", "twice.system", "1.1.0", "--plan", "slow.yaml", "--key", "start-1")
    other = rampart("start", "twice.system", "1.1.0", "--plan", "demo", "--key", "start-1")
    promoted = rampart("promote", "twice.system", "--key", "click", "--by", "ann")
    until(rampart, "twice.system", 2)
    clicked = rampart("promote", "twice.system", "--key", "click", "--by", "ann")
    misused = rampart("pause", "twice.system", "--key", "click")
    time.sleep(2)
    stage = rampart("status", "twice.system", "--json").json["stage"]
    rampart("rollback", "twice.system", "--key", "enough")
    rampart("watch", "twice.system")
    after = rampart("start", "twice.system", "1.1.0", "--plan", "slow.yaml", "--key", "start-1")
    journal = rampart("journal", "twice.system", "--json").json
    anew = rampart("start", "twice.system", "1.1.0", "--plan", "slow.yaml", "--key", "start-2")
    rampart("rollback", "twice.system")

    assert first.out == again.out == after.out
    assert other.err == (
        "rampart: key 'start-1' started something else already: rollout/twice.system\n"
    )
    assert (promoted.code, clicked) == (0, promoted)
    assert misused.err == "rampart: pause was refused: key 'click' was used for promote already\n"
    assert stage == 2
    assert [line["kind"] for line in journal].count("hurried") == 1
    assert json.dumps(journal).count('"opened"') == 1
    assert anew.code == 0
    assert anew.out != first.out
