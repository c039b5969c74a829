"""The decisions of a rollout made again from what it saw, to prove them. Pure."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import JsonValue

from domain.amendment import Amended, plan_at
from domain.errors import InvalidValue
from domain.evidence.carrying import carried
from domain.evidence.looks import METHOD, METHODS, Evidence, Judged, Look
from domain.evidence.weighing import weigh
from domain.judge import Verdict
from domain.plan import RolloutPlan
from domain.policy import Policy
from domain.progress import Told, nobody
from domain.value import Frozen


class Difference(Frozen):
    """What a check of the journal says, and what follows from its looks instead.

    Attributes:
        number: Of the check.
        what: The path of the field: `verdict.action`, `evidence.trails[0].log_e`.
        recorded: As JSON; "nothing" where there is none. `recomputed` likewise.
    """

    number: int
    at: datetime
    what: str
    recorded: str
    recomputed: str


def replay(
    plan: RolloutPlan,
    checks: Sequence[Judged],
    amended: Sequence[Amended] = (),
    *,
    told: Told = nobody,
) -> list[Difference]:
    """Judge every look again and return what differs from the journal, to the last digit.

    Compared are stage, policy, action, reason, readings and evidence. A check of another method is
    a difference; what follows it rests, as it did then, on the evidence it left.

    Args:
        plan: The rollout's, as it is now.
        checks: All of the rollout's, oldest first.
        amended: How its plan was changed, oldest first: each check was judged by the plan it had.
        told: How many of the checks were judged again.
    """
    evidence, found = Evidence(), list[Difference]()
    before = plan_at(plan, amended, 1)
    for done, check in enumerate(checks):
        told(done / len(checks))
        present = plan_at(plan, amended, check.number)
        evidence, before = carried(evidence, before, present), present
        if check.method not in METHODS:
            said = f"decided by method {check.method}, this is {METHOD}: not comparable"
            found.append(_difference(check, "method", said, METHOD))
            evidence = check.evidence
            continue
        try:
            again = _again(present, check, evidence)
        except InvalidValue as error:
            found.append(_difference(check, "look", "cannot be judged", str(error)))
            evidence = check.evidence
            continue
        found += _differences(check, again)
        evidence = again.evidence
    return found


def _again(plan: RolloutPlan, check: Judged, evidence: Evidence) -> Judged:
    """Return the check as it follows from its look."""
    look = check.look
    if not 1 <= look.stage <= len(plan.stages):
        raise InvalidValue(f"stage must be 1 to {len(plan.stages)}, got {look.stage}")
    policy = plan.policy_at(look.stage)
    verdict, evidence = weighed(policy, evidence, look, number=check.number, method=check.method)
    told = {"stage": look.stage, "policy": policy.fingerprint}
    # As through the journal, so that both sides are made of the same types.
    made = {
        "verdict": verdict.model_dump(mode="json"),
        "evidence": evidence.model_dump(mode="json"),
    }
    return Judged.model_validate(check.model_dump() | told | made)


def weighed(
    policy: Policy, evidence: Evidence, look: Look, *, number: int, method: str = METHOD
) -> tuple[Verdict, Evidence]:
    """Weigh the look of check `number`, by the method that decided it.

    Raises:
        InvalidValue: It holds what nobody can have counted.
    """
    try:
        return weigh(policy, evidence, look, method=method)
    except ValueError as error:
        raise InvalidValue(f"check {number}: {error}") from error


def _differences(check: Judged, again: Judged) -> Iterator[Difference]:
    recorded, recomputed = (
        dict(
            _leaves(one.model_dump(mode="json", include={"stage", "policy", "verdict", "evidence"}))
        )
        for one in (check, again)
    )
    for what in recorded | recomputed:
        told, found = recorded.get(what, "nothing"), recomputed.get(what, "nothing")
        if told != found:
            yield _difference(check, what, told, found)


def _difference(check: Judged, what: str, recorded: str, recomputed: str) -> Difference:
    return Difference(
        number=check.number,
        at=check.look.at,
        what=what,
        recorded=recorded,
        recomputed=recomputed,
    )


def _leaves(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf of JSON with its path."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{path}[{index}]")
    else:
        yield path, json.dumps(value)
