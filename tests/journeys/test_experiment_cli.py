"""`rampart experiment …`, against one embedded stack: an operator's story, and what is refused."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client

from dev import Stack
from domain.database import Database
from tests.house import House
from tests.typed import Rampart, Said, content_of, versions

PROMPT = "greeting.system"
ARMS = ("1.0.0", "1.1.0", "1.2.0")
LONG = "check_min: 500ms\ncheck_max: 500ms\n"
SHORT = LONG + "min_duration: 0s\nmax_duration: 1s\nvariants: [1.0.0, 1.1.0, 1.2.0]\n"


@pytest.fixture(autouse=True)
def plans(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    (tmp_path / "short.yaml").write_text(SHORT)
    (tmp_path / "broken.yaml").write_text("variants: [")
    (tmp_path / "text.yaml").write_text("just a text")


def until(rampart: Rampart, prompt: str, reached: Callable[[Said], bool]) -> Said:
    """Look again and again until the experiment stands as wanted."""
    deadline = time.monotonic() + 30
    while not reached(seen := rampart("experiment", "status", prompt, "--json")):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def come(stack: Stack, prompt: str, good: dict[str, int]) -> None:
    """Let 1000 users of each version come, so many of them content."""

    async def record() -> None:
        database = Database(stack.database_url)
        house = House(database, name=prompt.partition(".")[0])
        for version, successes in good.items():
            await house.events(version, good=successes, bad=1000 - successes)
        await database.dispose()

    asyncio.run(record())


def test_an_operator_steers_an_experiment_from_start_to_deployment(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, PROMPT, *ARMS)

    started = rampart(
        *("experiment", "start", PROMPT, "1.0.0=0.5", "1.1.0=0.3", "1.2.0=0.2"),
        *("--plan", "long.yaml", "--reason", "shorter"),
    )
    second = rampart("experiment", "start", PROMPT, *ARMS)
    paused = rampart("experiment", "pause", PROMPT, "--reason", "lunch")
    again = rampart("experiment", "pause", PROMPT)
    resumed = rampart("experiment", "resume", PROMPT)
    come(stack, PROMPT, {"1.0.0": 900, "1.1.0": 960, "1.2.0": 500})
    seen = until(rampart, PROMPT, lambda said: said.json["arms"][2]["stopped"])
    table = rampart("experiment", "status", PROMPT)
    refused = rampart("experiment", "deploy", PROMPT)
    deployed = rampart("experiment", "deploy", PROMPT, "--version", "1.1.0", "--reason", "enough")
    ended = until(rampart, PROMPT, lambda said: said.json["closed_at"] is not None)
    shown = rampart("experiment", "status", PROMPT)
    journal = rampart("experiment", "journal", PROMPT, "--json")
    listed = rampart("experiment", "list", "--json")
    known = rampart("version", "list", PROMPT, "--json")

    assert f"started {PROMPT}: 1.0.0 50%, 1.1.0 30%, 1.2.0 20%; at its end: ask" in started.out
    assert (second.code, "is live already" in second.err) == (2, True)
    assert paused.out.startswith(f"{PROMPT}: paused: its clock stands")
    assert again.err == "rampart: pause was refused: it is paused already by ann: lunch\n"
    assert resumed.out.startswith(f"{PROMPT}: resumed: it has run for ")
    assert [arm["share"] for arm in seen.json["arms"]] == pytest.approx([0.7, 0.3, 0.0])
    assert "standing" in table.out
    assert "1.2.0  0%     1000  50.0 %" in table.out
    assert refused.err == ("rampart: deploy was refused: no arm has won: name one of 1.1.0\n")
    assert deployed.out == f"{PROMPT}: 1.1.0 is to be deployed, unless harm is found\n"
    conclusion = ended.json["conclusion"]
    assert (conclusion["deployed"], conclusion["early"], conclusion["by"]) == ("1.1.0", True, "ann")
    assert "p (Holm)" in shown.out
    assert "1.1.0 is in production, 1.0.0 is deprecated: enough (by ann)" in shown.out
    steps = [line["step"] for line in journal.json if line["step"] != "checked"]
    before = ["opened", "paused", "resumed", "arm_stopped"]
    assert steps == [*before, "concluded", "deployed"]
    assert listed.json[0]["workflow_id"] == f"experiment/{PROMPT}"
    assert [(v["version"], v["tags"]) for v in known.json if v["tags"]] == [
        ("1.1.0", ["production"])
    ]


def test_undecided_it_waits_for_a_person_who_keeps_control(rampart: Rampart) -> None:
    versions(rampart, "undecided.system", *ARMS)

    rampart("experiment", "start", "undecided.system", "--plan", "short.yaml")
    seen = until(
        rampart, "undecided.system", lambda said: said.json["phase"] == "waiting_for_decision"
    )
    kept = rampart("experiment", "conclude", "undecided.system")
    ended = until(rampart, "undecided.system", lambda said: said.json["closed_at"] is not None)
    late = rampart("experiment", "stop", "undecided.system")

    assert seen.json["waiting_for"] == "a decision: deploy a version, or conclude and keep 1.0.0"
    assert kept.out == "undecided.system: control stays\n"
    assert (ended.json["phase"], ended.json["conclusion"]["winner"]) == ("kept", None)
    assert late.err == (
        "rampart: no live experiment on undecided.system:"
        " experiment/undecided.system is completed\n"
    )


def test_a_rollout_and_an_experiment_on_one_prompt_are_told_apart(rampart: Rampart) -> None:
    versions(rampart, "apart.system", *ARMS)
    rampart("experiment", "start", "apart.system", *ARMS)

    paused = rampart("pause", "apart.system")
    stopped = rampart("experiment", "stop", "apart.system")

    assert (paused.code, "no rollout of apart.system" in paused.err) == (2, True)
    assert stopped.out == "apart.system: stopping: everybody gets control\n"


def test_one_whose_workflow_was_terminated_can_still_be_stopped(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "orphan.system", *ARMS)
    rampart("experiment", "start", "orphan.system", *ARMS)

    async def terminate() -> None:
        client = await Client.connect(stack.address)
        await client.get_workflow_handle("experiment/orphan.system").terminate()

    asyncio.run(terminate())
    refused = rampart("experiment", "start", "orphan.system", *ARMS)
    stopped = rampart("experiment", "stop", "orphan.system", "--reason", "orphaned")
    again = rampart("experiment", "stop", "orphan.system")
    next_one = rampart("experiment", "start", "orphan.system", *ARMS)
    rampart("experiment", "stop", "orphan.system")

    assert (refused.code, "is live: wait for its end, or stop it" in refused.err) == (2, True)
    assert stopped.out == "orphan.system: stopped in the database: its workflow was gone\n"
    assert (again.code, "no live experiment on orphan.system" in again.err) == (2, True)
    assert next_one.code == 0


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("start quiet.system 1.0.0", ("variants", "at least 2, got 1")),
        ("start quiet.system 1.0.0=0.5 1.1.0=0.4", ("weights must sum to 1", "0.9")),
        ("start quiet.system 1.0.0=a 1.1.0=0.4", ("VARIANTS", "'1.0.0=a'")),
        ("start quiet.system 1.0.0 9.9.9", ("'9.9.9'", "does not exist", "1.0.0, 1.1.0")),
        ("start quiet.system 1.0.0 1.1.0", ("1.1.0", "archived", "only an active version")),
        ("start quiet.system 1.1.0 1.0.0", ("control", "1.1.0", "not in production")),
        ("start nobody.system 1.0.0 1.1.0", ("nobody.system", "no production version")),
        ("start quiet 1.0.0 1.1.0", ("PROMPT", "'quiet'")),
        ("start quiet.system 1.0.0 1.1.0 --end party", ("end", "'party'", "'ask'")),
        ("start quiet.system 1.0.0 1.1.0 --plan short.yaml", ("short.yaml", "not both")),
        ("start quiet.system --plan broken.yaml", ("broken.yaml", "not YAML")),
        ("start quiet.system --plan text.yaml", ("text.yaml", "must be a mapping")),
        ("start quiet.system --plan nowhere.yaml", ("nowhere.yaml", "No such file")),
        ("status unheard.system", ("no experiment on unheard.system", "experiment start")),
        ("journal unheard.system", ("no experiment on unheard.system", "experiment start")),
        ("stop unheard.system", ("no experiment on unheard.system", "experiment start")),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_and_writes_nothing(
    rampart: Rampart, stack: Stack, *, typed: str, told: tuple[str, ...]
) -> None:
    if not rampart("version", "list", "quiet.system", "--json").json:
        versions(rampart, "quiet.system", "1.0.0")
        archived = ("--number", "1.1.0", "--status", "archived")
        rampart("version", "create", "quiet.system", "--template", "old", *archived)
    before = content_of(stack)

    said = rampart("experiment", *typed.split())

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("rampart: ")
    assert [part for part in told if part not in said.err] == []
    assert content_of(stack) == before


def test_a_plan_can_be_piped_in(rampart: Rampart, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    versions(rampart, "piped.system", "1.0.0", "1.1.0")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"variants": ["1.0.0", "1.1.0"]})))

    started = rampart("experiment", "start", "piped.system", "--plan", "-")
    rampart("experiment", "stop", "piped.system")

    assert started.code == 0
