"""`rampart watch` in a terminal, on a real stack: seen at many sizes, steered by keys, left."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from dev import Stack
from domain import MetricEvent, MetricsCollector
from domain.database import Database
from domain.rollouts import RolloutManager
from tests.journeys.terminal import CTRL_C, ESCAPE, Terminal
from tests.typed import Rampart, versions

PLAN = """
stages: [{percent: 10, bake: 1h}, {percent: 50, bake: 1h, approval: true}, {percent: 100}]
guardrails: [success, response_time]
check_min: 500ms
check_max: 500ms
"""
SIZES = [(60, 20), (80, 24), (120, 40), (160, 50)]

pytestmark = pytest.mark.timeout(180)

Watched = Callable[..., Terminal]


@pytest.fixture
def prompt(rampart: Rampart, tmp_path: Path) -> str:
    """A prompt of the test's own, whose rollout bakes in its first stage."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    name = f"greeting-{uuid4().hex[:6]}.system"
    versions(rampart, name, "1.0.0", "1.1.0")
    started = rampart("start", name, "1.1.0", "--plan", "plan.yaml", "--reason", "shorter")
    assert started.code == 0, started.err
    while rampart("status", name, "--json").json["stage"] < 1:
        time.sleep(0.1)
    return name


@pytest.fixture
def watched(stack: Stack, prompt: str) -> Watched:
    def watch(columns: int = 120, rows: int = 40, **more: str) -> Terminal:
        variables = stack.variables() | {"RAMPART_OPERATOR": "ann"} | more
        return Terminal("watch", prompt, columns=columns, rows=rows, **variables)

    return watch


def come(stack: Stack, prompt: str, *, good: int, bad: int) -> None:
    """Let so many new users of the candidate come, and 1000 content ones of the baseline."""

    async def record() -> None:
        database = Database(stack.database_url)
        name, _, kind = prompt.rpartition(".")
        (rollout,) = await RolloutManager(database).list(name, kind)
        outcomes = {rollout.candidate_id: (good, bad), rollout.baseline_id: (970, 30)}
        now, mark = datetime.now(UTC), uuid4().hex
        await MetricsCollector(database).record_events(
            [
                MetricEvent(
                    version,
                    now,
                    success=number < some[0],
                    response_time=0.2 + number % 7 / 10,
                    user_id=f"{mark}-{number}",
                    experiment_id=rollout.experiment_id,
                )
                for version, some in outcomes.items()
                for number in range(sum(some))
            ]
        )
        await database.dispose()

    asyncio.run(record())


@pytest.mark.parametrize(("columns", "rows"), SIZES)
def test_at_any_size_it_shows_what_matters_at_once_and_the_rest_by_scrolling(
    watched: Watched, stack: Stack, prompt: str, columns: int, rows: int
) -> None:
    come(stack, prompt, good=194, bad=6)

    with watched(columns, rows) as terminal:
        seen = terminal.until("1 of 3: [10 %] → 50 % → 100 %", "97.0% of 200 users", "evidence of")
        terminal.press("\x1b[F")
        terminal.until("is to replace production by plan custom:", "shorter (by ann)")

    for words in ("1.0.0 → 1.1.0 baking", "waits for", "next check", "candidate", " quit"):
        assert words in seen
    assert all(key in seen.splitlines()[-1] for key in "praPb?q")


def test_it_follows_the_size_of_the_window(watched: Watched) -> None:
    with watched(160, 50) as terminal:
        terminal.until("decisions", "p pause")
        for columns, rows in (*SIZES, (40, 12), (120, 40)):
            terminal.resize(columns, rows)
            terminal.until("1.1.0 baking", bottom=" q")
        terminal.until("p pause r resume a approve", "decisions")


def test_bars_grow_towards_a_rollback_and_it_stays_to_the_end(
    watched: Watched, stack: Stack, prompt: str
) -> None:
    with watched() as terminal:
        come(stack, prompt, good=100, bad=0)
        terminal.until("success ░░░░░░░░░░░░░░░░░░░░", "100.0% of 100 users")
        come(stack, prompt, good=100, bad=100)
        code = terminal.end()

        assert (code, terminal.restored) == (1, True)
    assert "1.1.0 was rolled back at 10 %" in terminal.flowing
    assert "████████████████████" in terminal.text


def test_keys_steer_it_and_the_answers_are_shown_while_the_picture_goes_on(
    watched: Watched, rampart: Rampart, prompt: str
) -> None:
    with watched() as terminal:
        terminal.until("1.1.0 baking")
        terminal.press("p")
        terminal.until("pause: Hold the ramp", "reason, kept in the journal")
        terminal.press("lunch, back at 2; approve? no\r")
        terminal.until("accepted: paused: the ramp holds", "1.1.0 paused", "by ann: lunch, back")
        terminal.press("p")
        terminal.until("pause: Hold the ramp")
        terminal.press("\r")
        terminal.until("pause was refused: it is paused already by ann: lunch")
        terminal.press("r")
        terminal.until("resume: Let a paused")
        terminal.press("fed\r")
        terminal.until("accepted: resumed", "1.1.0 baking")
        terminal.press("a")
        terminal.until("approve: Open the gate")
        terminal.press("\r")
        terminal.until("approve was refused: ")

    told = [(line["kind"], line["by"]) for line in rampart("journal", prompt, "--json").json]
    assert ("paused", "ann") in told
    assert ("resumed", "ann") in told


def test_what_is_grave_is_asked_for_twice_and_left_by_any_other_key(
    watched: Watched, rampart: Rampart, prompt: str
) -> None:
    with watched() as terminal:
        terminal.until("1.1.0 baking")
        terminal.press("b")
        terminal.until("rollback: Return every user")
        terminal.press(ESCAPE)
        terminal.press("b")
        terminal.until("rollback: Return every user")
        terminal.press("rude\r")
        terminal.until("rollback? Return every user", "(rude)", "y does it")
        terminal.press("n")
        terminal.press("P")
        terminal.until("promote: Go on to the next stage")
        terminal.press("\r")
        terminal.until("promote? Go on", "(no reason given)")
        terminal.press("q")
        untouched = rampart("status", prompt, "--json").json["phase"]
        terminal.press("b")
        terminal.until("rollback: Return every user")
        terminal.press("rude\r")
        terminal.until("y does it")
        terminal.press("y")
        code = terminal.end()

    assert untouched == "baking"
    assert code == 1
    assert "was rolled back at 10 %" in terminal.flowing
    assert "(rude)" in terminal.flowing
    assert rampart("status", prompt, "--json").json["by"] == "ann"


def test_help_takes_the_place_of_the_evidence_and_gives_it_back(watched: Watched) -> None:
    with watched(80, 24) as terminal:
        terminal.until("1.1.0 baking", "candidate 1.1.0")
        terminal.press("?")
        terminal.until("p pause Hold the ramp", "1.1.0 baking")
        terminal.press("xz?")
        terminal.until("candidate 1.1.0")


@pytest.mark.parametrize(("key", "name"), [("q", "q"), (CTRL_C, "Ctrl-C")])
def test_whoever_leaves_leaves_the_rollout_alone_and_the_terminal_as_it_was(
    watched: Watched, rampart: Rampart, prompt: str, key: str, name: str
) -> None:
    with watched() as terminal:
        terminal.until("1.1.0 baking")
        terminal.press(key)
        code = terminal.end()

        assert (code, terminal.restored) == (130, True), name
    assert f"no longer watching; the rollout of {prompt} goes on without you" in terminal.flowing
    assert rampart("status", prompt, "--json").json["phase"] == "baking"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)],
)
def test_a_signal_leaves_the_terminal_as_it_was(
    watched: Watched, number: signal.Signals, code: int
) -> None:
    with watched() as terminal:
        terminal.until("1.1.0 baking")
        terminal.signal(number)

        assert (terminal.end(), terminal.restored) == (code, True)


def test_without_colours_it_says_the_same(watched: Watched, stack: Stack, prompt: str) -> None:
    come(stack, prompt, good=194, bad=6)

    with watched(NO_COLOR="1") as terminal:
        terminal.until("1.1.0 baking", "97.0% of 200 users", "not harmed")


def test_a_dumb_terminal_gets_lines_and_keeps_its_keys(watched: Watched) -> None:
    with watched(TERM="dumb") as terminal:
        terminal.until("1.1.0 baking, waits for stage 1 to bake until")
        terminal.press("q")
        terminal.signal(signal.SIGINT)
        code = terminal.end()

    assert code == 130
    assert b"\x1b[?1049h" not in terminal.written


def test_a_text_of_others_does_nothing_to_the_terminal(
    watched: Watched, rampart: Rampart, prompt: str
) -> None:
    rampart("pause", prompt, "--reason", "\x1b[2J\x1b]0;gone\x07 [red]wait[/red]")

    with watched() as terminal:
        terminal.until("[red]wait[/red]")

    assert b"\x1b]0;gone" not in terminal.written


def test_a_silent_server_is_told_in_the_picture_and_then_ends_it(
    watched: Watched, stack: Stack
) -> None:
    server = stack._children["temporal"]

    with watched() as terminal:
        terminal.until("1.1.0 baking")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            terminal.until("no answer from Temporal or the database for", "this is how it stood at")
            code = terminal.end()
        finally:
            os.kill(server.pid, signal.SIGCONT)

        assert (code, terminal.restored) == (2, True)
    assert "rampart: Temporal does not answer" in terminal.flowing
