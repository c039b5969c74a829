"""The picture of a forecast: how the evidence of harm grows, run by run. Needs matplotlib."""

import base64
import html
import io
import math
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from domain.simulation.forecast import Forecast
from domain.simulation.runs import Fate, Simulated
from terminal.console import Usage
from terminal.forecast import hours
from terminal.palette import words

if TYPE_CHECKING:  # an extra, and slow to load
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = (".png", ".html")
LEAST = 1e-3  # evidence below it is drawn there
COLOURS = {
    Fate.ROLLED_BACK: "#c0392b",
    Fate.PROMOTED: "#2471a3",
    Fate.HOLDING: "#7f8c8d",
}
UNITS = (
    (48.0, "days", 1 / 24),
    (2.0, "hours", 1.0),
    (1 / 30, "minutes", 60.0),
    (0, "seconds", 3600.0),
)
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<body style="font-family: sans-serif; max-width: 1200px; margin: 2em auto">
<h1 style="font-size: 1.3em">{title}</h1>
<img style="width: 100%" alt="{alt}" src="data:image/png;base64,{image}">
<p>{alt}</p>
</body>
</html>
"""


def check(path: Path) -> None:
    """Refuse, before anything is simulated, what could not be drawn.

    Raises:
        Usage: No .png or .html, in no directory, or matplotlib is missing.
    """
    if path.suffix not in KINDS:
        raise Usage(f"--picture must end in .png or .html, got {path}")
    if not path.parent.is_dir():
        raise Usage(f"--picture: there is no directory {path.parent}")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise Usage(
            "--picture needs matplotlib: install the extra `pictures`"
            " (pip install 'rampart-rollouts[pictures]')"
        ) from error


def paint(path: Path, forecast: Forecast, *scenes: Simulated) -> None:
    """Write the picture, one panel for each scene; .png, or .html that needs no other file."""
    image = io.BytesIO()
    _figure(forecast, scenes).savefig(image, format="png", dpi=150)
    if path.suffix == ".png":
        path.write_bytes(image.getvalue())
        return
    title, alt = _title(forecast), _caption(forecast)
    shown = base64.b64encode(image.getvalue()).decode()
    path.write_text(PAGE.format(title=html.escape(title), alt=html.escape(alt), image=shown))


def _figure(forecast: Forecast, scenes: tuple[Simulated, ...]) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(max(8.0, 6.4 * len(scenes)), 5.2), layout="constrained")
    figure.suptitle(fill(_title(forecast), 70 * len(scenes)), fontsize=12)
    for number, scene in enumerate(scenes, 1):
        _panel(figure.add_subplot(1, len(scenes), number), scene)
    ends = {fate for scene in scenes for fate in scene.fate[: len(scene.paths)]}
    lines = [
        Line2D([], [], color=COLOURS[fate], label=words(fate)) for fate in Fate if fate in ends
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False)
    return figure


def _panel(axes: "Axes", scene: Simulated) -> None:
    enough = 1 / scene.plan.alpha
    longest = max(float(path.hours[-1]) for path in scene.paths)
    unit, factor = next((u, f) for least, u, f in UNITS if longest >= least)
    for path, fate in zip(scene.paths, scene.fate, strict=False):
        e = np.exp(np.clip(path.log_e, math.log(LEAST), math.log(50 * enough)))
        colour = COLOURS[Fate(fate)]
        axes.plot([0, *path.hours * factor], [1, *e], color=colour, alpha=0.6, lw=1)
    axes.set_yscale("log")
    axes.axhline(enough, color="black", ls="--", lw=1)
    axes.annotate(
        f"rolls back at {enough:g}",
        (0.99, enough), xycoords=("axes fraction", "data"), xytext=(0, 3),
        textcoords="offset points", ha="right", fontsize=9,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )  # fmt: skip
    ticks = [10.0**power for power in range(-3, math.ceil(math.log10(50 * enough)) + 1)]
    named = [f"{tick:g}" if tick > LEAST else f"≤ {tick:g}" for tick in ticks]
    axes.set_yticks(ticks, named)
    axes.set_ylim(0.8 * LEAST, 200 * enough)
    axes.set_xlim(0, longest * factor * 1.02)
    _mark_stages(axes, scene, factor=factor, longest=longest)
    axes.set_xlabel(f"{unit} since the first ramp")
    axes.set_ylabel("evidence of harm (e-value)")
    axes.set_title(_about(scene), fontsize=10)


def _mark_stages(axes: "Axes", scene: Simulated, *, factor: float, longest: float) -> None:
    """Draw where stages begin in the middle one of the runs drawn that come so far."""
    names = [f"{stage.percent:g} %" for stage in scene.plan.stages] + ["promoted"]
    entered = np.array([path.entered for path in scene.paths])
    taken, level = -math.inf, 0.95
    for name, begun in zip(names, entered.T, strict=True):
        if np.isnan(begun).all():
            continue
        at = float(np.nanmedian(begun))
        axes.axvline(at * factor, color="grey", ls=":", lw=1)
        level = 0.95 if at - taken > 0.12 * longest else level - 0.05
        taken = at
        right = at > 0.8 * longest
        axes.annotate(
            name, (at * factor, level), xycoords=("data", "axes fraction"),
            xytext=(-4 if right else 4, 0), textcoords="offset points",
            ha="right" if right else "left", fontsize=9, color="#444444",
        )  # fmt: skip


def _about(scene: Simulated) -> str:
    shown = len(scene.paths)
    back = int(np.sum(scene.fate[:shown] == Fate.ROLLED_BACK))
    traffic = scene.traffic
    kind = f"{100 * traffic.effect:+.4g} points" if traffic.effect else "as good as control"
    return f"{kind}: {traffic.control_rate:g} → {traffic.rate:g}; {back} of {shown} rolled back"


def _title(forecast: Forecast) -> str:
    return (
        f"plan {forecast.plan}, {forecast.users_per_hour:,.10g} users an hour:"
        " evidence of harm in simulated rollouts"
    )


def _caption(forecast: Forecast) -> str:
    asked, healthy = forecast.asked, forecast.healthy
    after = f", half of those within {hours(asked.hours.median)}" if asked.hours else ""
    return (
        f"Each line is one rollout; red ones are rolled back. Of a candidate of"
        f" {100 * asked.effect:+.4g} points {asked.rolled_back.share:.1%} are rolled back{after};"
        f" of one as good as control {healthy.rolled_back.share:.1%}."
    )
