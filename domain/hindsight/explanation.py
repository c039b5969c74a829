"""A check explained: what was seen, how sure that is, and what an answer would take. Pure."""

import math
from datetime import datetime

from domain.evidence.looks import Arm, Counts, Judged, Sample, Trail
from domain.evidence.trails import totals, trouble
from domain.evidence.weighing import MISMATCH_ALPHA, strength
from domain.guardrail import RATING, Guardrail, GuardrailKind, Role
from domain.hindsight.outlook import Sureness, sureness
from domain.judge import Action, Reading, Standing
from domain.plan import RolloutPlan
from domain.policy import Policy, PromoteWhen
from domain.stats.harm import Harm
from domain.stats.histogram import Histogram, Levels
from domain.stats.intervals import difference_interval
from domain.stats.significance import Interval, Rate
from domain.stats.thresholds import edge
from domain.value import Frozen


class Beyond(Frozen):
    """How much of a number lies on the wrong side of one threshold, in this stage.

    Attributes:
        threshold: In the unit of the number. The candidate's is farther by what is forgiven.
        treatment: Share of observations, 0 to 1; None without any. `control` likewise.
        log_e: Of harm at this threshold alone; None of a limit.
    """

    threshold: float
    treatment: float | None
    control: float | None
    log_e: float | None = None


class Explanation(Frozen):
    """One guardrail at one check.

    Attributes:
        unit: What is counted: users or events.
        needs: Observations of the candidate that each stage needs before anything is said.
        alpha: The part of the plan's that it may spend; 0 of what never rolls back.
        treatment: What the candidate did in this stage; `control` the baseline.
        overall: Both in all stages; None of what is judged at several thresholds.
        interval: Of the difference of rates (candidate - baseline) in this stage, at confidence
            1 - alpha of the plan for all looks at once; None of numbers, or without both arms.
        beyond: Of numbers, each threshold: above it is wrong, or at most it when higher is better.
        forgiven: How much worse the candidate may be at a threshold, relative; >= 0.
        sure: None of a threshold, which takes the rate as it is.
        to_roll_back: What that would take, in words; `to_go_on` likewise.
    """

    guardrail: str
    metric: str
    kind: GuardrailKind
    role: Role
    dry_run: bool
    higher_is_better: bool
    unit: str
    needs: int
    alpha: float
    standing: Standing
    said: str
    treatment: Arm
    control: Arm
    overall: Counts | None
    interval: Interval | None
    beyond: tuple[Beyond, ...]
    forgiven: float
    sure: Sureness | None
    to_roll_back: str
    to_go_on: str


class Split(Frozen):
    """Whether users are split as they should be.

    Attributes:
        expected: Share that should get the candidate, 0 to 1.
        treatment: Users first given it in this stage; `control` the baseline; 0 when unrecorded.
        log_e: That the split is wrong, over all stages; it counts at `enough`.
    """

    expected: float
    treatment: int
    control: int
    log_e: float
    enough: float = -math.log(MISMATCH_ALPHA)

    @property
    def recorded(self) -> bool:
        """Whether anybody told who was served."""
        return self.treatment + self.control > 0

    @property
    def mismatched(self) -> bool:
        """Whether it is sure to be wrong."""
        return self.log_e >= self.enough


class Grounds(Frozen):
    """All that a check rests on.

    Attributes:
        alpha: Of the plan: `enough` is log(1 / alpha).
        log_e: Of harm by any of the guardrails that act; `peak` is the highest so far.
        guilty: Who was named when it was first enough.
    """

    number: int
    at: datetime
    stage: int
    percent: float
    epoch: int
    control: str
    action: Action
    reason: str
    method: str
    policy: str
    alpha: float
    enough: float
    log_e: float
    peak: float
    guilty: tuple[str, ...]
    split: Split
    guardrails: tuple[Explanation, ...]


def explain(plan: RolloutPlan, check: Judged) -> Grounds:
    """Return what a check rests on and what would change its verdict.

    Args:
        plan: The rollout's.
        check: Usually the latest.
    """
    policy, look, evidence = plan.policy_at(check.stage), check.look, check.evidence
    return Grounds(
        number=check.number,
        at=look.at,
        stage=check.stage,
        percent=check.percent,
        epoch=look.epoch,
        control=look.control,
        action=check.verdict.action,
        reason=check.verdict.reason,
        method=check.method,
        policy=check.policy,
        alpha=policy.alpha,
        enough=-math.log(policy.alpha),
        log_e=evidence.log_e,
        peak=evidence.peak,
        guilty=evidence.guilty,
        split=Split(
            expected=look.share,
            treatment=look.exposures[0],
            control=look.exposures[1],
            log_e=evidence.log_mismatch,
        ),
        guardrails=tuple(
            _explain(policy, number, check) for number in range(len(policy.guardrails))
        ),
    )


def _explain(policy: Policy, number: int, check: Judged) -> Explanation:
    guardrail, trail = policy.guardrails[number], check.evidence.trails[number]
    sample, reading = check.look.samples[number], check.verdict.readings[number]
    by_event = guardrail.per == "event" or guardrail.kind is GuardrailKind.THRESHOLD
    sure = None
    if guardrail.kind is not GuardrailKind.THRESHOLD:
        sure = sureness(policy, number, check)
    return Explanation(
        guardrail=guardrail.name,
        metric=guardrail.metric,
        kind=guardrail.kind,
        role=guardrail.role,
        dry_run=guardrail.dry_run,
        higher_is_better=guardrail.higher_is_better,
        unit="events" if by_event else "users",
        needs=guardrail.fewest,
        alpha=check.evidence.shares(policy.weights)[number] * policy.alpha,
        standing=reading.standing,
        said=reading.evidence,
        treatment=sample.treatment,
        control=sample.control,
        overall=totals(trail) if len(trail.latest) == 1 else None,
        interval=_interval(guardrail, sample, policy.alpha),
        beyond=_beyond(guardrail, trail, sample),
        forgiven=guardrail.forgiven if guardrail.kind is GuardrailKind.EVIDENCE else 0.0,
        sure=sure,
        to_roll_back=_to_roll_back(guardrail, sample, reading, sure),
        to_go_on=_to_go_on(policy, guardrail, check, number, sure),
    )


def _interval(guardrail: Guardrail, sample: Sample, alpha: float) -> Interval | None:
    if not (guardrail.is_rate and sample.counts and sample.treatment.n and sample.control.n):
        return None
    seen = sample.counts[0]
    return difference_interval(Rate(seen.s_c, seen.n_c), Rate(seen.s_t, seen.n_t), alpha=alpha)


def _beyond(guardrail: Guardrail, trail: Trail, sample: Sample) -> tuple[Beyond, ...]:
    if guardrail.is_rate:
        return ()
    if guardrail.kind is GuardrailKind.LIMIT:
        edges: list[float] = [guardrail.limit or 0.0]
        log_es: list[float | None] = [None]
    else:
        kind = Levels if guardrail.metric == RATING else Histogram
        edges = [edge(cut, kind=kind) for cut in sample.cuts]
        log_es = [float(Harm.from_json(state).log_e) for state in trail.harm]
    return tuple(
        Beyond(
            threshold=threshold,
            treatment=1 - seen.s_t / seen.n_t if seen.n_t else None,
            control=1 - seen.s_c / seen.n_c if seen.n_c else None,
            log_e=log_e,
        )
        for threshold, seen, log_e in zip(edges, sample.counts, log_es, strict=False)
    )


def _to_roll_back(
    guardrail: Guardrail, sample: Sample, reading: Reading, sure: Sureness | None
) -> str:
    if guardrail.role is not Role.GUARDRAIL:
        kept = {Role.GOAL: "a goal only keeps from going on", Role.INFO: "it is only shown"}
        return f"never: {kept[guardrail.role]}"
    if guardrail.dry_run:
        return "never: it is a dry run"
    if reading.standing is Standing.HARMED:
        return "nothing more: harm is shown"
    if sure is None:
        now = f", now {sample.treatment.mean:.1%}" if sample.treatment.n else ""
        return f"below {guardrail.floor_rate:.1%} of more than {guardrail.fewest} events{now}"
    has, needed = strength(sure.harm), strength(sure.enough)
    far = _estimate(sure.more_to_harm, guardrail)
    return f"evidence of harm {needed}, has {has}: {far}"


def _to_go_on(
    policy: Policy, guardrail: Guardrail, check: Judged, number: int, sure: Sureness | None
) -> str:
    reading = check.verdict.readings[number]
    if guardrail.role is Role.INFO or guardrail.dry_run:
        return "nothing: it decides nothing"
    if reading.standing is Standing.HARMED:
        shown = "a person has to send it on" if guardrail.role is Role.GOAL else "nothing can"
        return f"{shown}: harm is shown"
    if why := trouble(check.evidence.trails[number], check.look.samples[number]):
        return f"to be measured again: {why}"
    if reading.standing in (Standing.SAFE, Standing.NOT_HARMED):
        return "nothing more"
    return _to_decide(policy, guardrail, check, number, sure)


def _to_decide(
    policy: Policy, guardrail: Guardrail, check: Judged, number: int, sure: Sureness | None
) -> str:
    """Return what an undecided guardrail waits for."""
    trail, seen = check.evidence.trails[number], check.look.samples[number].treatment.n
    missing = guardrail.fewest + (sure is None) - seen  # a threshold wants more than the fewest
    if missing > 0:
        unit = "events" if sure is None else f"{guardrail.per}s"
        return f"{missing:,} more {unit} of the candidate in this stage"
    if sure is None:
        return f"at least {guardrail.target_rate:.1%}"
    if guardrail.kind is GuardrailKind.EVIDENCE and not trail.harm:
        return "observations of the control, to read the thresholds off"
    if guardrail.kind is GuardrailKind.EVIDENCE and check.look.compared and not trail.total:
        return "somebody on the control to compare with"
    if sure.mean >= sure.enough_safe:
        return "its mean not to be worse any more"
    if policy.promote_when is PromoteWhen.SAFE:
        has, needed = strength(sure.safe), strength(sure.enough_safe)
        return f"evidence of safety {needed}, has {has}: {_estimate(sure.more_to_safe, guardrail)}"
    return "a look at what has come since the last one"


def _estimate(more: int | None, guardrail: Guardrail) -> str:
    if more is None:
        return "not at the present rates"
    of_both = " of the candidate" if guardrail.kind is GuardrailKind.LIMIT else ""
    return f"about {_rough(more):,} more {guardrail.per}s{of_both} at the present rates"


def _rough(more: int) -> int:
    """Return two digits: an estimate has no more."""
    return int(float(f"{more:.2g}"))
