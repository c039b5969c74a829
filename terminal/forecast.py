"""What to expect of a plan, as people see it in a terminal. Pure, as `screen` is."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from domain.duration import spell
from domain.prompts import Json
from domain.simulation.forecast import Chance, Entry, Forecast, Scene, Spread
from embedded.rehearsal import Rehearsed
from terminal.palette import colour, rows, words

GRAINS = ((7 * 86400, 3600), (3600, 60), (60, 1), (0, 0.1))  # from so many seconds on
NEVER = Text("–", style="dim")


def draw(forecast: Forecast, rehearsed: Rehearsed | None) -> RenderableType:
    """Return the whole forecast, and how the real workflow did it where that was asked for."""
    parts: list[RenderableType] = [headline(forecast), "", table(forecast)]
    parts += ["", "calendar of a healthy candidate", *_calendar(forecast.calendar)]
    if rehearsed is not None:
        parts += ["", "the real workflow, once", told(rehearsed)]
    notes = list(remarks(forecast))
    if notes:
        parts += ["", *(Text(f"note: {line}", style="yellow") for line in notes)]
    return Group(*parts)


def headline(forecast: Forecast) -> Text:
    """Return who is simulated, in one line."""
    people = f" of {forecast.users:,} people" if forecast.users else ""
    return Text.assemble(
        (f"plan {forecast.plan}", "bold"),
        f": {forecast.users_per_hour:,.10g} users an hour{people},"
        f" {100 * forecast.control_rate:.4g} % of control's uses succeed;"
        f" {forecast.runs:,} runs, seed {forecast.seed}",
    )


def table(forecast: Forecast) -> Table:
    """Return both scenes side by side: the candidate asked for, and a healthy one."""
    scenes = [forecast.asked, forecast.healthy] if forecast.asked.effect else [forecast.healthy]
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    drawn.add_column("")
    for scene in scenes:
        told = f"{100 * scene.effect:+.4g} points" if scene.effect else "as good as control"
        drawn.add_column(f"{told} ({100 * (forecast.control_rate + scene.effect):.4g} %)")
    for name, cells in _lines(forecast, scenes):
        drawn.add_row(name, *cells)
    return drawn


def told(rehearsed: Rehearsed) -> Table:
    """Return how the real workflow ended, and whether that was to be expected."""
    found = rows()
    ended = Text.assemble(
        (words(rehearsed.fate), colour(rehearsed.fate)),
        f" after {hours(rehearsed.hours)}, in stage {rehearsed.stage}, at check"
        f" {rehearsed.checks}; {rehearsed.exposed:,} users had met the candidate",
    )
    found.add_row("ended", ended)
    found.add_row("reason", Text(rehearsed.reason))
    agrees = "it ended" if rehearsed.expected else "it did NOT end"
    said = f"{agrees} as the simulated ones did, within their spread"
    found.add_row("agrees", Text(said, style="" if rehearsed.expected else "red"))
    if rehearsed.remarks:
        found.add_row("but", Text("; ".join(rehearsed.remarks)))
    return found


def remarks(forecast: Forecast) -> list[str]:
    """Return what the numbers do not say."""
    said = []
    if forecast.not_simulated:
        said.append(
            f"{', '.join(forecast.not_simulated)}: not simulated; taken to do no harm, with their"
            " share of alpha"
        )
    if forecast.approvals:
        said.append("approvals are taken to be given at once")
    return said


def hours(duration: float) -> str:
    """Return a duration without what nobody reads: `2d12h`, `1h4m`, `1.1s`."""
    seconds = 3600 * duration
    grain = next(g for least, g in GRAINS if seconds >= least)
    return spell(timedelta(seconds=round(seconds / grain) * grain))


def _lines(forecast: Forecast, scenes: Sequence[Scene]) -> list[tuple[str, list[str | Text]]]:
    horizon = hours(forecast.horizon_hours)
    return [
        ("rolled back", [_chance(s.rolled_back, "false rollback", s.effect == 0) for s in scenes]),
        ("promoted", [_chance(s.promoted, "a miss", s.effect < 0) for s in scenes]),
        (f"neither after {horizon}", [_chance(s.holding, "", False) for s in scenes]),
        ("rolled back after", [_spread(s.hours, hours) for s in scenes]),
        ("  users who met it", [_spread(s.exposed, lambda n: f"{n:,.0f}") for s in scenes]),
        ("complete after", [_spread(s.hours_to_promotion, hours) for s in scenes]),
    ]


def _chance(chance: Chance, name: str, applies: bool) -> Text:
    shown = f"{chance.share:6.1%}  ({chance.low:.1%} – {chance.high:.1%})"
    return Text(f"{shown} {name}" if applies and name else shown)


def _spread(spread: Spread | None, tell: Callable[[float], str]) -> Text:
    if spread is None:
        return NEVER
    return Text(f"{tell(spread.median)}, 90 % within {tell(spread.p90)}")


def _calendar(entries: Sequence[Entry]) -> list[RenderableType]:
    if not entries:
        return ["  none was ever promoted"]
    found = rows()
    for entry in entries:
        found.add_row(hours(entry.hours), entry.what)
    return [found]


def as_json(forecast: Forecast, rehearsed: Rehearsed | None) -> Json:
    """Return both as plain JSON; `real_workflow` is null where that was left out."""
    real = asdict(rehearsed) if rehearsed else None
    return forecast.model_dump(mode="json") | {"real_workflow": real}
