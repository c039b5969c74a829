"""Facts in words, the same in every form of a report."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from domain.evidence.looks import Arm
from domain.evidence.weighing import strength
from domain.guardrail import GuardrailKind
from domain.hindsight.explanation import Explanation, Grounds
from domain.trials.contest import ArmResult, Span
from domain.trials.findings import ArmReport, Step
from reports.facts import ExperimentReport, Line, VersionFacts

LINK = re.compile(r"https?://[^\s<>\"'`()\[\]\\]+")


def words(name: str) -> str:
    """Return `rolled back` for `rolled_back`."""
    return name.replace("_", " ")


def instant(when: datetime | None) -> str:
    """Return `2026-01-31 12:00:00`, in UTC; a dash for never."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if when else "–"


def is_link(text: str) -> bool:
    """Say whether a whole text is a web address."""
    return LINK.fullmatch(text) is not None


def arm(shown: Explanation, seen: Arm) -> str:
    """Return `94.7 % of 1 790 users`, or the mean and the tail of a number."""
    if not seen.n:
        return f"no {shown.unit} in this stage"
    many = f"{seen.n:,} {shown.unit}"
    if shown.metric == "success":
        return f"{100 * seen.mean:.1f} % of {many}"
    tail = ((50, seen.p50), (95, seen.p95), (99, seen.p99))
    quantiles = "".join(f", p{q} {value:.4g}" for q, value in tail if value is not None)
    return f"mean {seen.mean:.4g}{quantiles} of {many}"


def difference(shown: Explanation) -> str:
    """Return the difference of rates with its interval; of a number that of the means."""
    one, other = shown.treatment, shown.control
    if not (one.n and other.n):
        return "–"
    if shown.metric != "success":
        return f"{one.mean - other.mean:+.3g}" + _relative(one.mean, other.mean)
    told = f"{100 * (one.mean - other.mean):+.1f} points".replace("-0.0 ", "0.0 ")
    return f"{told} ({_points(tuple(shown.interval))})" if shown.interval else told


def harm(shown: Explanation) -> str:
    """Return the evidence of harm, and how much is needed."""
    if shown.sure is None:
        return "none is asked for: the rate counts as it is"
    highest = (
        f", highest {strength(shown.sure.peak)}"
        if shown.sure.peak > shown.sure.harm + 0.005
        else ""
    )
    needs = f"needs {strength(shown.sure.enough)}" if shown.alpha else "never rolls back"
    return f"{strength(shown.sure.harm)}, {needs}{highest}, p {shown.sure.p_value:.2g}"


def safety(shown: Explanation) -> str:
    """Return the evidence of safety, and how much shows it."""
    if shown.sure is None or shown.kind is GuardrailKind.THRESHOLD:
        return "–"
    return f"{strength(shown.sure.safe)}, needs {strength(shown.sure.enough_safe)}"


def tail(shown: Explanation) -> Iterator[str]:
    """Yield, of each threshold of a number, how much lies on its wrong side."""
    wrong = "at most" if shown.higher_is_better else "above"
    for one in shown.beyond:
        shares = " against ".join(
            "nobody" if share is None else f"{100 * share:.1f} %"
            for share in (one.treatment, one.control)
        )
        odds = f", evidence {strength(one.log_e)}" if one.log_e is not None else ""
        yield f"{wrong} {one.threshold:.4g}: {shares}{odds}"


def split(found: Grounds) -> str:
    """Return whether users were split as they should be."""
    seen = found.split
    if not seen.recorded:
        return "not recorded: nobody told who was served"
    both = seen.treatment + seen.control
    said = "MISMATCH" if seen.mismatched else "as it should be"
    many = f"{both:,}"
    return (
        f"{said}: {100 * seen.treatment / both:.1f} % of {many} users got the candidate,"
        f" {100 * seen.expected:.4g} % should; evidence of a wrong split, over all stages,"
        f" {strength(seen.log_e)}, needs {strength(seen.enough)}"
    )


def together(found: Grounds) -> str:
    """Return the evidence of all guardrails together."""
    enough, named = strength(found.enough), f"; named: {', '.join(found.guilty)}"
    said = f"{strength(found.log_e)}, needs {enough}, highest {strength(found.peak)}"
    return f"{said}{named if found.guilty else ''}"


def line(told: Line) -> str:
    """Return what a line of the timeline is: `25 checks: advance`."""
    if told.checks:
        many = f"{told.checks} {'check' if told.checks == 1 else 'checks'}"
        return many if told.what == Step.CHECKED else f"{many}: {words(told.what)}"
    return words(told.what)


def figure(report: ExperimentReport, value: float | None) -> str:
    """Return a figure of the goal."""
    if value is None:
        return "–"
    return f"{100 * value:.1f} %" if report.goal == "success" else f"{value:.4g}"


def shift(report: ExperimentReport, value: float | None, span: Span | None) -> str:
    """Return a difference of the goal, with its interval."""
    if value is None:
        return "–"
    if report.goal == "success":
        told = f"{100 * value:+.2f} points"
        return f"{told} ({_points(span)})" if span else told
    return f"{value:+.4g} ({span[0]:+.4g} to {span[1]:+.4g})" if span else f"{value:+.4g}"


def outcome(seen: ArmReport) -> str:
    """Return how an arm stands."""
    return "stopped: harm was shown" if seen.stopped else words(seen.standing)


def ahead(result: ArmResult) -> str:
    """Return who is ahead, and whether that means anything."""
    named = {"A": result.control, "B": result.version}.get(result.winner or "", "nobody")
    return f"{named}{'' if result.significant else ', not significant'}"


def version(found: VersionFacts) -> str:
    """Return when it was made, and by whom: `2026-01-31 12:00:00 by ana`."""
    by = f" by {found.created_by}" if found.created_by else ""
    return f"{instant(found.created_at)}{by}"


def _points(span: tuple[float, ...]) -> str:
    low, high = (100 * end for end in span)
    return f"{low:+.1f} to {high:+.1f}, at every look"


def _relative(one: float, other: float) -> str:
    return f" ({100 * (one / other - 1):+.1f} %)" if other else ""
