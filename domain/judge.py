"""The decision table: what the guardrails show in, verdict out. No session, no clock."""

import math
from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from domain.plan import Guardrail


class Action(StrEnum):
    """What the judge asks the rollout to do next."""

    HOLD = "hold"
    ADVANCE = "advance"
    ROLL_BACK = "roll_back"


class Standing(StrEnum):
    """What can be said about one guardrail so far."""

    HARMED = "harmed"  # worse than it may be
    SAFE = "safe"  # shown to be good enough
    UNDECIDED = "undecided"  # neither, yet; no data is undecided
    ERROR = "error"  # could not be measured: never a neutral number


class Reading(BaseModel):
    """One guardrail's standing at one check; `evidence` is the sentence a person reads."""

    model_config = ConfigDict(frozen=True)

    guardrail: str
    standing: Standing
    evidence: str


class Verdict(BaseModel):
    """One judgement of one stage, with the reason a person will read."""

    model_config = ConfigDict(frozen=True)

    action: Action = Action.HOLD
    reason: str = "not judged yet"
    readings: tuple[Reading, ...] = ()


TABLE = (  # the first row that finds a reading decides
    (Standing.HARMED, Action.ROLL_BACK),
    (Standing.ERROR, Action.HOLD),
    (Standing.UNDECIDED, Action.HOLD),
    (Standing.SAFE, Action.ADVANCE),
)


def verdict(readings: Sequence[Reading]) -> Verdict:
    """Return what the stage should do: harm rolls back, doubt holds, neither advances."""
    for standing, action in TABLE:
        found = [f"{r.guardrail}: {r.evidence}" for r in readings if r.standing is standing]
        if found:
            return Verdict(action=action, reason="; ".join(found), readings=tuple(readings))
    return Verdict(reason="no guardrail was read")


def unreadable(why: str) -> Verdict:
    """Return what follows when nothing could be measured: hold, and say so; never advance."""
    evidence = f"metrics unreadable: {why}"
    reading = Reading(guardrail="all", standing=Standing.ERROR, evidence=evidence)
    return Verdict(action=Action.HOLD, reason=evidence, readings=(reading,))


def read(guardrail: Guardrail, *, events: int, rate: float) -> Reading:
    """Hold the candidate's rate against the thresholds of the seed.

    Args:
        guardrail: Its floor, target and `min_events`.
        events: How many were counted in this stage.
        rate: Their mean, in [0, 1]; anything else is an error, not a number.
    """
    standing, evidence = _stand(guardrail, events=events, rate=rate)
    return Reading(guardrail=guardrail.metric.value, standing=standing, evidence=evidence)


def _stand(guardrail: Guardrail, *, events: int, rate: float) -> tuple[Standing, str]:
    if events < 0 or not (math.isfinite(rate) and 0 <= rate <= 1):
        return Standing.ERROR, f"cannot be read: {rate} over {events} events"
    if events == 0:
        return Standing.UNDECIDED, "no events yet in this stage"
    seen = f"{rate:.1%} of {events} events"
    if events <= guardrail.min_events:
        return Standing.UNDECIDED, f"{seen}, needs more than {guardrail.min_events} to judge"
    if rate < guardrail.floor:
        return Standing.HARMED, f"{seen}, below the floor of {guardrail.floor:.1%}"
    if rate < guardrail.target:
        return Standing.UNDECIDED, f"{seen}, wants at least {guardrail.target:.1%} to go on"
    return Standing.SAFE, f"{seen}, at or above {guardrail.target:.1%}"
