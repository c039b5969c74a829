"""People are told while rollouts run on the real server, and no rollout ever waits for them."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import cli
from dev import Stack
from domain.notifications.notice import Status
from domain.notifications.outbox import Outbox
from embedded.ports import free_port
from serving.webhooks import Receiver
from tests.journeys.place import LONG, Place, furnished
from tests.mailbox import Letter, Mailbox, mailbox
from workflows.state import Phase

KEY = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
HIDDEN = ("hunter2", KEY.removeprefix("whsec_"), KEY[6:-2])
TARGETS = """\
targets:
  - {{name: chat, url: 'json://ann:hunter2@{host}/hunter2-ok?+x-key=hunter2'}}
  - {{name: audit, webhook: 'http://{host}/signed?key=hunter2', secret: '{key}'}}
  - {{name: slow, url: 'json://ann:hunter2@{host}/hang-hunter2'}}
  - {{name: stuck, webhook: 'http://{host}/hang-too?key=hunter2', secret: '{key}'}}
  - {{name: broken, url: 'json://ann:hunter2@{host}/broken-hunter2?+x-key=hunter2'}}
templates:
  rolled_back: {{title: '{{{{ prompt }}}} IS BACK ON {{{{ baseline }}}}'}}
  paused: {{body: '{{{{ nobody }}}}'}}
"""
BROKEN = "/broken-hunter2"


@pytest.fixture(scope="module")
def box() -> Iterator[Mailbox]:
    with mailbox(Receiver(KEY)) as opened:
        opened.failing[BROKEN] = 10**9
        yield opened


@pytest_asyncio.fixture(scope="module")
async def stack(box: Mailbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """A stack whose worker tells five targets: two take it, two hang, one is broken."""
    file = tmp_path_factory.mktemp("notify") / "notify.yaml"
    file.write_text(TARGETS.format(host=box.host, key=KEY))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAMPART_NOTIFY_FILE", str(file))
        async with Stack(tmp_path_factory.mktemp("stack"), port=free_port()) as running:
            yield running


@pytest_asyncio.fixture
async def place(stack: Stack) -> AsyncIterator[Place]:
    async with furnished(stack) as place:
        yield place


async def until(found: Callable[[], Any], *, seconds: float = 30) -> Any:
    async with asyncio.timeout(seconds):
        while not (result := found()):
            await asyncio.sleep(0.1)
    return result


def titles(letters: list[Letter], place: Place) -> set[str]:
    return {each.json["title"] for each in letters if place.house.name in each.json["title"]}


def kinds(letters: list[Letter], place: Place) -> set[str]:
    data = [each.json["data"] for each in letters]
    return {each["kind"] for each in data if each["name"] == place.house.name}


async def test_a_rollback_runs_to_its_end_while_targets_hang_and_fail(
    place: Place, box: Mailbox
) -> None:
    before = await place.house.facts()
    await place.start(plan=LONG, by="ana", reason="friendlier")
    async with place.users(good=30):
        await place.until(lambda seen: seen.verdict.action == "advance")
        await place.send("pause", "--input", '{"by": "ana", "reason": "lunch"}')
        await place.until(lambda seen: seen.phase is Phase.PAUSED)
        await until(lambda: box.at("/hang-hunter2") and box.at("/hang-too") and box.at(BROKEN))

    async with place.users(good=0, bad=200):
        outcome = await place.result()

    assert (outcome["outcome"], outcome["by"]) == ("rolled_back", "guardrails")
    assert await place.house.facts() == before
    assert not box.released.is_set()
    story = {"opened", "ramped", "paused", "rolling_back", "rolled_back"}
    await until(lambda: kinds(box.at("/signed"), place) == story)
    await until(lambda: len(titles(box.at("/hunter2-ok"), place)) == len(story))
    back = f"{place.house.name}.system IS BACK ON 1.0.0"
    (end,) = (each for each in box.at("/hunter2-ok") if each.json["title"] == back)
    assert [each["mimetype"] for each in end.json["attachments"]] == ["text/html"]
    assert box.refusals == []


async def test_no_secret_is_in_any_history_or_log(place: Place, box: Mailbox) -> None:
    await place.start(plan=LONG)
    await place.until(lambda seen: seen.checks > 0)
    tried = len(box.at(BROKEN))
    await place.send("rollback")
    await place.result()
    await until(lambda: len(box.at(BROKEN)) > tried)
    await asyncio.sleep(1)  # until what was answered is in the history

    histories = [
        event.SerializeToString().decode(errors="replace")
        async for execution in place.client.list_workflows("")
        for event in (await place.client.get_workflow_handle(execution.id).fetch_history()).events
    ]
    described = [
        str((await place.client.get_workflow_handle(each.id).describe()).raw_description)
        async for each in place.client.list_workflows('WorkflowType = "NotificationWorkflow"')
    ]
    logs = [log.read_text() for log in place.stack.directory.glob("*.log")]

    everything = "\n".join([*histories, *described, *logs])
    assert '"target":"broken"' in everything
    assert "broken did not take it: Failed to send JSON POST" in everything
    assert "our own words are used for: templates.paused.body: 'nobody' has no value" in everything
    assert [secret for secret in HIDDEN if secret in everything] == []


async def test_what_happens_while_temporal_is_away_is_told_when_it_is_back(
    place: Place, box: Mailbox
) -> None:
    await place.start(plan=LONG)
    await place.until(lambda seen: seen.checks > 0)
    (rollout,) = await place.house.rollouts.list(place.house.name, "system")
    server = int((place.stack.directory / "temporal.pid").read_text())

    os.kill(server, signal.SIGSTOP)
    try:
        await place.house.rollouts.roll_back(rollout.id, reason="break glass", by="ana")
        await asyncio.sleep(2)
        waited = (await Outbox(place.house.database).standing()).counts[Status.WAITING]
        told = kinds(box.at("/signed"), place)
    finally:
        os.kill(server, signal.SIGCONT)

    assert waited == 2  # its two steps
    assert "rolled_back" not in told
    await until(lambda: "rolled_back" in kinds(box.at("/signed"), place), seconds=60)
    assert await place.house.share("1.0.0") == 1.0


@pytest.fixture
def notify(
    stack: Stack,
    box: Mailbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Run `rampart notify …` in this process, with `chat`, `audit` and `broken` as targets."""
    file = tmp_path / "notify.yaml"
    lines = TARGETS.format(host=box.host, key=KEY).splitlines(keepends=True)
    file.write_text("".join(lines[:3] + lines[5:6]))
    for name, value in {**stack.variables(), "RAMPART_NOTIFY_FILE": str(file)}.items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rampart", "notify", *words])
        code = cli.main()
        printed = capsys.readouterr()
        assert not [secret for secret in HIDDEN if secret in printed.out + printed.err]
        return code, printed.out, printed.err

    return run


Notify = Callable[..., tuple[int, str, str]]


def test_an_operator_lists_targets_and_no_secret(notify: Notify) -> None:
    code, out, err = notify("list")
    rows = json.loads(notify("list", "--json")[1])["targets"]

    assert (code, err) == (0, "")
    assert "chat         json://127.0.0.1/…           everything, of *" in out
    assert rows[1] == {
        "name": "audit", "where": "http://127.0.0.1/… signed", "kinds": "everything",
        "prompts": "*",
    }  # fmt: skip


def test_an_operator_tries_a_target_out(notify: Notify, box: Mailbox) -> None:
    assert notify("test", "audit") == (0, "audit took it\n", "")

    (letter,) = [each for each in box.at("/signed") if each.json["type"] == "rollout.test"]
    assert "nothing has happened" in letter.json["data"]["body"]


def test_an_operator_tries_all_out_and_is_told_which_fail(notify: Notify) -> None:
    code, out, err = notify("test")

    assert (code, out) == (2, "chat took it\naudit took it\n")
    assert err.startswith("rampart: broken did not take it: Failed to send JSON POST")
    assert err.count("\n") == 1


def test_what_is_wrong_is_told_in_a_line(
    notify: Notify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = notify("test", "nobody")
    file = tmp_path / "notify.yaml"
    file.write_text("templates: {paused: {title: '{{ nobody }}'}}")
    template = notify("list")
    file.write_text("targets: [{name: chat, url: 'nosuch://hunter2'}]")
    address = notify("list")
    monkeypatch.setenv("RAMPART_NOTIFY_FILE", "")
    nobody = notify("test")

    assert unknown[2] == ("rampart: no target 'nobody': configured are chat, audit, broken\n")
    assert "templates.paused.title: 'nobody' has no value" in template[2]
    assert address[2].startswith("rampart: target 'chat': apprise cannot read its url")
    assert nobody[2].startswith("rampart: nobody is notified: set RAMPART_NOTIFY")
    assert [said[0] for said in (unknown, template, address, nobody)] == [2] * 4


def test_an_operator_sees_what_waits_and_what_failed(notify: Notify) -> None:
    code, out, _ = notify("status")
    counts = json.loads(notify("status", "--json")[1])["counts"]

    assert code == 0
    assert out.startswith(f"{counts['waiting']} waiting, {counts['handed']} handed, ")
    assert set(counts) == {status.value for status in Status}
