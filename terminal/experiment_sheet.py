"""Experiments as people see them in a terminal. Pure, as `screen` is."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from control.experiments import ExperimentDescription
from domain.guardrail import SUCCESS
from domain.trials.contest import ArmResult
from domain.trials.findings import ArmReport, Conclusion, Step, TrialLine
from domain.trials.wording import figure, span
from terminal.palette import rows, words
from workflows.experiments.progress import ExperimentProgress
from workflows.progress import clock

NO_WORKER = "no worker answers: start one with `rampart worker`; nothing moves until then"
COLOURS = {"harmed": "red", "stopped": "red", "safe": "green", "error": "yellow"}


def status(told: ExperimentDescription, prompt: str) -> RenderableType:
    """Return an experiment: a table of its arms, what it waits for, or what it came to."""
    shown = told.progress
    head = Text.assemble((f"{prompt} ", "bold"), words(shown.phase if shown else _state(told)))
    parts: list[RenderableType] = [head, ""]
    if shown and shown.arms:
        parts += [arms(shown), ""]
    elif told.conclusion and told.conclusion.arms:
        parts += [results(told.conclusion), ""]
    facts = rows()
    for name, value in _facts(told):
        facts.add_row(name, value)
    return Group(*parts, facts)


def arms(shown: ExperimentProgress) -> Table:
    """Return the arms as they stand; each interval holds at every look."""
    heads = ("arm", "users", "n", shown.goal, "interval", "difference", "interval", "standing")
    table = _table(heads)
    for arm in shown.arms:
        table.add_row(*_cells(arm, goal=shown.goal))
    return table


def results(conclusion: Conclusion) -> Table:
    """Return the tests of the end, each arm against control."""
    heads = ("arm", "n", "rate", "control", "difference", "interval", "p", "p (Holm)", "ahead")
    table = _table(heads)
    for arm in conclusion.arms:
        table.add_row(*_tests(arm))
    return table


def journal(lines: Iterable[TrialLine]) -> Table:
    """Return a trial's journal, oldest first."""
    table = Table.grid(padding=(0, 1))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines:
        by = f" (by {line.by})" if line.by else ""
        step = Text(f"{words(line.step):<12}", style="red" if line.step is Step.ARM_STOPPED else "")
        table.add_row(Text(f"{line.at:%Y-%m-%d %H:%M:%S}", style="dim"), step, line.reason + by)
    return table


def listing(found: Sequence[ExperimentDescription]) -> Table:
    """Return experiments, one line each."""
    table = _table(("experiment", "state", "started (UTC)", "waits for"))
    for told in found:
        waits = str(told.memo.get("waiting_for", "")) if told.closed_at is None else ""
        prompt = told.workflow_id.removeprefix("experiment/")
        table.add_row(prompt, words(_state(told)), f"{told.started_at:%Y-%m-%d %H:%M}", waits)
    return table


def to_json(told: ExperimentDescription) -> dict[str, Any]:
    """Return all that is known as plain JSON."""
    shown = told.progress.model_dump(mode="json") if told.progress else {}
    concluded = told.conclusion or (told.progress.conclusion if told.progress else None)
    return shown | {
        "phase": _state(told),
        "conclusion": concluded.model_dump(mode="json") if concluded else None,
        "worker_answers": told.closed_at is not None or told.progress is not None,
        "stuck": list(told.stuck),
        "failure": told.failure,
        "workflow_id": told.workflow_id,
        "run_id": told.run_id,
        "status": told.status,
        "started_at": told.started_at.isoformat(),
        "closed_at": told.closed_at.isoformat() if told.closed_at else None,
    }


def _state(told: ExperimentDescription) -> str:
    """Return what it is doing, or how it ended."""
    if told.progress:
        return told.progress.phase
    if told.conclusion:
        return told.conclusion.ending
    return str(told.memo.get("phase", told.status)) if told.closed_at is None else told.status


def _facts(told: ExperimentDescription) -> Iterator[tuple[str, RenderableType]]:
    if told.failure:
        yield "failed", Text(told.failure, style="red")
    if told.progress:
        yield from _running(told.progress)
    if ended := told.conclusion:
        yield "tests", ended.finding if ended.arms else "never asked"
        if ended.early:
            yield "", Text("a person chose the moment: the tests hold if not by what was seen")
        yield "end", f"{ended.why}{f' (by {ended.by})' if ended.by else ''}"
    if told.closed_at is None and told.progress is None:
        yield "blocked", Text(NO_WORKER, style="red")
    for blocked in told.stuck:
        yield "blocked", Text(blocked, style="red")


def _running(shown: ExperimentProgress) -> Iterator[tuple[str, RenderableType]]:
    yield "has run", shown.elapsed
    yield "waits for", shown.waiting_for
    if shown.conclusion:
        yield "tests", shown.conclusion.finding
    if shown.next_look_at:
        yield "next look", clock(shown.next_look_at)
    if shown.mismatch:
        yield "split", Text(shown.mismatch, style="yellow")
    if shown.refused:
        yield "note", Text(shown.refused, style="yellow")


def _table(heads: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, no_wrap=True)
    return table


def _cells(arm: ArmReport, *, goal: str) -> tuple[str | Text, ...]:
    standing = "stopped" if arm.stopped else "control" if arm.is_control else arm.standing.value
    return (
        arm.version,
        f"{arm.share:.0%}",
        f"{arm.n}",
        figure(goal, arm.rate),
        span(goal, arm.interval),
        figure(goal, arm.difference, signed=True),
        span(goal, arm.difference_interval, signed=True),
        Text(words(standing), style=COLOURS.get(standing, "")),
    )


def _tests(arm: ArmResult) -> tuple[str, ...]:
    goal = SUCCESS if arm.is_rate else ""
    return (
        f"{arm.version}{' (stopped)' if arm.stopped else ''}",
        f"{arm.n_b}",
        figure(goal, arm.rate_b),
        figure(goal, arm.rate_a),
        figure(goal, arm.difference, signed=True),
        span(goal, arm.interval, signed=True),
        f"{arm.p_value:.4f}",
        f"{arm.adjusted_p:.4f}",
        {"A": arm.control, "B": arm.version}.get(arm.winner or "", "–"),
    )
