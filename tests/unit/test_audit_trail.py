"""Who did what over all prompts, in the order of time."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

import cli
from domain.audit import AuditTrail
from domain.database import Database
from domain.segments.lanes import SegmentManager
from domain.tokens import TokenManager
from domain.trials.manager import TrialManager
from domain.trials.plan import ExperimentRequest
from tests.house import House


async def a_busy_day(database: Database) -> None:
    house, tokens = House(database), TokenManager(database)
    await house.furnish()
    issued = await tokens.create("shop", ["evaluate"], by="ada")
    rollout = await house.open()
    await house.rollouts.ramp(rollout.id, stage=1, epoch=rollout.epoch)
    await house.rollouts.check(rollout.id, number=1)
    await house.rollouts.roll_back(rollout.id, reason="complaints", by="bob")
    await SegmentManager(database).define("greeting", "system", "beta", "plan == 'x'", by="cleo")
    plan: JsonValue = {"variants": ["1.0.0", "1.1.0"], "goal": "success"}
    asked: JsonValue = {"name": "greeting", "prompt_type": "system", "plan": plan, "by": "dan"}
    await TrialManager(database).open(ExperimentRequest.parse(asked), key="t-1")
    await tokens.revoke(issued.token.id, by="eve")


async def test_every_kind_of_deed_is_told_with_who_and_why(database: Database) -> None:
    await a_busy_day(database)

    deeds = await AuditTrail(database).deeds()

    told = {(deed.by, deed.what) for deed in deeds}
    assert told >= {
        ("ada", "token created"),
        ("bob", "rollout rolled_back"),
        ("cleo", "segment beta defined"),
        ("dan", "experiment opened"),
        ("eve", "token revoked"),
    }
    whats = {deed.what for deed in deeds}
    assert {"version 1.1.0 created", "tag production moved", "rollout opened"} <= whats
    assert not [what for what in whats if "checked" in what]
    assert [deed.at for deed in deeds] == sorted(deed.at for deed in deeds)
    (rolled_back,) = [deed for deed in deeds if deed.what == "rollout rolled_back"]
    assert (rolled_back.subject, rolled_back.reason) == ("greeting.system", "complaints")


async def test_it_can_be_asked_of_a_person_of_late_and_of_the_latest_few(
    database: Database,
) -> None:
    await a_busy_day(database)
    trail = AuditTrail(database)

    everything = await trail.deeds()

    assert {deed.by for deed in await trail.deeds(by="bob")} == {"bob"}
    assert list(await trail.deeds(limit=2)) == list(everything[-2:])
    assert list(await trail.deeds(since=everything[3].at)) == list(everything[3:])
    assert not await trail.deeds(since=datetime.now(UTC) + timedelta(days=1))


def test_the_command_prints_it_for_people_and_for_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAMPART_DATABASE_URL", f"sqlite:///{tmp_path}/r.db")

    def rampart(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rampart", *words])
        return (cli.main(), *capsys.readouterr())

    assert rampart("audit")[1] == "nothing was done\n"
    rampart("token", "create", "shop", "--role", "ingest", "--by", "ada")
    code, out, _ = rampart("audit", "--last", "7d", "--json")
    listed = rampart("audit")
    wrong = [rampart("audit", "--last", text) for text in ("soon", "-1d", "0s")]

    (deed,) = json.loads(out)
    assert code == 0
    assert (deed["by"], deed["what"], deed["reason"]) == ("ada", "token created", "for ingest")
    assert "token created" in listed[1]
    assert {each[0] for each in wrong} == {2}
    assert all(each[2].startswith("rampart: --last ") for each in wrong)
