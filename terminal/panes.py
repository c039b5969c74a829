"""What fills the screen of `rampart watch`: for any width, in words as well as in colour. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from control.picture import Picture
from terminal import evidence, screen
from terminal.palette import away, bar, colour, rows
from workflows.progress import stage_of

NARROW, WIDE = 80, 140  # columns below which bars are short; from which the journal has its own
SHORT, LONG = 16, 30  # characters of a bar
LINES = 40  # of the journal
SILENCE = timedelta(seconds=3)  # after which a picture is called old
KEYS = (
    ("p", "pause", "Hold the ramp; the guardrails stay on."),
    ("r", "resume", "Let a paused rollout go on."),
    ("a", "approve", "Open the gate of a stage that waits for an approval."),
    ("P", "promote", "Go on to the next stage after one more check, without the rest of the bake."),
    ("b", "roll back", "Return every user to the version before, now and for good."),
    ("?", "help", "Show or leave this page."),
    ("q", "quit", "Stop watching; the rollout goes on without you. So does Ctrl-C."),
)
READING = (
    "A bar is evidence of harm on its way to what rolls back: full, it does. The evidence may be"
    " looked at as often as you like; a bar that grows and shrinks is what chance looks like.",
    "Rates have intervals that hold at all looks at once. Where two overlap, nothing is shown yet.",
    "Arrows and Page Up/Down scroll.",
)


def head(picture: Picture, *, width: int) -> RenderableType:
    """Return where the rollout stands and what it waits for: what is always in sight."""
    table, shown = rows(), picture.progress
    long = SHORT if width < NARROW else LONG
    if shown.candidate:
        ramp = f"{bar(shown.percent, long)} {shown.percent:g} %"
        table.add_row("ramp", Text(ramp, style=colour(picture.phase)))
        table.add_row("stage", Text(stage_of(shown)))
        for name, value in screen.clock(picture, width=long):
            table.add_row(name, value)
    if picture.ended:
        for name, value in screen.end(picture):
            table.add_row(name, value)
        return Group(screen.headline(picture), table)
    table.add_row("waits for", Text(shown.waiting_for))
    if shown.next_check_at:
        verdict = f"check {shown.checks} said {shown.verdict.action.value.replace('_', ' ')}"
        due = away(shown.next_check_at, now=picture.at)
        table.add_row("next check", f"{'due ' if due.endswith('ago') else ''}{due}; {verdict}")
    for name, value in screen.obstacles(picture):
        table.add_row(name, value)
    return Group(screen.headline(picture), table)


def body(picture: Picture, *, width: int) -> RenderableType:
    """Return arms, evidence and journal, side by side where there is room."""
    table = rows()
    for name, value in evidence.arms(picture):
        table.add_row(name, value)
    seen: list[RenderableType] = [table, *evidence.guardrails(picture)]
    if not picture.grounds and not picture.ended:
        seen += ["", Text("no check yet: the evidence follows with the first", style="dim")]
    told = _journal(picture)
    if picture.link:
        told = [*told, "", Text(f"Temporal  {picture.link}", style="dim", overflow="fold")]
    if width < WIDE:
        return Group(*seen, "", *told)
    both = Table.grid(padding=(0, 3), expand=True)
    both.add_column(ratio=1, overflow="fold")
    both.add_column(ratio=1, overflow="fold")
    both.add_row(Group(*seen), Group(*told))
    return both


def whole(picture: Picture, *, news: Sequence[str], width: int) -> RenderableType:
    """Return all of it at once; what a low terminal crops is the old end of the journal."""
    told = [Text(f"! {line}", style="yellow") for line in news]
    return Group(head(picture, width=width), *told, "", body(picture, width=width))


def manual() -> RenderableType:
    """Return what the keys do, and how to read the picture."""
    table = rows()
    for key, name, meaning in KEYS:
        table.add_row(f"{key}  {name}", meaning)
    return Group(
        Text("keys", style="bold"),
        table,
        "",
        Text("how to read it", style="bold"),
        *(Text(line) for line in READING),
    )


def keys(*, width: int) -> Text:
    """Return the line of keys, in the longest form that fits."""
    forms = [
        "  ".join(f"{key} {name}" for key, name, _ in KEYS),
        " ".join(f"{key} {name}" for key, name, _ in KEYS),
        " ".join(f"{key} {name.split()[-1]}" for key, name, _ in KEYS),
        " ".join(key for key, _, _ in KEYS),
    ]
    return Text(next((form for form in forms if len(form) <= width), forms[-1]), style="reverse")


def silence(picture: Picture | None, *, since: datetime, now: datetime) -> Text | None:
    """Return that nobody has answered for a while, if that is so."""
    lasted = now - (picture.at if picture else since)
    if lasted < SILENCE:
        return None
    seconds = f"for {lasted.total_seconds():.0f} s"
    shown = f"; this is how it stood at {picture.at:%H:%M:%S} UTC" if picture else ""
    return Text(f"no answer from Temporal or the database {seconds}{shown}", style="yellow")


def _journal(picture: Picture) -> Sequence[RenderableType]:
    if not picture.decisions:
        return [Text("no decision yet", style="dim")]
    latest_first = screen.telling(picture.decisions)[-LINES:][::-1]
    return [
        Text("decisions, the latest first", style="bold"),
        screen.lines(latest_first, date=False),
    ]
