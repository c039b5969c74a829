"""Rollouts as a list in a terminal. Pure: values in, something for Rich to draw out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.table import Table
from rich.text import Text

from control.rollouts import Description
from domain.duration import spell
from domain.prompts import Json
from terminal.console import Usage
from terminal.palette import bar, colour, words
from workflows.state import Phase

RAMP = 10  # characters
ROOMY = 100  # columns from which there is room for bars
STATES = frozenset({*Phase, "failed", "terminated", "timed_out", "canceled"})
GRAINS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1))


def listing(rollouts: Sequence[Description], *, now: datetime, width: int = ROOMY) -> Table:
    """Return rollouts as a table: how each stands, since when, and who waits for what."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("prompt", "change", "state", "ramp", "age"):
        whole = name in {"state", "ramp", "age"} or (name == "prompt" and width >= ROOMY)
        table.add_column(name, no_wrap=whole, overflow="fold")
    table.add_column("waits for", overflow="fold", ratio=1)
    for found in rollouts:
        state, over = state_of(found), found.closed_at is not None
        table.add_row(
            prompt_of(found),
            str(found.memo.get("change", "")),
            Text(words(state), style=colour(state)),
            _ramp(found, bars=width >= ROOMY),
            age(now - found.started_at),
            _waits(found, now=now),
            style="dim" if over else "",
        )
    return table


def listed(found: Description) -> Json:
    """Return a listed rollout as plain JSON."""
    return dict(found.memo) | {
        "workflow_id": found.workflow_id,
        "run_id": found.run_id,
        "state": state_of(found),
        "status": found.status,
        "started_at": found.started_at.isoformat(),
        "closed_at": found.closed_at.isoformat() if found.closed_at else None,
    }


def state_of(found: Description) -> str:
    """Return what a listed rollout does, or how it ended."""
    live_or_done = found.status in {"running", "completed"}
    return str(found.memo.get("phase", found.status)) if live_or_done else found.status


def states(names: Sequence[str]) -> frozenset[str]:
    """Return the states that are named, with blanks or underscores.

    Raises:
        Usage: There is none of that name.
    """
    wanted = frozenset(name.strip().lower().replace(" ", "_") for name in names)
    if unknown := sorted(wanted - STATES):
        raise Usage(f"--state must be one of {', '.join(sorted(STATES))}, got {unknown[0]!r}")
    return wanted


def prompt_of(found: Description) -> str:
    """Return the prompt of a listed rollout."""
    return str(found.memo.get("prompt", found.workflow_id.removeprefix("rollout/")))


def age(lasted: timedelta) -> str:
    """Return how long in one unit, as `kubectl` does: `12s`, `4h`, `3d`."""
    grain = next((each for each in GRAINS if lasted >= each), GRAINS[-1])
    return spell(lasted // grain * grain)


def _ramp(found: Description, *, bars: bool) -> str:
    percent = found.memo.get("percent")
    if not isinstance(percent, int | float):
        return ""
    drawn = f"{bar(percent, RAMP)} " if bars and found.closed_at is None else ""
    return f"{drawn}{percent:g} %"


def _waits(found: Description, *, now: datetime) -> str:
    if found.closed_at is not None:
        return f"ended {age(now - found.closed_at)} ago"
    return str(found.memo.get("waiting_for", "a worker to open it"))
