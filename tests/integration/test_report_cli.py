"""`rampart report` on a database file alone: no Temporal is there."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.finished import tell
from tests.house import House
from tests.integration.test_hindsight_cli import PROMPT, harmed, rampart, url, within
from tests.typed import Rampart

__all__ = ["harmed", "rampart", "url"]  # fixtures

ESCAPES = "\x1b]0;owned\x07\x1b[31mred\u202e"


def test_without_more_it_is_markdown(rampart: Rampart) -> None:
    told = rampart("report", PROMPT)

    assert (told.code, told.err) == (0, "")
    assert told.out.startswith(f"# {PROMPT} 1.0.0 → 1.1.0: rolled back\n")
    assert "\n## What was decided, and why\n" in told.out


def test_the_name_of_the_file_says_how_it_is_written(rampart: Rampart, tmp_path: Path) -> None:
    told = [rampart("report", PROMPT, "-o", f"it.{ending}") for ending in ("html", "md", "json")]

    assert [each.code for each in told] == [0, 0, 0]
    assert (tmp_path / "it.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "it.md").read_text().startswith("# greeting.system")
    known = json.loads((tmp_path / "it.json").read_text())["id"]
    assert told[0].out.startswith("it.html: ")
    assert rampart("report", known, "--json").json["id"] == known


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([PROMPT, "--md", "--json"], "give one of --html, --md and --json, got md and json"),
        (
            [PROMPT, "-o", "it.pdf"],
            "-o it.pdf: give --html, --md or --json, or a name that ends so",
        ),
        ([PROMPT, "-o", "nowhere/it.md"], "cannot write nowhere/it.md: No such file or directory"),
        (["nope.system"], "no rollout and no experiment of nope.system is known"),
        (["nope"], "no rollout and no experiment has the id 'nope'"),
        (
            [".system"],
            "PROMPT must be <name>.<prompt_type>, such as greeting.system, got '.system'",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(
    rampart: Rampart, arguments: list[str], said: str
) -> None:
    told = rampart("report", *arguments)

    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"rampart: {said}")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("form", ["--md", "--html", "--json"])
def test_no_word_of_others_is_obeyed_by_a_terminal(rampart: Rampart, url: str, form: str) -> None:
    async def happen(house: House) -> None:
        rollout = await house.open(key="hostile")
        await house.rollouts.roll_back(rollout.id, reason=ESCAPES, by="ana")

    asyncio.run(within(url, happen))

    told = rampart("report", PROMPT, form)

    assert told.code == 0
    assert not {"\x1b", "\x07", "\u202e"} & {*told.out}
    assert "owned" in told.out


def test_the_latest_rollout_of_a_prompt_is_meant(rampart: Rampart, url: str) -> None:
    async def happen(house: House) -> None:
        await tell(house, "healthy")

    asyncio.run(within(url, happen))

    assert rampart("report", PROMPT, "--json").json["status"] == "promoted"
