"""`rampart monitor`, against one embedded stack: versions watched, alerts read, what is refused."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from dev import Stack
from domain import MetricEvent, MetricsCollector
from domain.database import Database
from tests.typed import Rampart

PROMPT = "greeting.system"
PATIENCE_S = 20.0


def furnish(rampart: Rampart, prompt: str) -> dict[str, str]:
    """Make 1.0.0, in production, and 1.1.0 of a prompt; return their ids."""
    if not rampart("version", "list", prompt, "--json").json:
        for number in ("1.0.0", "1.1.0"):
            rampart("version", "create", prompt, "--template", number, "--number", number)
        rampart("version", "tag", prompt, "1.0.0", "production")
    listed = rampart("version", "list", prompt, "--json").json
    return {version["version"]: version["version_id"] for version in listed}


def report(stack: Stack, version_id: str, *, good: int, bad: int) -> None:
    """Count so many events of a version."""

    async def record() -> None:
        database, now = Database(stack.database_url), datetime.now(UTC)
        outcomes = [True] * good + [False] * bad
        events = [MetricEvent(version_id, now, success=success) for success in outcomes]
        await MetricsCollector(database).record_events(events)
        await database.dispose()

    asyncio.run(record())


def until(look: Callable[[], Any]) -> Any:
    """Look again until there is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def test_an_operator_watches_a_prompt_and_is_told_once(rampart: Rampart, stack: Stack) -> None:
    ids = furnish(rampart, PROMPT)
    report(stack, ids["1.1.0"], good=10, bad=40)

    limits = ("--below", "success_rate=0.5", "--above", "idle=2h")
    started = rampart("monitor", "start", PROMPT, "--interval", "500ms", *limits)
    second = rampart("monitor", "start", PROMPT)
    alerts = until(lambda: rampart("monitor", "alerts", PROMPT, "--json").json)
    status = rampart("monitor", "status", PROMPT)
    as_json = rampart("monitor", "status", PROMPT, "--json")
    report(stack, ids["1.1.0"], good=200, bad=0)
    until(lambda: rampart("monitor", "alerts", PROMPT, "--json").json[0]["cleared_at"])
    stopped = rampart("monitor", "stop", PROMPT, "--reason", "enough")
    again = until(lambda: (said := rampart("monitor", "stop", PROMPT)).code and said)
    ended = rampart("monitor", "status", PROMPT, "--json")
    table = rampart("monitor", "alerts", PROMPT)

    assert started.code == 0
    assert started.out.splitlines()[:4] == [
        f"started {PROMPT}: every 500ms for 1d",
        f"  watches {PROMPT} 1.1.0",
        f"  watches {PROMPT} 1.0.0",
        "  alerts  success_rate below 0.5",
    ]
    assert (second.code, f"a monitor named '{PROMPT}' is live already" in second.err) == (2, True)
    assert [(alert["version_id"], alert["value"]) for alert in alerts] == [(ids["1.1.0"], 0.2)]
    message = f"{PROMPT} 1.1.0: success_rate 20.0 % (50 events in 1h), below 50.0 %"
    assert alerts[0]["message"] == message
    assert f"  alert     {message}" in status.out.splitlines()
    assert "undecided" in status.out
    assert (as_json.json["status"], as_json.json["progress"]["alerts"]) == ("running", 1)
    assert stopped.out == f"{PROMPT}: stopped: it raised 1 alert\n"
    assert again.err == f"rampart: monitor '{PROMPT}' is not live: it is completed\n"
    assert ended.json["outcome"]["outcome"] == "stopped"
    assert (ended.json["outcome"]["by"], ended.json["outcome"]["reason"]) == ("ann", "enough")
    assert message in table.out
    assert "open" not in table.out


def test_versions_nobody_registered_can_be_watched_by_their_ids(
    rampart: Rampart, stack: Stack
) -> None:
    report(stack, "theirs", good=0, bad=30)
    flags = ("--version", "theirs", "--duration", "1s", "--window", "ever", "--min-events", "30")

    started = rampart("monitor", "start", *flags, "--name", "night")
    until(lambda: rampart("monitor", "status", "night", "--json").json["outcome"])
    alerts = rampart("monitor", "alerts", "night")
    quiet = rampart("monitor", "start", *flags, "--below", "avg_rating=2", "--name", "day")
    until(lambda: rampart("monitor", "status", "day", "--json").json["outcome"])
    nothing = rampart("monitor", "alerts", "day")

    assert started.code == quiet.code == 0
    assert "theirs: success_rate 0.0 % (30 events in all), below 50.0 %" in alerts.out
    assert nothing.out == "day has raised no alerts\n"


async def _stop_garbled(address: str, name: str) -> str:
    handle = (await Client.connect(address)).get_workflow_handle(f"monitor/{name}")
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await handle.execute_update("stop", {"reson": "typo"})
    return str(failed.value.cause)


def test_a_garbled_stop_is_refused_and_the_monitor_goes_on(rampart: Rampart, stack: Stack) -> None:
    rampart("monitor", "start", "--version", "v", "--name", "garbled")

    why = asyncio.run(_stop_garbled(stack.address, "garbled"))

    assert "stop was refused: it takes nothing, a text, or" in why
    assert rampart("monitor", "status", "garbled", "--json").json["status"] == "running"
    rampart("monitor", "stop", "garbled")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("start", ("say what to watch: PROMPT",)),
        ("start quiet.system --experiment x", ("either PROMPT or --experiment",)),
        ("start --experiment x --version v", ("versions or experiment, got both",)),
        ("start --experiment nobodys", ("experiment 'nobodys' does not exist",)),
        ("start quiet", ("PROMPT", "'quiet'", "<name>.<prompt_type>")),
        ("start nobody.system", ("nobody.system has no version in use",)),
        ("start quiet.system --version 9.9.9", ("'9.9.9'", "known are 1.1.0, 1.0.0")),
        ("start quiet.system --below success_rate", ("METRIC=LIMIT", "'success_rate'")),
        ("start quiet.system --below succes_rate=0.5", ("'succes_rate'", "must be one of")),
        ("start quiet.system --below success_rate=50", ("below 50", "from 0 to 1")),
        ("start quiet.system --below success_rate=x", ("conditions.0.below", "'x'")),
        ("start quiet.system --above idle=soon", ("must be a duration", "'soon'")),
        ("start quiet.system --interval 0s", ("interval", "at least 500ms", "0s")),
        ("start quiet.system --duration long", ("duration", "'long'")),
        ("start quiet.system --min-events 0", ("min_events", "got 0")),
        ("status unheard", ("no monitor named 'unheard'", "rampart monitor start")),
        ("alerts unheard", ("no monitor named 'unheard'",)),
        ("stop unheard", ("no monitor named 'unheard'",)),
        ("stop", ("NAME", "rampart monitor stop --help")),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    rampart: Rampart, *, typed: str, told: tuple[str, ...]
) -> None:
    furnish(rampart, "quiet.system")

    said = rampart("monitor", *typed.split())

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("rampart: ")
    assert [part for part in told if part not in said.err] == []
