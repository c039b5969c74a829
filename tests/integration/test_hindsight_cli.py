"""`rampart explain`, `replay` and `what-if` on a database file alone: no Temporal is there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from domain.database import Database
from domain.tables import DecisionRow, EvidenceRow
from embedded.ports import free_port
from tests.finished import tell
from tests.house import House
from tests.typed import Rampart

PROMPT = "greeting.system"
STRICT = "alpha: 0.000001\nstages: [{percent: 10}, {percent: 50}, {percent: 100}]\n"
UNSEEN = "guardrails: [success, tokens]\nstages: [{percent: 100}]\n"


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds one finished rollout: harmed at 10 %, and rolled back."""
    path = tmp_path_factory.mktemp("harmed") / "rampart.db"

    async def happen(house: House) -> None:
        await house.furnish()
        await tell(house, "harmed at 10 %")

    asyncio.run(within(f"sqlite:///{path}", happen))
    return path


@pytest.fixture
def url(harmed: Path, tmp_path: Path) -> str:
    """A copy of that database."""
    return f"sqlite:///{copy(harmed, tmp_path)}"


async def within(url: str, work: Callable[[House], Awaitable[None]]) -> None:
    database = Database(url)
    await work(House(database))
    await database.dispose()


@pytest.fixture
def rampart(url: str, alone: Rampart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rampart:
    """Run `rampart …` with the database alone: nothing answers where Temporal should be."""
    monkeypatch.setenv("RAMPART_DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")
    (tmp_path / "strict.yaml").write_text(STRICT)
    (tmp_path / "unseen.yaml").write_text(UNSEEN)
    return alone


def change(url: str, *statements: Any) -> None:
    """Write over the journal."""

    async def write(house: House) -> None:
        async with house.database.transaction() as session:
            for statement in statements:
                await session.exec(statement)

    asyncio.run(within(url, write))


def test_the_latest_check_is_explained(rampart: Rampart) -> None:
    told, data = rampart("explain", PROMPT), rampart("explain", PROMPT, "--json").json

    assert told.code == 0
    assert told.out.startswith(f"{PROMPT} 1.0.0 → 1.1.0 rolled back  {data['rollout']}\n")
    assert "verdict  roll back: success: 85.0% of 120 users, 95.0% of 1080 on 1.0.0" in told.out
    assert "success: harmed (guardrail, evidence, alpha 0.05)" in told.out
    assert "to go on      nothing can: harm is shown" in told.out
    assert (data["status"], data["action"], data["guilty"]) == (
        "rolled_back",
        "roll_back",
        ["success"],
    )
    assert data["guardrails"][0]["sure"]["p_value"] <= 0.05


def test_a_rollout_may_be_named_by_its_id(rampart: Rampart) -> None:
    known = rampart("explain", PROMPT, "--json").json["rollout"]

    assert rampart("replay", known).out == rampart("replay", PROMPT).out


@pytest.mark.guarantee(7)
def test_a_replay_that_finds_no_difference_exits_with_0(rampart: Rampart) -> None:
    told, data = rampart("replay", PROMPT), rampart("replay", PROMPT, "--json")

    assert (told.code, data.code) == (0, 0)
    assert "3 verdicts made again from the journal by e-2: no difference" in told.out
    assert (data.json["checks"], data.json["differences"]) == (3, [])


def test_a_replay_that_finds_a_difference_exits_with_1_and_names_it(
    rampart: Rampart, url: str
) -> None:
    third = col(DecisionRow.key) == "check:3"
    change(url, update(DecisionRow).where(third).values(action="advance"))

    told, data = rampart("replay", PROMPT), rampart("replay", PROMPT, "--json")

    assert (told.code, data.code) == (1, 1)
    assert "3 verdicts made again from the journal by e-2: 1 of them differ" in told.out
    assert "verdict.action" in told.out
    assert [(one["number"], one["what"], one["recorded"]) for one in data.json["differences"]] == [
        (3, "verdict.action", '"advance"')
    ]


@pytest.mark.guarantee(7)
def test_another_plan_would_have_decided_later_or_not_at_all(rampart: Rampart) -> None:
    told = rampart("what-if", PROMPT, "--plan", "strict.yaml")
    data = rampart("what-if", PROMPT, "--plan", "strict.yaml", "--json").json
    same = rampart("what-if", PROMPT, "--plan", "demo")

    assert (told.code, same.code) == (0, 0)
    assert "first difference: check 3 at " in told.out
    assert "once a decision differs, the traffic" in told.out
    assert data["recorded"]["rolled_back"]["number"] == data["first"]["number"] == 3
    assert data["other"]["rolled_back"] is None
    assert [check["other"]["action"] for check in data["checks"]][:2] == ["hold", "hold"]
    assert "no check would have been decided otherwise" in same.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("explain", "other.system"), "no rollout of other.system is known: start one with"),
        (("replay", "no-such-id"), "no rollout 'no-such-id'"),
        (("explain", "greeting."), "PROMPT must be <name>.<prompt_type>"),
        (("what-if", PROMPT, "--plan", "no-such-preset"), "unknown plan 'no-such-preset'"),
        (("what-if", PROMPT, "--plan", "none.yaml"), "cannot read none.yaml"),
        (
            ("what-if", PROMPT, "--plan", "unseen.yaml"),
            "guardrail tokens (harm 0.05, margin 0.1) cannot be answered: recorded were success"
            " (evidence)",
        ),
        (("what-if", PROMPT), "missing option '--plan'"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_2(
    rampart: Rampart, words: tuple[str, ...], said: str
) -> None:
    found = rampart(*words)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"rampart: {said}")
    assert found.err.count("\n") == 1


@pytest.mark.parametrize("words", [("explain",), ("replay",), ("what-if", "--plan", "demo")])
def test_a_rollout_of_rampart_0_1_kept_no_evidence(
    rampart: Rampart, url: str, words: tuple[str, ...]
) -> None:
    change(url, delete(EvidenceRow))
    verb, *options = words

    found = rampart(verb, PROMPT, *options)

    assert (found.code, found.out) == (2, "")
    assert "was judged by rampart 0.1: its checks kept no evidence to replay" in found.err


def test_a_rollout_that_began_with_rampart_0_1_is_replayed_from_where_evidence_begins(
    rampart: Rampart, url: str
) -> None:
    change(url, delete(EvidenceRow).where(col(EvidenceRow.number) < 3))

    found = rampart("replay", PROMPT)

    assert "2 checks of rampart 0.1 before them kept nothing" in found.out


def test_a_rollout_that_was_never_checked_has_nothing_to_explain(
    rampart: Rampart, url: str
) -> None:
    async def begin(house: House) -> None:
        await house.open(key="again")

    asyncio.run(within(url, begin))

    explained, replayed = rampart("explain", PROMPT), rampart("replay", PROMPT)

    assert explained.code == 2
    assert "was not checked: there is nothing to explain" in explained.err
    assert replayed.code == 0
    assert "0 verdicts made again from the journal by e-2: no difference" in replayed.out
