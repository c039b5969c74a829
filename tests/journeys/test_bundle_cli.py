"""Several prompts as one rollout, from the command line, on a real dev server."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import Stack
from domain.database import Database
from tests.house import House
from tests.typed import Rampart, terminate, versions

SLOW = "stages: [{percent: 10, bake: 1h}, {percent: 100}]\ncheck_min: 500ms\ncheck_max: 500ms\n"


@pytest.fixture(autouse=True)
def plans(tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)


Pair = tuple[str, str]
Started = Callable[[str], Pair]


@pytest.fixture
def started(rampart: Rampart) -> Started:
    """Make two prompts, with a name of the test's own, and start to roll them out as one."""

    def start(mark: str) -> Pair:
        first, second = f"greeting-{mark}.system", f"farewell-{mark}.system"
        versions(rampart, first, "1.0.0", "1.1.0")
        versions(rampart, second, "1.0.0", "1.1.0")
        said = rampart("start", first, "1.1.0", "--plan", "slow.yaml", "--with", f"{second}=1.1.0")
        assert said.code == 0, said.err
        assert f"  with    {second} 1.0.0 → 1.1.0\n" in said.out
        return first, second

    return start


def checked(rampart: Rampart, prompt: str) -> None:
    """Wait for the first check."""
    while not rampart("status", prompt, "--json").json["checks"]:
        time.sleep(0.1)


def in_production(rampart: Rampart, prompt: str) -> list[str]:
    listed = rampart("version", "list", prompt, "--json").json
    return [each["version"] for each in listed if "production" in each["tags"]]


async def _fail(stack: Stack, prompt: str) -> None:
    database = Database(stack.database_url)
    house = House(database, name=prompt.rpartition(".")[0])
    await house.events("1.0.0", good=500, bad=0)
    await house.events("1.1.0", good=0, bad=500)
    await database.dispose()


def test_an_operator_steers_a_bundle_by_any_of_its_prompts(
    rampart: Rampart, started: Started
) -> None:
    first, second = started("steered")

    checked(rampart, second)

    status = rampart("status", second, "--json")
    paused = rampart("pause", second, "--reason", "lunch")
    why = rampart("why", second)
    resumed = rampart("resume", first)
    alone = rampart("start", second, "1.1.0")
    rolled_back = rampart("rollback", second, "--reason", "enough", "--by", "bob")
    watched = rampart("watch", second)
    ended = [rampart("status", prompt, "--json").json for prompt in (first, second)]
    journals = [rampart("journal", prompt, "--json").json for prompt in (first, second)]

    assert [each["prompt"] for each in status.json["bundle"]] == [first, second]
    assert [(arm["role"], arm["prompt"]) for arm in status.json["arms"]] == [
        (role, prompt) for prompt in (first, second) for role in ("candidate", "baseline")
    ]
    assert paused.out.startswith(f"{second}: paused: the ramp holds")
    assert paused.out.endswith(f"({first} + {second})\n")
    assert why.out.startswith(f"{first} 1.0.0 → 1.1.0 + {second} 1.0.0 → 1.1.0 paused")
    assert f"{second} success" in why.out
    assert resumed.code == 0
    assert (alone.code, f"part of the bundle led by {first}" in alone.err) == (2, True)
    assert alone.err.count("\n") == 1
    assert rolled_back.out == f"{second}: rolling back ({first} + {second})\n"
    assert watched.code == 1
    assert watched.out.splitlines()[-1].endswith("(enough)")
    assert [(one["prompt"], one["phase"], one["by"]) for one in ended] == [
        (first, "rolled_back", "bob")
    ] * 2
    assert journals[0] == journals[1]
    assert journals[0][-1]["reason"] == "enough"
    assert [in_production(rampart, prompt) for prompt in (first, second)] == [["1.0.0"]] * 2


@pytest.mark.guarantee(11)
def test_a_second_prompt_that_fails_its_users_restores_both(
    rampart: Rampart, stack: Stack, started: Started
) -> None:
    first, second = started("failing")

    asyncio.run(_fail(stack, second))
    watched = rampart("watch", first)
    explained = rampart("explain", second)
    replayed = [rampart("replay", prompt) for prompt in (first, second)]
    again = rampart("rollback", second)

    last = watched.out.splitlines()[-1]
    assert (watched.code, f"1.1.0 + {second} 1.1.0 was rolled back at 10 %" in last) == (1, True)
    assert f"({second}: success: 0.0% of 500 users" in last
    assert [in_production(rampart, prompt) for prompt in (first, second)] == [["1.0.0"]] * 2
    assert [each.code for each in replayed] == [0, 0]
    assert explained.code == 0
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "no live rollout" in again.err


def test_a_bundle_whose_workflow_was_terminated_is_rolled_back_by_any_of_its_prompts(
    rampart: Rampart, stack: Stack, started: Started
) -> None:
    first, second = started("orphaned")
    asyncio.run(terminate(stack, f"rollout/{first}"))

    said = rampart("rollback", second, "--reason", "orphaned")
    shown = rampart("journal", first, "--json")

    assert said.out == f"{second}: rolled back in the database: its workflow was gone\n"
    assert (shown.json[-1]["kind"], shown.json[-1]["reason"]) == ("rolled_back", "orphaned")
    assert [in_production(rampart, prompt) for prompt in (first, second)] == [["1.0.0"]] * 2


@pytest.mark.parametrize(
    ("along", "told"),
    [
        (["farewell.system"], "--with must be PROMPT=CANDIDATE, such as farewell.system=2.0.0"),
        (["farewell=1.1.0"], "PROMPT must be <name>.<prompt_type>"),
        (["refused.system=1.1.0"], "companions.0 names refused.system again: each prompt once"),
        (["nobody.knows=1.1.0"], "nobody.knows has no production version"),
        ([f"p{number}.x=1.0.0" for number in range(21)], "at most 20 items"),
    ],
)
def test_a_bundle_that_cannot_be_is_refused_in_one_line_and_nothing_is_started(
    rampart: Rampart, along: list[str], told: str
) -> None:
    versions(rampart, "refused.system", "1.0.0", "1.1.0")
    options = [option for each in along for option in ("--with", each)]

    said = rampart("start", "refused.system", "1.1.0", *options)

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert told in said.err
    assert rampart("journal", "refused.system").code == 2
