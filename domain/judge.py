"""The decision table: what the guardrails show in, verdict out. No session, no clock."""

import math
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum

from domain.guardrail import Guardrail, Role
from domain.policy import Policy
from domain.value import Frozen
from domain.windows.opening import Closed


class Action(StrEnum):
    """What the judge asks the rollout to do next."""

    HOLD = "hold"
    ADVANCE = "advance"
    ROLL_BACK = "roll_back"


class Standing(StrEnum):
    """What can be said about one guardrail so far."""

    HARMED = "harmed"  # worse than it may be
    SAFE = "safe"  # shown to be good enough
    NOT_HARMED = "not_harmed"  # enough was seen, and no harm
    UNDECIDED = "undecided"  # none of these, yet; no data is undecided
    ERROR = "error"  # could not be measured: never a neutral number


class Reading(Frozen):
    """One guardrail's standing at one check; `evidence` is the sentence a person reads.

    Attributes:
        log_e: Logarithm of the evidence of harm, where there is such; it acts at log(1 / alpha).
    """

    guardrail: str
    standing: Standing
    evidence: str
    role: Role = Role.GUARDRAIL
    dry_run: bool = False
    log_e: float | None = None


class Verdict(Frozen):
    """One judgement of one stage, with the reason a person will read.

    Attributes:
        closed: Why nothing may advance at the moment, whatever the guardrails say.
    """

    action: Action = Action.HOLD
    reason: str = "not judged yet"
    readings: tuple[Reading, ...] = ()
    closed: Closed | None = None


TABLE = (  # the first row that finds a reading decides
    ({Standing.HARMED}, {Role.GUARDRAIL}, Action.ROLL_BACK),
    ({Standing.HARMED}, {Role.GOAL}, Action.HOLD),
    ({Standing.ERROR}, {Role.GUARDRAIL, Role.GOAL}, Action.HOLD),
    ({Standing.UNDECIDED}, {Role.GUARDRAIL, Role.GOAL}, Action.HOLD),
    ({Standing.NOT_HARMED, Standing.SAFE}, {Role.GUARDRAIL, Role.GOAL}, Action.ADVANCE),
)


def verdict(readings: Sequence[Reading]) -> Verdict:
    """Return what the stage should do: harm rolls back, doubt holds, neither advances.

    A goal never rolls back: it keeps from promoting. Dry runs and infos decide nothing.
    """
    acting = [reading for reading in readings if not reading.dry_run]
    for standings, roles, action in TABLE:
        found = [r for r in acting if r.standing in standings and r.role in roles]
        if found:
            reason = "; ".join(f"{r.guardrail}: {r.evidence}" for r in found)
            return Verdict(action=action, reason=reason, readings=tuple(readings))
    if readings:
        said = "only dry runs and infos are watched: nothing speaks against it"
        return Verdict(action=Action.ADVANCE, reason=said, readings=tuple(readings))
    return Verdict(reason="no guardrail was read")


def unreadable(why: str, *, lasted: timedelta, policy: Policy) -> Verdict:
    """Return what follows when nothing could be measured for so long: never an advance."""
    evidence = f"metrics unreadable: {why}"
    reading = Reading(guardrail="all", standing=Standing.ERROR, evidence=evidence)
    over = policy.fears_blindness and lasted >= policy.blind_after
    action = Action.ROLL_BACK if over else Action.HOLD
    return Verdict(action=action, reason=evidence, readings=(reading,))


def read(guardrail: Guardrail, *, events: int, rate: float) -> Reading:
    """Hold the candidate's rate against the thresholds of the seed.

    Args:
        guardrail: Its floor, target and `min_events`.
        events: How many were counted in this stage.
        rate: Their mean, in [0, 1]; anything else is an error, not a number.
    """
    standing, evidence = _stand(guardrail, events=events, rate=rate)
    return Reading(
        guardrail=guardrail.metric,
        standing=standing,
        evidence=evidence,
        role=guardrail.role,
        dry_run=guardrail.dry_run,
    )


def _stand(guardrail: Guardrail, *, events: int, rate: float) -> tuple[Standing, str]:
    if events < 0 or not (math.isfinite(rate) and 0 <= rate <= 1):
        return Standing.ERROR, f"cannot be read: {rate} over {events} events"
    if events == 0:
        return Standing.UNDECIDED, "no events yet in this stage"
    seen = f"{rate:.1%} of {events} events"
    if events <= guardrail.fewest:
        return Standing.UNDECIDED, f"{seen}, needs more than {guardrail.fewest} to judge"
    if rate < guardrail.floor_rate:
        return Standing.HARMED, f"{seen}, below the floor of {guardrail.floor_rate:.1%}"
    if rate < guardrail.target_rate:
        return Standing.UNDECIDED, f"{seen}, wants at least {guardrail.target_rate:.1%} to go on"
    return Standing.SAFE, f"{seen}, at or above {guardrail.target_rate:.1%}"
