"""Figures as pages write them: filters of the templates."""

import json
from collections.abc import Callable
from typing import Any

from domain.evidence.weighing import strength
from domain.trials.wording import figure, span


def share(part: float) -> str:
    """Return `12.5 %` for 0.125."""
    return f"{100 * part:.4g} %"


def rate(part: float | None) -> str:
    """Return `95.2 %`, or a dash where nothing was counted."""
    return "–" if part is None else f"{100 * part:.1f} %"


def latency(seconds: float | None) -> str:
    """Return `420 ms` or `1.25 s`, or a dash where nobody reported any."""
    if seconds is None:
        return "–"
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def told(value: object, indent: int | None = None) -> str:
    """Return JSON as people read it."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def chance(p: float) -> str:
    """Return a p-value."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def count(number: float) -> str:
    """Return `12 345`, with thin spaces."""
    return f"{number:,.0f}".replace(",", "\u202f")


FILTERS: dict[str, Callable[..., Any]] = {
    "share": share,
    "rate": rate,
    "latency": latency,
    "chance": chance,
    "count": count,
    "told": told,
    "figure": lambda value, goal, signed=False: figure(goal, value, signed=signed),
    "span": lambda interval, goal, signed=False: span(goal, interval, signed=signed),
    "strength": strength,
}
