"""The figures as tables for a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.trials.figures import TARGETS, Delay, Harmful, Report, Share, Summary

LABELS = {
    "ours": "ours",
    "ours_due": "ours, §1 looks",
    "gbstats": "gbstats 0.8.0",
    "growthbook": "GrowthBook 1-sided",
    "msprt": "mSPRT",
    "naive_z": "naive z",
    "threshold": "rate < .8",
}


def show(cells: Report, found: Summary, wrong: Sequence[str], console: Console) -> None:
    """Print everything; `wrong` names the missed targets."""
    console.print(_harmless(cells))
    console.print(_harmful(cells.harmful, "Harm: mean treatment events ÷ the information limit"))
    console.print(_medians(cells.harmful))
    console.print(_late(cells.late))
    console.print(_margin(cells))
    console.print(_summary(found, wrong))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _harmless(cells: Report) -> Table:
    title = "No harm: rollbacks, looks every 20 events (ours with its one-sided upper 95 % bound)"
    table = _table(title, "scenario", "runs", *LABELS.values(), "pooled z")
    for cell in cells.harmless:
        shares = [_share(cell.methods[name], bound=name.startswith("ours")) for name in LABELS]
        table.add_row(cell.name, str(cell.runs), *shares, f"{cell.naive_z:.1f}")
    return table


def _share(share: Share, *, bound: bool) -> str:
    return f"{share.share:.1%}" + (f" ≤ {share.upper95:.1%}" if bound else "")


def _harmful(cells: Sequence[Harmful], title: str) -> Table:
    table = _table(title, "scenario", "runs", "limit", *LABELS.values())
    for cell in cells:
        delays = [_number(cell.methods[name].mean_over_limit) for name in LABELS]
        table.add_row(cell.name, str(cell.runs), f"{cell.limit:.0f}", *delays)
    table.caption = (
        "A naive z below 1 is no skill: it cries without harm too. –: some runs not found. "
        "Undecided runs count with their horizon of 30 limits."
    )
    return table


def _medians(cells: Sequence[Harmful]) -> Table:
    title = "Harm: median treatment events (and ours ÷ gbstats)"
    table = _table(title, "scenario", *LABELS.values(), "ours ÷ gbstats")
    for cell in cells:
        medians = [_number(cell.methods[name].median, digits=0) for name in LABELS]
        table.add_row(cell.name, *medians, _number(cell.methods["ours"].median_over_gbstats))
    return table


def _late(cells: Sequence[Harmful]) -> Table:
    table = _table("Harm that begins late: treatment events from then on", "", *LABELS.values())
    for cell in cells:
        delays = [cell.methods[name] for name in LABELS]
        table.add_row(f"{cell.name}, mean", *(_number(d.mean, digits=0) for d in delays))
        table.add_row("rolled back before it began", *(_early(d, cell.runs) for d in delays))
    return table


def _early(delay: Delay, runs: int) -> str:
    return f"{delay.too_early / runs:.1%}"


def _number(value: float | None, *, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _margin(cells: Report) -> Table:
    title = "Safe to go on, margin 5 pp: called safe within 20 000 events"
    table = _table(title, "scenario", "runs", "ours", "naive z", "ours, mean treatment events")
    for cell in cells.margin:
        shares = [_share(cell.methods[n], bound=n == "ours") for n in ("ours", "naive_z")]
        events = "" if cell.at_margin else f"{cell.mean_events:.0f}"
        table.add_row(cell.name, str(cell.runs), *shares, events)
    return table


def _summary(found: Summary, wrong: Sequence[str]) -> Table:
    table = _table("Summary", "figure", "found", "target")
    for name, value in found.items():
        target = f"≤ {TARGETS[name]:g}" if name in TARGETS else ""
        table.add_row(name, f"{value:.4g}", target + (" MISSED" if name in wrong else ""))
    return table
