"""The evidence of a rollout, carried over a change to what is watched. Pure.

Evidence of harm is money in a game that a harmless version cannot win (Ville 1939): all of it
together begins at 1, and reaches 1 / alpha with a chance of at most alpha. An amendment may move
what there is, at today's prices, and never add to it. So the promise holds however many amendments
there are, and whatever those who made them had seen.
"""

import math

from domain.evidence.looks import Evidence, Trail
from domain.guardrail import Guardrail
from domain.plan import RolloutPlan

LARGEST = 700.0  # a log e-value whose exponential is still a number
SMALLEST = 1e-300  # nothing is for free, not even what has lost everything


def carried(evidence: Evidence, before: RolloutPlan, after: RolloutPlan) -> Evidence:
    """Return the evidence as the guardrails of the plan after see it.

    A guardrail that counts the same keeps its trail; any other begins, with what comes from now on.
    A share of alpha that shrinks, or whose guardrail goes, is worth what its evidence is now; one
    that grows, or begins, is bought with that, and stays smaller than planned where it falls short.

    Args:
        evidence: After the latest check; without one, nothing was seen and nothing is to carry.
        before: The plan of that check.
        after: The plan of the next one.
    """
    old, new = before.policy_at(1), after.policy_at(1)
    alike = (old.guardrails, old.weights) == (new.guardrails, new.weights)
    if alike or not evidence.trails:
        return evidence
    places = {_counts(guardrail): number for number, guardrail in enumerate(old.guardrails)}
    origins = [places.get(_counts(guardrail)) for guardrail in new.guardrails]
    stakes, purse = _exchanged(evidence, old.weights, new.weights, origins=origins)
    trails = (Trail(late=True) if at is None else evidence.trails[at] for at in origins)
    return evidence.model_copy(update={"trails": tuple(trails), "stakes": stakes, "purse": purse})


def shortfalls(evidence: Evidence, plan: RolloutPlan) -> list[str]:
    """Return one line for each guardrail that may spend less of alpha than the plan says."""
    policy = plan.policy_at(1)
    told = zip(policy.guardrails, policy.weights, evidence.stakes, strict=True)
    return [
        f"guardrail {guardrail.name} may spend {policy.alpha * stake:.2g} of alpha, not"
        f" {policy.alpha * weight:.2g}: so much had the evidence left"
        for guardrail, weight, stake in (told if evidence.stakes else ())
        if stake < weight * (1 - 1e-9)
    ]


def _exchanged(
    evidence: Evidence,
    before: tuple[float, ...],
    after: tuple[float, ...],
    *,
    origins: list[int | None],
) -> tuple[tuple[float, ...], float]:
    """Return what each guardrail holds afterwards, and the evidence that none of them holds."""
    held = evidence.shares(before)
    worth = [math.exp(min(trail.log_e, LARGEST)) for trail in evidence.trails]
    kept = [
        0.0 if at is None else min(held[at], weight)
        for at, weight in zip(origins, after, strict=True)
    ]
    had = evidence.purse if evidence.stakes else max(0.0, 1 - math.fsum(before))
    left = {at: share for at, share in zip(origins, kept, strict=True) if at is not None}
    freed = math.fsum((held[at] - left.get(at, 0.0)) * worth[at] for at in range(len(held)))
    wanted = [weight - share for weight, share in zip(after, kept, strict=True)]
    prices = [1.0 if at is None else max(worth[at], SMALLEST) for at in origins]
    cost = math.fsum(want * price for want, price in zip(wanted, prices, strict=True))
    part = min(1.0, (had + freed) / cost) if cost else 0.0
    stakes = tuple(share + part * want for share, want in zip(kept, wanted, strict=True))
    return stakes, max(0.0, had + freed - part * cost)


def _counts(guardrail: Guardrail) -> tuple[object, ...]:
    """Return all that its evidence is made of; what it does with that may change."""
    return (
        guardrail.metric,
        guardrail.kind,
        guardrail.per,
        guardrail.higher_is_better,
        guardrail.floor,
        guardrail.limit,
        guardrail.keeping,
        guardrail.forgiven,
        guardrail.slack,
        guardrail.allowance,
    )
