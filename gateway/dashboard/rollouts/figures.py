"""The figures of a picture, as a table: for who does not see it, and for who wants to be exact."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from domain.evidence.looks import Arm, Judged, Trail
from domain.evidence.weighing import strength
from domain.instants import clock
from domain.record import Decision, Rollout

MOST = 40  # rows: evenly chosen, the latest among them

Row = tuple[str, ...]


class Figures(NamedTuple):
    """A table."""

    head: Row = ()
    rows: tuple[Row, ...] = ()


def figures(
    name: str, rollout: Rollout, decisions: Sequence[Decision], checks: Sequence[Judged]
) -> Figures:
    """Return what a picture shows.

    Args:
        name: Of `pictures.album.Plate`.
        rollout: Whose.
        decisions: Oldest first.
        checks: Oldest first.
    """
    few = _few(checks)
    if name == "ramp":
        ramped = [d for d in decisions if d.action is None]
        rows = [(_at(d.at), f"{d.percent:g} %", d.kind.value.replace("_", " ")) for d in ramped]
        return Figures(("When (UTC)", "Users", "What"), tuple(rows[-MOST:]))
    if name.startswith("guardrail-"):
        return _arms(rollout, few, int(name.removeprefix("guardrail-")) - 1)
    if name == "harm":
        return _evidence(rollout, few, lambda trail: trail.log_e)
    if name == "safety":
        return _evidence(rollout, few, lambda trail: trail.log_safe)
    if name == "split":
        return Figures(("When (UTC)", "Candidate", "Baseline", "Should be"), tuple(_split(few)))
    return _quantiles(rollout, checks, name.removeprefix("spread-"))


def _few(checks: Sequence[Judged]) -> Sequence[Judged]:
    stride = max(1, -(-len(checks) // MOST))
    return checks[::-1][::stride][::-1]


def _arms(rollout: Rollout, checks: Sequence[Judged], number: int) -> Figures:
    head = ("When (UTC)", "Stage", rollout.candidate, "of", rollout.baseline, "of")
    rate = rollout.plan.guardrails[number].is_rate
    rows = [
        (_at(check.look.at), f"{check.percent:g} %", *_arm(one.treatment, rate),
         *_arm(one.control, rate))
        for check in checks
        for one in check.look.samples[number : number + 1]
    ]  # fmt: skip
    return Figures(head, tuple(rows))


def _arm(arm: Arm, rate: bool) -> Row:
    if not arm.n:
        return "–", "0"
    return f"{arm.mean:.1%}" if rate else f"{arm.mean:.4g}", f"{arm.n:,}"


def _evidence(
    rollout: Rollout, checks: Sequence[Judged], read: Callable[[Trail], float]
) -> Figures:
    names = tuple(guardrail.name for guardrail in rollout.plan.guardrails)
    rows = [
        (_at(check.look.at), f"{check.percent:g} %",
         *(strength(read(trail)) for trail in check.evidence.trails[: len(names)]))
        for check in checks
    ]  # fmt: skip
    return Figures(("When (UTC)", "Stage", *names), tuple(rows))


def _split(checks: Sequence[Judged]) -> Iterator[Row]:
    for check in checks:
        candidate, baseline = check.look.exposures
        yield _at(check.look.at), f"{candidate:,}", f"{baseline:,}", f"{check.look.share:.1%}"


def _quantiles(rollout: Rollout, checks: Sequence[Judged], metric: str) -> Figures:
    """Return the quantiles of a number at the latest check."""
    samples = [
        sample
        for check in checks[-1:]
        for guardrail, sample in zip(rollout.plan.guardrails, check.look.samples, strict=False)
        if guardrail.metric == metric
    ]
    rows = [
        (version, *("–" if value is None else f"{value:.4g}" for value in (a.p50, a.p95, a.p99)))
        for sample in samples[:1]
        for version, a in (
            (rollout.candidate, sample.treatment),
            (rollout.baseline, sample.control),
        )
    ]
    return Figures(("Version", "p50", "p95", "p99"), tuple(rows))


def _at(when: datetime) -> str:
    return clock(when).removesuffix(" UTC")
