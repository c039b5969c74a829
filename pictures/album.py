"""All pictures of one rollout or experiment, in the order in which they are looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from domain.cells import Cell, CellKey
from domain.evidence.looks import Judged
from domain.record import Decision, Rollout
from domain.stats.histogram import Histogram
from domain.trials.findings import Report, Trial, TrialLine
from pictures import course, evidence, scales, trial
from pictures.forest import forest
from pictures.numbers import numbers
from pictures.ramp import ramp
from pictures.rates import rates
from pictures.split import split
from pictures.spread import spread

Observed = Mapping[CellKey, Cell]  # of both versions, as `MetricsCollector.read_observed` has them


@dataclass(frozen=True, slots=True)
class Plate:
    """One picture of an album.

    Attributes:
        name: Tells it from the others: `ramp`, `guardrail-1`, `harm`, `safety`, `split`,
            `spread-response_time`; of an experiment `forest`, `arms`, `differences`, `trial-harm`.
        title: What stands above it.
        svg: Of `Markup`: templates take it as it is.
    """

    name: str
    title: str
    svg: Markup

    @property
    def said(self) -> str:
        """The picture in words: what it tells whoever does not see it."""
        _, _, rest = self.svg.partition("<desc")
        return Markup(rest.partition(">")[2].partition("</desc>")[0]).unescape()  # noqa: S704  # ours


def of_rollout(
    rollout: Rollout,
    decisions: Sequence[Decision],
    checks: Sequence[Judged],
    *,
    observed: Observed | None = None,
    until: datetime | None = None,
) -> list[Plate]:
    """Return what there is to see of a rollout.

    Args:
        rollout: Whose.
        decisions: Its journal, oldest first.
        checks: Oldest first; none draws the ramp alone.
        observed: In its latest epoch, for the histograms; None leaves them out.
        until: Now, while it is live.
    """
    plates = [Plate("ramp", "Ramp", ramp(rollout, decisions, until=until))]
    if checks:
        for number, guardrail in enumerate(rollout.plan.guardrails):
            if course.alike(rollout, number)[0] is guardrail:
                draw = rates if guardrail.is_rate else numbers
                svg = draw(rollout, checks, number=number, until=until)
                title = f"{guardrail.metric} over time"
                plates.append(Plate(f"guardrail-{number + 1}", title, svg))
        plates.append(
            Plate("harm", "Evidence of harm", evidence.harm(rollout, checks, until=until))
        )
    if any(trail.log_safe > 0 for check in checks for trail in check.evidence.trails):
        svg = evidence.safety(rollout, checks, until=until)
        plates.append(Plate("safety", "Evidence of safety", svg))
    if any(sum(check.look.exposures) for check in checks):
        plates.append(Plate("split", "Split of users", split(rollout, checks, until=until)))
    return [*plates, *_spreads(rollout, observed or {})]


def of_trial(
    found: Trial, lines: Sequence[TrialLine], *, until: datetime | None = None
) -> list[Plate]:
    """Return what there is to see of an experiment.

    Args:
        found: Whose.
        lines: Its journal, oldest first.
        until: Now, while it is live.
    """
    reports = [line.report for line in lines if line.report]
    if not reports:
        return []
    return [
        Plate("forest", f"Arms against {found.plan.baseline}", forest(found, reports[-1])),
        Plate("arms", f"{found.plan.goal} over time", trial.arms(found, lines, until=until)),
        Plate("differences", "Differences over time", trial.differences(found, lines, until=until)),
        Plate("trial-harm", "Evidence of harm", trial.harm(found, lines, until=until)),
    ]


def latest(lines: Sequence[TrialLine]) -> Report | None:
    """Return what was seen last of an experiment; None before the first look."""
    return next((line.report for line in reversed(lines) if line.report), None)


def _spreads(rollout: Rollout, observed: Observed) -> Iterator[Plate]:
    """Draw the histograms of the numbers that its guardrails watch."""
    watched = {g.metric: None for g in rollout.plan.guardrails if not g.is_rate}
    for metric in watched:
        found = {key.version_id: cell for key, cell in observed.items() if key.metric == metric}
        candidate, baseline = (
            found[key].histogram if key in found else Histogram()
            for key in (rollout.candidate_id, rollout.baseline_id)
        )
        if candidate.counts or baseline.counts:
            svg = spread(
                f"{metric}-{rollout.id}",
                metric,
                candidate,
                baseline,
                names=(rollout.candidate, rollout.baseline),
                unit=scales.UNITS.get(metric, ""),
            )
            yield Plate(f"spread-{metric}", f"Distribution of {metric}", svg)
