"""How sure the evidence is, and how many more observations an answer would need."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import rel_entr

from domain.evidence.looks import Counts, Evidence, Judged, Sample, Trail
from domain.guardrail import Guardrail, GuardrailKind
from domain.policy import Policy
from domain.prompts import Json
from domain.stats import harm, noninferiority
from domain.stats.combination import anytime_p
from domain.stats.harm import Floats, Harm
from domain.stats.noninferiority import Safety
from domain.value import Frozen

FAR = 10**8  # observations; nobody waits for so many


class Sureness(Frozen):
    """How strong the evidence about a guardrail is; natural logarithms of e-values.

    Attributes:
        harm: Now; `peak` is the highest so far. `enough` rolls back, as the other guardrails stand.
        p_value: Of "no harm", good at any time: 1 / the highest e-value, at most 1.
        safe: That it is within the margin; `enough_safe` shows it.
        mean: Advisory, of numbers: that the mean has worsened.
        more_to_harm: An estimate: after how many further observations, of both arms where they are
            compared, harm is proven if all goes on as in this stage; None if it never is.
        more_to_safe: As `more_to_harm`.
    """

    harm: float
    peak: float
    enough: float
    p_value: float
    safe: float
    enough_safe: float
    mean: float
    more_to_harm: int | None
    more_to_safe: int | None


def sureness(policy: Policy, number: int, check: Judged) -> Sureness:
    """Return how sure a guardrail's evidence is at a check, and how far from sure.

    Args:
        policy: What the check was judged by.
        number: The guardrail's place in it.
        check: With its evidence.
    """
    trail, enough_safe = check.evidence.trails[number], -math.log(policy.alpha)
    enough = _enough(policy, number, check.evidence)
    guardrail, sample = policy.guardrails[number], check.look.samples[number]
    return Sureness(
        harm=trail.log_e,
        peak=trail.peak,
        enough=enough,
        p_value=anytime_p(trail.peak),
        safe=trail.log_safe,
        enough_safe=enough_safe,
        mean=trail.log_mean,
        more_to_harm=_more_to_harm(guardrail, trail, sample, enough),
        more_to_safe=_more_to_safe(guardrail, trail, sample, enough_safe),
    )


def _enough(policy: Policy, number: int, evidence: Evidence) -> float:
    """Return the log e-value at which this guardrail tips the weighted mean, or acts by itself."""
    shares = evidence.shares(policy.weights)
    weight = shares[number]
    others = sum(
        share * math.exp(min(trail.log_e, 700))
        for other, (share, trail) in enumerate(zip(shares, evidence.trails, strict=True))
        if other != number
    )
    if not weight or others >= 1 / policy.alpha:
        return -math.log(policy.alpha)
    return math.log((1 / policy.alpha - others) / weight)


def _more_to_harm(guardrail: Guardrail, trail: Trail, sample: Sample, enough: float) -> int | None:
    if not sample.counts or trail.blind_since:
        return None
    counts, missing = sample.counts[0], enough - trail.log_e
    if guardrail.kind is GuardrailKind.LIMIT:
        return _until_beyond(counts, level=_level(guardrail), missing=missing, below=True)
    half = 0.0 if guardrail.floor is None else math.log(2)  # a mean is twice, once half of it is
    ways = [_until_harmed(trail.harm, sample.counts, drop=guardrail.drop, needs=enough + half)]
    if guardrail.floor is not None:
        level = guardrail.floor
        ways += [_until_beyond(counts, level=level, missing=missing + half, below=True)]
    return min((way for way in ways if way is not None), default=None)


def _more_to_safe(guardrail: Guardrail, trail: Trail, sample: Sample, enough: float) -> int | None:
    if not sample.counts or trail.blind_since:
        return None
    if guardrail.kind is GuardrailKind.LIMIT:
        missing = enough - trail.log_safe
        return _until_beyond(
            sample.counts[0], level=_level(guardrail), missing=missing, below=False
        )
    near = sample.near or sample.counts
    return _until_safe(trail.safe, near, margin=guardrail.allowance, needs=enough)


def _level(guardrail: Guardrail) -> float:
    """Return the share of observations that must keep to a limit."""
    return (guardrail.limit or 0.0) if guardrail.is_rate else guardrail.keeping / 100


def _until_harmed(
    states: Sequence[Json], counts: Sequence[Counts], *, drop: float, needs: float
) -> int | None:
    """Let the counts of this stage come again and again, until one threshold carries the mean."""
    found = [
        _more(
            Harm.from_json(state).wealth,
            Harm.from_json(state).look(seen.since(Counts()), drop=drop).wealth,
            weights=harm.WEIGHTS,
            needs=needs + math.log(len(states)),
            size=seen.n_t + seen.n_c,
        )
        for state, seen in zip(states, counts, strict=True)
        if seen.s_t * seen.n_c
        < seen.s_c * seen.n_t  # rounding makes even equal rates gain a little
    ]
    return min((more for more in found if more is not None), default=None)


def _until_safe(
    states: Sequence[Json], counts: Sequence[Counts], *, margin: float, needs: float
) -> int | None:
    """Let the counts of this stage come again and again, until every threshold is safe."""
    found = [
        _more(
            Safety.from_json(state).wealth,
            Safety.from_json(state).look(seen.since(Counts()), margin=margin).wealth,
            weights=noninferiority.WEIGHTS,
            needs=needs,
            size=seen.n_t + seen.n_c,
        )
        for state, seen in zip(states, counts, strict=True)
    ]
    needed = [more for more in found if more is not None]
    return max(needed) if needed and len(needed) == len(found) else None


def _until_beyond(counts: Counts, *, level: float, missing: float, below: bool) -> int | None:
    """Return how many more of treatment prove its rate to be below a level, or above it.

    Each adds, on average, the divergence of the rate from the level: Kullback & Leibler, Annals of
    Mathematical Statistics 22 (1951).
    """
    if not counts.n_t or missing <= 0:
        return 0 if missing <= 0 else None
    rate = counts.s_t / counts.n_t
    if (rate < level) is not below or not 0 < level < 1:
        return None
    gain = float(rel_entr(rate, level) + rel_entr(1 - rate, 1 - level))
    return _whole(missing / gain) if gain > 0 else None


def _more(before: Floats, after: Floats, *, weights: Floats, needs: float, size: int) -> int | None:
    """Return when the first of the bets is rich enough by itself, each growing as it just did."""
    gains, missing = after - before, needs - np.log(weights) - before
    ways = [miss / gain for miss, gain in zip(missing, gains, strict=True) if gain > 0]
    return _whole(max(0.0, min(ways)) * size) if ways else None


def _whole(observations: float) -> int | None:
    return math.ceil(observations) if observations < FAR else None
