"""The command line, against one embedded stack: the story of an operator, and what is refused."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from dev import Stack
from settings import child_environment
from tests.typed import Rampart, content_of, terminate, versions

SLOW = "stages: [{percent: 10, bake: 1h}, {percent: 100}]\ncheck_min: 500ms\n"
PROMPT = "greeting.system"


def test_an_operator_steers_a_rollout_from_start_to_rollback(
    rampart: Rampart, tmp_path: Path
) -> None:
    (tmp_path / "slow.yaml").write_text(SLOW)
    versions(rampart, PROMPT, "1.0.0", "1.1.0")

    started = rampart("start", PROMPT, "1.1.0", "--plan", "slow.yaml", "--reason", "shorter")
    baking = rampart("status", PROMPT, "--json")
    second = rampart("start", PROMPT, "1.1.0")
    paused = rampart("pause", PROMPT, "--reason", "lunch")
    again = rampart("pause", PROMPT)
    why = rampart("why", PROMPT)
    resumed = rampart("resume", PROMPT)
    refused = rampart("resume", PROMPT)
    promoted = rampart("promote", PROMPT)
    rolled_back = rampart("rollback", PROMPT, "--reason", "enough", "--by", "bob")
    watched = rampart("watch", PROMPT)
    ended = rampart("status", PROMPT, "--json")
    listed = rampart("list", "--json")
    journal = rampart("journal", PROMPT, "--json")

    assert f"rampart watch {PROMPT}" in started.out
    assert (baking.json["phase"], baking.json["percent"]) == ("baking", 10.0)
    assert baking.json["worker_answers"] is True
    assert (second.code, "is live already" in second.err) == (2, True)
    assert paused.out == f"{PROMPT}: paused: the ramp holds, the guardrails stay on\n"
    assert (again.code, again.err.count("\n")) == (2, 1)
    assert "somebody to resume it: paused by ann: lunch" in why.out
    assert resumed.out.startswith(f"{PROMPT}: resumed: ")
    assert refused.err == "rampart: resume was refused: it is not paused: it is baking\n"
    assert promoted.code == rolled_back.code == 0
    assert watched.code == 1
    assert watched.out.splitlines()[-1].endswith("(enough)")
    assert (ended.json["phase"], ended.json["by"]) == ("rolled_back", "bob")
    assert listed.json[0]["state"] == "rolled_back"
    kinds = [line["kind"] for line in journal.json if line["kind"] != "checked"]
    assert kinds[:4] == ["opened", "ramped", "paused", "resumed"]
    assert kinds[-1] == "rolled_back"


def test_a_rollback_without_a_rollout_names_the_command_that_reverts(rampart: Rampart) -> None:
    versions(rampart, "farewell.system", "1.0.0", "2.0.0")
    rampart("version", "tag", "farewell.system", "2.0.0", "production")

    refused = rampart("rollback", "farewell.system")
    reverted = rampart("version", "revert", "farewell.system", "--reason", "rude")
    further = rampart("version", "revert", "farewell.system")
    shown = rampart("version", "list", "farewell.system", "--json")

    assert refused.code == 2
    assert refused.err.endswith("use `rampart version revert farewell.system`\n")
    assert reverted.out == "farewell.system 1.0.0 is in production again\n"
    assert (further.code, "no previous production version" in further.err) == (2, True)
    assert [(v["version"], v["tags"]) for v in shown.json] == [
        ("2.0.0", []),
        ("1.0.0", ["production"]),
    ]


def test_a_rollout_whose_workflow_was_terminated_can_still_be_rolled_back(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "orphan.system", "1.0.0", "1.1.0")
    rampart("start", "orphan.system", "1.1.0", "--plan", "standard")
    asyncio.run(terminate(stack, "rollout/orphan.system"))

    rolled_back = rampart("rollback", "orphan.system", "--reason", "orphaned", "--by", "ana")
    again = rampart("rollback", "orphan.system")
    next_one = rampart("start", "orphan.system", "1.1.0", "--plan", "standard")

    assert rolled_back.out == (
        "orphan.system: rolled back in the database: its workflow was gone\n"
    )
    assert (again.code, "no live rollout of orphan.system" in again.err) == (2, True)
    assert next_one.code == 0
    rampart("rollback", "orphan.system")


def test_a_rollback_needs_no_database_here(
    rampart: Rampart, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions(rampart, "blind.system", "1.0.0", "1.1.0")
    rampart("start", "blind.system", "1.1.0", "--plan", "standard")
    monkeypatch.setenv("RAMPART_DATABASE_URL", "postgresql://x@127.0.0.1:9/x")

    rolled_back = rampart("rollback", "blind.system")

    assert (rolled_back.code, rolled_back.out) == (0, "blind.system: rolling back\n")


OFFICE = "stages: [{percent: 100}]\nwindows: {time_zone: UTC"
FRIDAY = "{days: [fri], from: '16:00', until: '18:00'}"
FILES = {
    "falling.yaml": "stages: [{percent: 50}, {percent: 10}]",
    "repeated.yaml": "stages: [{percent: 50}, {percent: 50}, {percent: 100}]",
    "zero.yaml": "stages: [{percent: 0}, {percent: 100}]",
    "over.yaml": "stages: [{percent: 101}]",
    "negative.yaml": "stages: [{percent: 100, bake: -5s}]",
    "field.yaml": "stages: [{percent: 100, bak: 5s}]",
    "metric.yaml": "stages: [{percent: 100}]\nguardrails: [{metric: joy}]",
    "empty.yaml": "stages: []",
    "text.yaml": "just a text",
    "broken.yaml": "stages: [",
    "zone.yaml": OFFICE.replace("UTC", "Europe/Berln}"),
    "overlap.yaml": f"{OFFICE}, hours: [{{from: '09:00', until: '17:00'}}, {FRIDAY}]}}",
    "closed.yaml": f"{OFFICE}, hours: [{{from: '09:00', until: '09:00'}}]}}",
    "naive.yaml": "stages: [{percent: 100}]\ndeadline: 2026-12-01T09:00",
}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("plan lint falling.yaml", ("falling.yaml", "stages", "must rise", "50, 10")),
        ("plan lint repeated.yaml", ("stages", "must rise", "50, 50, 100")),
        ("plan lint zero.yaml", ("stages.0.percent", "greater than 0", "got 0")),
        ("plan lint over.yaml", ("stages.0.percent", "less than or equal to 100", "101")),
        ("plan lint negative.yaml", ("stages.0.bake", "-5s", "90s")),
        ("plan lint field.yaml", ("bak", "allowed are percent, bake, approval")),
        ("plan lint metric.yaml", ("guardrails.0", "joy", "success")),
        ("plan lint empty.yaml", ("stages", "at least one stage")),
        ("plan lint text.yaml", ("must be a mapping", "just a text")),
        ("plan lint broken.yaml", ("broken.yaml", "not YAML")),
        ("plan lint nowhere.yaml", ("nowhere.yaml", "No such file")),
        ("plan lint zone.yaml", ("windows.time_zone", "'Europe/Berln'", "IANA", "Europe/Berlin")),
        ("plan lint overlap.yaml", ("hours overlap", "mon-fri 09:00-17:00", "fri 16:00-18:00")),
        ("plan lint closed.yaml", ("windows.hours.0", "09:00 until 09:00", "empty")),
        ("plan lint naive.yaml", ("deadline", "with its offset", "'2026-12-01T09:00'")),
        ("plan show slowly", ("'slowly'", "conservative, standard, aggressive, demo")),
        ("start quiet.system 1.1.0 --plan falling.yaml", ("must rise", "50, 10")),
        ("start quiet.system 9.9.9", ("'9.9.9'", "does not exist", "1.0.0, 1.1.0")),
        ("start quiet.system 1.0.0", ("1.0.0", "in production already")),
        ("start quiet.system 1.1.0", ("1.1.0", "archived", "only an active version")),
        ("start nobody.system 1.0.0", ("nobody.system", "no production version")),
        ("start quiet.system 1.1.0 --at 2026-12-01T09:00", ("--at", "offset", "09:00")),
        ("start quiet.system 1.1.0 --at 2020-12-01T09:00Z", ("start_at", "later than now", "2020")),
        ("start quiet.system 1.1.0 --at 2926-12-01T09:00Z", ("start_at", "within 365d", "2926")),
        ("start quiet.system 1.1.0 --at 2027-01-01T09:00Z --in 2h", ("--at", "--in", "not both")),
        ("start quiet.system 1.1.0 --in soon", ("--in", "'soon'", "90s")),
        ("start quiet.system 1.1.0 --deadline soon", ("--deadline", "'soon'", "7d")),
        ("start quiet 1.1.0", ("PROMPT", "'quiet'", "<name>.<prompt_type>")),
        ("start quiet.system", ("CANDIDATE", "rampart start --help")),
        ("status unheard.system", ("no rollout of unheard.system", "rampart start")),
        ("journal unheard.system", ("no rollout of unheard.system", "rampart start")),
        ("pause unheard.system", ("no rollout of unheard.system", "rampart start")),
        ("version revert quiet.system", ("no previous production version",)),
        ("version create quiet.system", ("--template", "--file")),
        ("version create quiet.system --template x --number 1.x", ("1.x", "major.minor.patch")),
        ("version create quiet.system --template x --number 1.0.0", ("1.0.0", "exists")),
        ("version create quiet.system --template x --status odd", ("'odd'", "draft, active")),
        ("version tag quiet.system 7.7.7 production", ("'7.7.7'", "1.1.0, 1.0.0")),
        ("version show quiet.system 7.7.7", ("'7.7.7'", "1.1.0, 1.0.0")),
        ("version show unheard.system", ("no versions of unheard.system", "version create")),
        ("verson list", ("'verson'", "rampart --help")),
        ("lst", ("'lst'", "mean 'list'", "rampart --help")),
        ("list quiet", ("one word too many: 'quiet'", "rampart list --help")),
        ("list --limit 0", ("--limit", "greater than or equal to 1", "got '0'")),
        ("list --limit=many", ("--limit", "valid integer", "got 'many'")),
        ("list --state odd", ("--state", "'odd'", "baking", "rolled_back")),
        ("skip quiet.system --to 0", ("--to", "greater than or equal to 1", "got '0'")),
        ("extend quiet.system long", ("LONGER", "'long'", "90s")),
        ("amend quiet.system", ("--plan", "--set PLACE=VALUE")),
        ("experiment start quiet.system", ("name the versions", "--plan")),
        ("monitor start", ("PROMPT", "--experiment", "--version")),
        ("gateway --port many", ("--port", "valid integer", "got 'many'")),
        ("gateway --host no.such.host.invalid", ("no.such.host.invalid:8080",)),
        ("completion tcsh", ("SHELL", "'tcsh'", "'bash', 'zsh', 'fish'")),
        ("watch quiet.system --color", ("--color", "rampart watch --help")),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_and_writes_nothing(
    rampart: Rampart, stack: Stack, tmp_path: Path, *, typed: str, told: tuple[str, ...]
) -> None:
    quiet(rampart)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    before = content_of(stack)

    said = rampart(*typed.split())

    assert said.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("rampart: ")
    assert [part for part in told if part not in said.err] == []
    assert content_of(stack) == before


def quiet(rampart: Rampart) -> None:
    """Make sure of a prompt with one version in production and one that is archived."""
    if not rampart("version", "list", "quiet.system", "--json").json:
        versions(rampart, "quiet.system", "1.0.0")
        archived = ("--number", "1.1.0", "--status", "archived")
        rampart("version", "create", "quiet.system", "--template", "old", *archived)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("TEMPORAL_ADDRESS", "127.0.0.1:9", "no Temporal server answers at 127.0.0.1:9"),
        ("RAMPART_DATABASE_URL", "postgresql://x@127.0.0.1:9/x", "is unavailable"),
        ("RAMPART_DATABASE_URL", "sqlite:////proc/none/x.db", "is unavailable"),
        ("RAMPART_DATABASE_URL", "mysql://x", "give sqlite:///path or postgresql://"),
    ],
)
def test_what_does_not_answer_is_told_in_one_line(
    rampart: Rampart,
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variable: str,
    value: str,
    told: str,
) -> None:
    versions(rampart, "mute.system", "1.0.0", "1.1.0")
    before = content_of(stack)
    monkeypatch.setenv(variable, value)

    said = rampart("start", "mute.system", "1.1.0")

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert told in said.err
    assert content_of(stack) == before


def test_the_installed_command_follows_in_json_lines_until_it_is_interrupted(
    rampart: Rampart, stack: Stack
) -> None:
    versions(rampart, "piped.system", "1.0.0", "1.1.0")
    rampart("start", "piped.system", "1.1.0", "--plan", "demo")
    command = [str(Path(sys.executable).parent / "rampart"), "watch", "piped.system", "--json"]
    environment = child_environment(**stack.variables(), PYTHONUNBUFFERED="1")

    with subprocess.Popen(command, env=environment, stdout=PIPE, stderr=PIPE) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())
        watching.send_signal(signal.SIGINT)
        _, complaint = watching.communicate()

    assert (first["prompt"], first["ended"]) == ("piped.system", False)
    assert watching.returncode == 130
    assert complaint.decode() == (
        "rampart: no longer watching; the rollout of piped.system goes on without you\n"
    )
