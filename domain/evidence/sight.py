"""What one check sees: the observations of both arms in the present epoch, read in a few rows."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Table
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells, exposures
from domain.cells import CELLS, Cell, CellKey, scale
from domain.evidence.looks import Arm, Counts, Look, Sample, Trail
from domain.guardrail import Guardrail, GuardrailKind
from domain.observations import OBSERVED
from domain.stats.histogram import Histogram
from domain.stats.thresholds import cuts, exceeding, shifted, within

ENOUGH = 100  # observations of control that thresholds are read off


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two versions that share the users of one experiment, in its present epoch.

    Attributes:
        share: Of users that should get the treatment, 0 to 1.
    """

    experiment_id: str
    epoch: int
    treatment_id: str
    treatment: str
    control_id: str
    control: str
    share: float


@dataclass(frozen=True, slots=True)
class Past:
    """What was reported before the experiment: how many, their sum, and how they lie."""

    n: int = 0
    total: float = 0.0
    histogram: Histogram = field(default_factory=Histogram)

    @classmethod
    def of(cls, ever: Cell, *, less: Cell) -> Self:
        """Return the difference of two cells, of which the second is part of the first."""
        counts = Counter(ever.histogram.counts)
        counts.subtract(less.histogram.counts)
        histogram = type(ever.histogram)({k: count for k, count in counts.items() if count > 0})
        return cls(max(0, ever.n - less.n), ever.total - less.total, histogram)


Cells = Mapping[CellKey, Cell]


async def see(
    session: AsyncSession,
    compared: Comparison,
    guardrails: Sequence[Guardrail],
    *,
    trails: Sequence[Trail] = (),
    at: datetime,
    stage: int = 0,
    baked: timedelta = timedelta(0),
) -> Look:
    """Return what there is to see for the guardrails, in their order.

    `trails` is the evidence so far, for the thresholds that are fixed already.
    """
    users, events = [await _present(session, compared, table) for table in (OBSERVED, CELLS)]
    known = trails or (Trail(),) * len(guardrails)
    begun = all(trail.harm for trail in known)
    before = {} if begun else await _history(session, compared)
    counted = await exposures.counts(session, compared.experiment_id, epoch=compared.epoch)
    return Look(
        at=at,
        stage=stage,
        epoch=compared.epoch,
        baked=baked,
        share=compared.share,
        samples=tuple(
            _sample(guardrail, trail, compared, events if _by_event(guardrail) else users, before)
            for guardrail, trail in zip(guardrails, known, strict=True)
        ),
        exposures=(counted.get(compared.treatment, 0), counted.get(compared.control, 0)),
        control=compared.control,
    )


async def _history(session: AsyncSession, compared: Comparison) -> dict[str, Past]:
    """Return what control did before the experiment: all it ever did, less what it did in it."""
    control = [compared.control_id]
    ever = await cells.load(session, version_id=control, experiment_id=[""], epoch=[0])
    during: defaultdict[str, Cell] = defaultdict(Cell)
    ours = await cells.load(session, version_id=control, experiment_id=[compared.experiment_id])
    for key, cell in ours.items():
        during[key.metric] = during[key.metric].merge(cell)
    return {key.metric: Past.of(cell, less=during[key.metric]) for key, cell in ever.items()}


async def _present(session: AsyncSession, compared: Comparison, table: Table) -> Cells:
    return await cells.load(
        session,
        table,
        version_id=[compared.treatment_id, compared.control_id],
        experiment_id=[compared.experiment_id],
        epoch=[compared.epoch],
    )


def _by_event(guardrail: Guardrail) -> bool:
    """The seed's thresholds count events."""
    return guardrail.per == "event" or guardrail.kind is GuardrailKind.THRESHOLD


def _sample(
    guardrail: Guardrail,
    trail: Trail,
    compared: Comparison,
    seen: Cells,
    before: Mapping[str, Past],
) -> Sample:
    place = (compared.experiment_id, compared.epoch, guardrail.metric)
    treatment = seen.get(CellKey(compared.treatment_id, *place), Cell())
    control = seen.get(CellKey(compared.control_id, *place), Cell())
    arms = (_arm(guardrail, treatment), _arm(guardrail, control))
    history = before.get(guardrail.metric, Past())
    if guardrail.is_rate:
        good = round(history.total)
        past = () if trail.harm else ((good, history.n - good),)
        sample = Sample(counts=(_of_rate(treatment, control),), history=past)
    elif guardrail.kind is GuardrailKind.LIMIT:
        sample = Sample(counts=(_of_limit(guardrail, treatment, control),))
    else:
        sample = _of_number(guardrail, trail, treatment, control, history)
    return sample.model_copy(update={"treatment": arms[0], "control": arms[1]})


def _arm(guardrail: Guardrail, cell: Cell) -> Arm:
    p50, p95, p99 = (None if guardrail.is_rate else cell.quantile(q) for q in (0.5, 0.95, 0.99))
    return Arm(n=cell.n, mean=cell.mean, m2=cell.moments.m2, p50=p50, p95=p95, p99=p99)


def _of_rate(treatment: Cell, control: Cell) -> Counts:
    return Counts(
        n_t=treatment.n, s_t=round(treatment.total), n_c=control.n, s_c=round(control.total)
    )


def _of_limit(guardrail: Guardrail, treatment: Cell, control: Cell) -> Counts:
    """Count what keeps to the limit, to within a bucket of the histogram."""
    cut = scale(guardrail.metric).bucket(guardrail.limit or 0.0)
    return _at(guardrail, treatment, control, cut=cut - guardrail.higher_is_better)


def _of_number(
    guardrail: Guardrail, trail: Trail, treatment: Cell, control: Cell, history: Past
) -> Sample:
    """Count what keeps to each threshold; the first look that can fixes them."""
    peeked = not trail.cuts and history.n < ENOUGH
    model = control if peeked else history
    found = trail.cuts or (cuts(model.histogram) if model.n >= ENOUGH else ())
    counts = [_at(guardrail, treatment, control, cut=k, by=guardrail.forgiven) for k in found]
    near = [_at(guardrail, treatment, control, cut=k, by=guardrail.slack) for k in found]
    kept = [_kept(guardrail, history.histogram, cut=k) for k in found] if not trail.harm else []
    return Sample(
        counts=tuple(counts),
        near=tuple(near) if guardrail.slack else (),
        cuts=found,
        peeked=peeked,
        history=tuple((good, history.n - good) for good in kept),
    )


def _at(
    guardrail: Guardrail, treatment: Cell, control: Cell, *, cut: int, by: float = 0.0
) -> Counts:
    """Count on which side of a threshold the observations are; treatment is forgiven `by`."""
    shift = 1 / (1 + by) - 1 if guardrail.higher_is_better else by
    moved = shifted(cut, shift, kind=scale(guardrail.metric)) if by else cut
    return Counts(
        n_t=treatment.n,
        s_t=_kept(guardrail, treatment.histogram, cut=moved),
        n_c=control.n,
        s_c=_kept(guardrail, control.histogram, cut=cut),
    )


def _kept(guardrail: Guardrail, histogram: Histogram, *, cut: int) -> int:
    """Return how many are on the good side of a cut."""
    return exceeding(histogram, cut) if guardrail.higher_is_better else within(histogram, cut)
