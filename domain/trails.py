"""How the evidence about one guardrail grows from look to look. Pure."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from domain.evidence import Arm, Counts, Look, Sample, Trail
from domain.guardrail import Guardrail, GuardrailKind
from domain.stats import floor, means
from domain.stats.harm import Harm, due
from domain.stats.moments import Moments
from domain.stats.noninferiority import Safety

NOTHING = -1e9  # instead of minus infinity, which JSON cannot say


def follow(guardrail: Guardrail, trail: Trail, sample: Sample, look: Look, *, new: bool) -> Trail:
    """Return the trail after one more look.

    Args:
        guardrail: What is watched.
        trail: The evidence so far.
        sample: What was seen of it.
        look: The look that saw it.
        new: Whether the look is the first one of its epoch: an open block is dropped.
    """
    why = sample.error or _shrunk(trail, sample, new=new)
    if why:
        return trail.model_copy(update={"blind_since": trail.blind_since or look.at})
    trail = _turned(trail) if new else trail
    if guardrail.kind is GuardrailKind.EVIDENCE and sample.counts:
        trail = trail if trail.harm else _begun(trail, sample)
        trail = _looked(guardrail, trail, sample) if look.compared else trail
    told = {
        "latest": sample.counts,
        "present": (sample.treatment, sample.control),
        "blind_since": None,
    }
    trail = trail.model_copy(update=told)
    log_e = max(_log_harm(guardrail, trail, look), NOTHING)
    log_safe = max(_log_safe(guardrail, trail), NOTHING)
    return trail.model_copy(
        update={
            "log_e": log_e,
            "peak": max(trail.peak, log_e),
            "log_safe": max(trail.log_safe, log_safe),
            "log_mean": _log_mean(guardrail, trail),
        }
    )


def trouble(trail: Trail, sample: Sample) -> str:
    """Return why a trail is blind at this look."""
    return sample.error or "its counts went backwards" if trail.blind_since else ""


def totals(trail: Trail, channel: int = 0) -> Counts:
    """Return what was counted in all epochs."""
    past = trail.past[channel] if trail.past else Counts()
    return past.plus(trail.latest[channel]) if trail.latest else past


def _shrunk(trail: Trail, sample: Sample, *, new: bool) -> str:
    if new or len(trail.latest) != len(sample.counts):
        return ""
    pairs = zip(sample.counts, trail.latest, strict=True)
    return "backwards" if any(now.fell_below(then) for now, then in pairs) else ""


def _turned(trail: Trail) -> Trail:
    """Close an epoch: what was counted stays, what was not looked at is never looked at."""
    past = trail.past or (Counts(),) * len(trail.latest)
    kept = tuple(old.plus(late) for old, late in zip(past, trail.latest, strict=True))
    blank = {"looked": (), "looked_near": (), "latest": (), "present": (Arm(), Arm())}
    measured = trail.present[0].n or trail.present[1].n
    epochs = (*trail.epochs, trail.present) if measured else trail.epochs
    return trail.model_copy(update={"past": kept or trail.past, "epochs": epochs} | blank)


def _begun(trail: Trail, sample: Sample) -> Trail:
    """Fix the thresholds, and begin a process for each."""
    histories = sample.history or ((0, 0),) * len(sample.counts)
    start = {"looked": sample.counts, "looked_near": sample.near} if sample.peeked else {}
    return trail.model_copy(
        update={
            "cuts": sample.cuts,
            "harm": tuple(Harm.begin(history=history).to_json() for history in histories),
            "safe": tuple(Safety.begin(history=history).to_json() for history in histories),
        }
        | start
    )


def _looked(guardrail: Guardrail, trail: Trail, sample: Sample) -> Trail:
    """Look at the open blocks, if they are large enough; all thresholds count the same users."""
    near = sample.near or sample.counts
    before = trail.looked or (Counts(),) * len(sample.counts)
    before_near = trail.looked_near or (Counts(),) * len(near)
    blocks = [now.since(then) for now, then in zip(sample.counts, before, strict=True)]
    if not blocks or not due(blocks[0], trail.total):
        return trail
    nears = [now.since(then) for now, then in zip(near, before_near, strict=True)]
    harm = [
        Harm.from_json(state).look(block, drop=guardrail.drop).to_json()
        for state, block in zip(trail.harm, blocks, strict=True)
    ]
    safe = [
        Safety.from_json(state).look(block, margin=guardrail.allowance).to_json()
        for state, block in zip(trail.safe, nears, strict=True)
    ]
    size = int(np.asarray(blocks[0].n_t) + np.asarray(blocks[0].n_c))
    return trail.model_copy(
        update={
            "harm": tuple(harm),
            "safe": tuple(safe),
            "looked": sample.counts,
            "looked_near": near,
            "total": trail.total + size,
        }
    )


def _log_harm(guardrail: Guardrail, trail: Trail, look: Look) -> float:
    """Return the log e-value of harm by this guardrail alone."""
    if guardrail.kind is GuardrailKind.LIMIT:
        return _log_below(_of_limit(guardrail), totals(trail)) if trail.latest else 0.0
    if guardrail.kind is GuardrailKind.THRESHOLD or not trail.harm:
        return 0.0
    log_e = _mean([float(Harm.from_json(state).log_e) for state in trail.harm])
    if guardrail.floor is not None:
        return _mean([log_e, _log_below(guardrail.floor, totals(trail))])
    if look.compared:
        return log_e
    # Half of the wealth is bet on, once nobody is left to compare with.
    alone = [_log_alone(guardrail, trail, channel) for channel in range(len(trail.latest))]
    return log_e + _mean([0.0, _mean(alone)]) if alone else log_e


def _log_alone(guardrail: Guardrail, trail: Trail, channel: int) -> float:
    """Hold the candidate against what control did before it left, less the margin."""
    past = trail.past[channel] if trail.past else Counts()
    if not past.n_c:
        return 0.0
    lowest = past.s_c / past.n_c - guardrail.allowance
    return _log_below(lowest, trail.latest[channel]) if lowest > 0 else 0.0


def _log_safe(guardrail: Guardrail, trail: Trail) -> float:
    """Return the log e-value of safety: the least of all thresholds."""
    if guardrail.kind is GuardrailKind.LIMIT and trail.latest:
        seen = totals(trail)
        turned = seen.model_copy(update={"s_t": seen.n_t - seen.s_t})
        return _log_below(1 - _of_limit(guardrail), turned)
    if guardrail.kind is not GuardrailKind.EVIDENCE or not trail.safe:
        return 0.0
    return min(float(Safety.from_json(state).log_e) for state in trail.safe)


def _log_mean(guardrail: Guardrail, trail: Trail) -> float:
    """Return the advisory log e-value that the mean of a number has worsened."""
    if guardrail.is_rate or guardrail.kind is not GuardrailKind.EVIDENCE:
        return 0.0
    sign = -1.0 if guardrail.higher_is_better else 1.0
    epochs = [(arms[0].moments, arms[1].moments) for arms in (*trail.epochs, trail.present)]
    scale = max(abs(control.mean) for _, control in epochs)
    tau = scale * (guardrail.forgiven or guardrail.drop)
    if tau <= 0:
        return 0.0
    forgiven = (1 + guardrail.forgiven) ** -sign
    worse = [(_scaled(t, sign * forgiven), _scaled(c, sign)) for t, c in epochs]
    return max(float(means.log_e(worse, tau=tau)), NOTHING)


def _scaled(moments: Moments, factor: float) -> Moments:
    return Moments(moments.n, moments.mean * factor, moments.m2 * factor**2)


def _of_limit(guardrail: Guardrail) -> float:
    """Return the share of observations that must keep to the limit."""
    if guardrail.is_rate:
        return guardrail.limit or 0.0
    return guardrail.keeping / 100


def _log_below(lowest: float, counts: Counts) -> float:
    if not 0 < lowest < 1:
        return 0.0
    return float(floor.log_e(counts.s_t, counts.n_t - counts.s_t, floor=lowest))


def _mean(log_es: Sequence[float]) -> float:
    """Return the log of the mean of e-values."""
    return float(logsumexp(log_es)) - math.log(len(log_es)) if log_es else 0.0
