"""The decisions that another plan would have made on what a rollout saw. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from domain.amendment import Amended, plan_at
from domain.errors import InvalidValue
from domain.evidence.carrying import carried
from domain.evidence.looks import METHOD, Evidence, Judged
from domain.guardrail import Guardrail, GuardrailKind
from domain.hindsight.replay import weighed
from domain.judge import Action, Verdict
from domain.plan import RolloutPlan
from domain.value import Frozen

SAME_EVIDENCE = (
    "all of it is judged on the evidence that was seen: once a decision differs, the traffic,"
    " and so the evidence after it, would have been another"
)


class Moment(Frozen):
    """A check at which something was decided, and why."""

    number: int
    at: datetime
    stage: int
    percent: float
    reason: str


class Course(Frozen):
    """What a policy makes of the looks.

    Attributes:
        rolled_back: When it does; None if it never does.
        free_to_go_on: For each stage until then, when it first lets the stage go on as soon as the
            bake is over; a stage that it never lets go on is missing.
    """

    rolled_back: Moment | None = None
    free_to_go_on: tuple[Moment, ...] = ()


class Reconsidered(Frozen):
    """One look, judged twice."""

    number: int
    at: datetime
    stage: int
    percent: float
    recorded: Verdict
    other: Verdict

    @property
    def differs(self) -> bool:
        """Whether the rollout would have done something else."""
        return self.recorded.action is not self.other.action


class WhatIf(Frozen):
    """The decisions of a rollout beside those of another plan on the same evidence.

    Attributes:
        first: The first check at which the action differs; None when none does.
        notes: What has to be known to read it rightly.
    """

    checks: tuple[Reconsidered, ...]
    first: Reconsidered | None
    recorded: Course
    other: Course
    notes: tuple[str, ...]


def what_if(
    plan: RolloutPlan,
    other: RolloutPlan,
    checks: Sequence[Judged],
    amended: Sequence[Amended] = (),
) -> WhatIf:
    """Judge the looks of a rollout by another plan.

    Of the other plan, the policies count: guardrails, alpha, what may be promoted when, and what
    follows from doubt; stage by stage, its last one for all that are beyond it. A guardrail that an
    amendment began to count, or stopped counting, counts here as long as it was.

    Args:
        plan: The rollout's, as it is now.
        other: Its guardrails in any order, with any levels, floors, targets and roles.
        checks: All of the rollout's, oldest first.
        amended: How its plan was changed, oldest first.

    Raises:
        InvalidValue: A guardrail of the other plan asks for what was not counted.
    """
    known = _ever(plan, amended)
    for guardrail in other.guardrails:
        _refuse_unanswered(guardrail, known)
    judged = list(_rejudged(plan, other, checks, amended))
    return WhatIf(
        checks=tuple(judged),
        first=next((check for check in judged if check.differs), None),
        recorded=_course((check, check.recorded) for check in judged),
        other=_course((check, check.other) for check in judged),
        notes=(*_notes(plan, other, known, checks), *_gaps(other, plan, amended), SAME_EVIDENCE),
    )


def _rejudged(
    plan: RolloutPlan,
    other: RolloutPlan,
    checks: Sequence[Judged],
    amended: Sequence[Amended],
) -> Iterator[Reconsidered]:
    evidence, before = Evidence(), other
    for check in checks:
        picked = _answered(other, plan_at(plan, amended, check.number), check)
        samples = tuple(check.look.samples[number] for number in picked.places)
        evidence, before = carried(evidence, before, picked.plan), picked.plan
        verdict, evidence = weighed(
            picked.plan.policy_at(_stage(other, check)),
            evidence,
            check.look.model_copy(update={"samples": samples}),
            number=check.number,
        )
        yield Reconsidered(
            number=check.number,
            at=check.look.at,
            stage=check.stage,
            percent=check.percent,
            recorded=check.verdict,
            other=verdict,
        )


class _Picked(NamedTuple):
    """The other plan, as far as a check can answer it, and which samples do."""

    plan: RolloutPlan
    places: tuple[int, ...]


def _answered(other: RolloutPlan, plan: RolloutPlan, check: Judged) -> _Picked:
    """Leave what was counted at the check, in the unit that was counted."""
    found = [(asked, _place(asked, plan.guardrails)) for asked in other.guardrails]
    pairs = [(asked, place) for asked, place in found if place is not None]
    if not pairs:
        known = ", ".join(map(_asked_for, plan.guardrails))
        raise InvalidValue(f"check {check.number} cannot be answered: recorded were {known}")
    guardrails = tuple(
        asked.model_copy(update={"per": _unit(plan.guardrails[place])}) for asked, place in pairs
    )
    # A part of a plan may spend less than the whole, and is none that anybody could have written.
    part = other.model_copy(update={"guardrails": guardrails})
    return _Picked(part, tuple(place for _, place in pairs))


def _ever(plan: RolloutPlan, amended: Sequence[Amended]) -> list[Guardrail]:
    """Return the guardrails of every plan there was, the first plan's first."""
    plans = [*(change.before for change in amended), plan]
    return list(dict.fromkeys(guardrail for one in plans for guardrail in one.guardrails))


def _refuse_unanswered(asked: Guardrail, recorded: Sequence[Guardrail]) -> None:
    if _place(asked, recorded) is None:
        known = ", ".join(dict.fromkeys(map(_asked_for, recorded)))
        raise InvalidValue(
            f"guardrail {_asked_for(asked)} cannot be answered: recorded were {known}"
        )


def _place(asked: Guardrail, recorded: Sequence[Guardrail]) -> int | None:
    """Return which recorded guardrail has counted what is asked; in the same unit, if one has."""
    found = [number for number, known in enumerate(recorded) if _same_counts(asked, known)]
    return min(found, key=lambda number: _unit(recorded[number]) != _unit(asked), default=None)


def _same_counts(asked: Guardrail, known: Guardrail) -> bool:
    if asked.metric != known.metric or asked.is_rate:
        return asked.metric == known.metric
    if asked.kind is not known.kind or asked.higher_is_better != known.higher_is_better:
        return False
    if asked.kind is GuardrailKind.LIMIT:
        return asked.limit == known.limit
    return (asked.forgiven, asked.slack) == (known.forgiven, known.slack)


def _asked_for(guardrail: Guardrail) -> str:
    """Return what makes a guardrail count as it does: `response_time (harm 0.05, margin 0.1)`."""
    if guardrail.kind is GuardrailKind.LIMIT:
        return f"{guardrail.name} ({guardrail.limit:g})"
    if not guardrail.relative:
        return f"{guardrail.name} ({guardrail.kind})"
    return f"{guardrail.name} (harm {guardrail.forgiven:g}, margin {guardrail.slack:g})"


def _unit(guardrail: Guardrail) -> str:
    return "event" if guardrail.kind is GuardrailKind.THRESHOLD else guardrail.per


def _stage(other: RolloutPlan, check: Judged) -> int:
    return min(check.stage, len(other.stages))


def _course(judged: Iterable[tuple[Reconsidered, Verdict]]) -> Course:
    free: dict[int, Moment] = {}
    for check, verdict in judged:
        moment = Moment(
            number=check.number,
            at=check.at,
            stage=check.stage,
            percent=check.percent,
            reason=verdict.reason,
        )
        if verdict.action is Action.ROLL_BACK:
            return Course(rolled_back=moment, free_to_go_on=tuple(free.values()))
        if verdict.action is Action.ADVANCE:
            free.setdefault(check.stage, moment)
    return Course(free_to_go_on=tuple(free.values()))


def _gaps(other: RolloutPlan, plan: RolloutPlan, amended: Sequence[Amended]) -> Iterator[str]:
    """Tell of what only some checks have counted."""
    plans = [*(change.before for change in amended), plan]
    for asked in other.guardrails:
        if any(_place(asked, one.guardrails) is None for one in plans):
            yield f"{asked.name}: judged only while the rollout's own plan counted it"


def _notes(
    plan: RolloutPlan,
    other: RolloutPlan,
    known: Sequence[Guardrail],
    checks: Sequence[Judged],
) -> Iterator[str]:
    for asked in other.guardrails:
        place = _place(asked, known)
        counted = _unit(asked) if place is None else _unit(known[place])
        if _unit(asked) != counted:
            yield f"{asked.name}: counted per {counted}, as recorded, not per {_unit(asked)}"
    ramps = [" → ".join(f"{s.percent:g} %" for s in one.stages) for one in (plan, other)]
    if ramps[0] != ramps[1]:
        yield f"its stages are {ramps[1]}; the evidence is of {ramps[0]}"
    foreign = sorted({check.method for check in checks} - {METHOD})
    if foreign:
        yield f"some checks were decided by method {', '.join(foreign)}, all are judged by {METHOD}"
