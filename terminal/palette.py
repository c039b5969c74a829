"""How things look in a terminal: colours, bars, times. Every word is told without colour too."""

from datetime import UTC, datetime, timedelta

from rich.table import Table

from domain.duration import spell
from domain.judge import Action, Standing
from workflows.state import Phase

BAR = 30  # characters

# Colour repeats what a word beside it says; nothing is told by colour alone.
COLOURS = {
    Phase.PROMOTED.value: "green",
    Phase.ROLLED_BACK.value: "red",
    Phase.ROLLING_BACK.value: "red",
    Phase.ROLLBACK_INCOMPLETE.value: "red",
    Phase.PAUSED.value: "yellow",
    Phase.WAITING_FOR_APPROVAL.value: "yellow",
    Phase.WAITING_FOR_WINDOW.value: "yellow",
    "failed": "red",
    "terminated": "red",
    Action.ADVANCE.value: "green",
    Action.ROLL_BACK.value: "red",
    Standing.SAFE.value: "green",
    Standing.NOT_HARMED.value: "green",
    Standing.HARMED.value: "red",
    Standing.ERROR.value: "yellow",
}


def instant(when: datetime, *, now: datetime) -> str:
    """Return an instant, absolute and from now: `2026-01-31 12:00:00 UTC (in 4h)`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({away(when, now=now)})"


def away(when: datetime, *, now: datetime) -> str:
    """Return an instant from now: `in 4h`, `2d ago`, `now`."""
    near = rounded(abs(when - now))
    if not near:
        return "now"
    return f"in {spell(near)}" if when > now else f"{spell(near)} ago"


def bar(percent: float, width: int = BAR) -> str:
    """Return a bar of `width` characters; any share at all shows."""
    filled = max(round(percent / 100 * width), 1 if percent > 0 else 0)
    return "█" * filled + "░" * (width - filled)


def words(name: str) -> str:
    """Return `rolled back` for `rolled_back`."""
    return name.replace("_", " ")


def colour(name: str) -> str:
    """Return the colour that goes with a phase, a verdict or a standing."""
    return COLOURS.get(name, "cyan")


def rows() -> Table:
    """Return an empty table of names and what there is to say of them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def rounded(duration: timedelta) -> timedelta:
    """Leave out what nobody reads: seconds of hours, milliseconds of seconds."""
    grain = 60 if duration >= timedelta(hours=1) else 1
    return timedelta(seconds=round(duration.total_seconds() / grain) * grain)
