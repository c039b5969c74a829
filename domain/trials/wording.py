"""The figures of a trial as people read them, on every page. Pure."""

from domain.guardrail import SUCCESS
from domain.trials.contest import Span


def figure(goal: str, value: float | None, *, signed: bool = False) -> str:
    """Return a value of the goal as people read it; signed, a difference: of rates in points."""
    if value is None:
        return "–"
    if goal == SUCCESS:
        return f"{100 * value:+.1f} pp" if signed else f"{100 * value:.1f} %"
    return f"{value:+.4g}" if signed else f"{value:.4g}"


def span(goal: str, interval: Span | None, *, signed: bool = False) -> str:
    """Return `92.0 % … 95.9 %`."""
    if interval is None:
        return "–"
    return " … ".join(figure(goal, end, signed=signed) for end in interval)
