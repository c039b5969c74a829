"""How the evidence about one guardrail grows from look to look. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import islice
from typing import NamedTuple, Self, TypeVar

import numpy as np

from domain.evidence.looks import Arm, Counts, Look, Sample, Trail
from domain.guardrail import Guardrail, GuardrailKind
from domain.prompts import Json
from domain.stats import floor, means
from domain.stats.harm import Block, Harm, due
from domain.stats.moments import Moments
from domain.stats.noninferiority import Safety

Process = TypeVar("Process", Harm, Safety)
Stepped = tuple[Json, float]  # a process after a look, and its log e-value
NOTHING = -1e9  # instead of minus infinity, which JSON cannot say


def follow(
    guardrails: Sequence[Guardrail], trails: Sequence[Trail], look: Look
) -> tuple[Trail, ...]:
    """Return each guardrail's trail after one more look.

    Args:
        guardrails: What is watched.
        trails: The evidence so far, one for each.
        look: The look, with a sample for each.
    """
    cases = zip(guardrails, trails, look.samples, strict=True)
    read = [_read(guardrail, trail, sample, look) for guardrail, trail, sample in cases]
    if look.compared:
        read = _looked(guardrails, read, look)
    pairs = zip(guardrails, read, strict=True)
    return tuple(_weighed(guardrail, trail, look) for guardrail, trail in pairs)


def _read(guardrail: Guardrail, trail: Trail, sample: Sample, look: Look) -> Trail:
    """Take in what was counted; at the first look of an epoch, an open block is dropped."""
    if sample.error or (trail.epoch == look.epoch and _shrunk(trail, sample)):
        return trail.model_copy(update={"blind_since": trail.blind_since or look.at})
    trail = trail if trail.epoch == look.epoch else _turned(trail)
    if trail.late and sample.counts:
        trail = _added(trail, sample)
    if guardrail.kind is GuardrailKind.EVIDENCE and sample.counts and not trail.harm:
        trail = _begun(trail, sample)
    told = {
        "epoch": look.epoch,
        "latest": _less(sample.counts, trail.base),
        "present": (sample.treatment, sample.control),
        "blind_since": None,
    }
    return trail.model_copy(update=told)


def _weighed(guardrail: Guardrail, trail: Trail, look: Look) -> Trail:
    if trail.blind_since:
        return trail
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


def _shrunk(trail: Trail, sample: Sample) -> bool:
    pairs = zip(_less(sample.counts, trail.base), trail.latest, strict=False)
    return any(now.fell_below(then) for now, then in pairs)


def _less(counts: tuple[Counts, ...], base: tuple[Counts, ...]) -> tuple[Counts, ...]:
    if not base:
        return counts
    return tuple(now.minus(then) for now, then in zip(counts, base, strict=True))


def _added(trail: Trail, sample: Sample) -> Trail:
    """Leave out what had come before somebody asked for this guardrail, perhaps because of it."""
    seen = {"base": sample.counts, "looked": sample.counts}
    seen["looked_near"] = sample.near or sample.counts
    return trail.model_copy(update=seen | {"late": False})


def _turned(trail: Trail) -> Trail:
    """Close an epoch: what was counted stays, what was not looked at is never looked at."""
    past = trail.past or (Counts(),) * len(trail.latest)
    kept = tuple(old.plus(late) for old, late in zip(past, trail.latest, strict=True))
    blank = {"looked": (), "looked_near": (), "latest": (), "base": (), "present": (Arm(), Arm())}
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


class _Case(NamedTuple):
    """A guardrail and what has arrived since its last look; all thresholds count the same users."""

    guardrail: Guardrail
    trail: Trail
    counts: tuple[Counts, ...]
    near: tuple[Counts, ...]
    blocks: list[Block]
    near_blocks: list[Block]

    @classmethod
    def of(cls, guardrail: Guardrail, trail: Trail, sample: Sample) -> Self:
        """Read the sample."""
        if trail.blind_since or not trail.harm:
            return cls(guardrail, trail, (), (), [], [])
        near, blocks = sample.near or sample.counts, _since(sample.counts, trail.looked)
        near_blocks = _since(near, trail.looked_near)
        return cls(guardrail, trail, sample.counts, near, blocks, near_blocks)

    @property
    def is_due(self) -> bool:
        """Whether there is something to look at, and enough of it."""
        return bool(self.blocks) and bool(due(self.blocks[0], self.trail.total))


def _looked(guardrails: Sequence[Guardrail], trails: list[Trail], look: Look) -> list[Trail]:
    """Look at the open blocks that are large enough: those of all guardrails in one step."""
    cases = [_Case.of(*case) for case in zip(guardrails, trails, look.samples, strict=True)]
    due_now = [case for case in cases if case.is_due]
    if not due_now:
        return trails
    harm = _stacked(Harm, [state for case in due_now for state in case.trail.harm]).look(
        _joined([block for case in due_now for block in case.blocks]),
        drop=[case.guardrail.drop for case in due_now for _ in case.blocks],
    )
    safe = _stacked(Safety, [state for case in due_now for state in case.trail.safe]).look(
        _joined([block for case in due_now for block in case.near_blocks]),
        margin=[case.guardrail.allowance for case in due_now for _ in case.near_blocks],
    )
    harms, safes = iter(_unstacked(harm)), iter(_unstacked(safe))
    return [_after(case, harms, safes) if case.is_due else case.trail for case in cases]


def _after(case: _Case, harms: Iterator[Stepped], safes: Iterator[Stepped]) -> Trail:
    """Return the trail of a case after its look."""
    harm = list(islice(harms, len(case.blocks)))
    safe = list(islice(safes, len(case.blocks)))
    block = case.blocks[0]
    size = int(np.asarray(block.n_t) + np.asarray(block.n_c))
    return case.trail.model_copy(
        update={
            "harm": tuple(state for state, _ in harm),
            "safe": tuple(state for state, _ in safe),
            "log_harms": tuple(log_e for _, log_e in harm),
            "log_safes": tuple(log_e for _, log_e in safe),
            "looked": case.counts,
            "looked_near": case.near,
            "total": case.trail.total + size,
        }
    )


def _since(now: Sequence[Counts], then: Sequence[Counts]) -> list[Block]:
    before = then or (Counts(),) * len(now)
    return [one.since(other) for one, other in zip(now, before, strict=True)]


def _stacked(process: type[Process], states: Sequence[Json]) -> Process:
    """Return many processes as one, so that they look in one step."""
    names = [field.name for field in fields(process)]
    return process(**{name: np.array([state[name] for state in states]) for name in names})


def _joined(blocks: Sequence[Block]) -> Block:
    return Block(*(np.array(column) for column in zip(*blocks, strict=True)))


def _unstacked(process: Harm | Safety) -> list[Stepped]:
    """Return the state of each, as the journal keeps it, and its log e-value."""
    columns = {field.name: getattr(process, field.name).tolist() for field in fields(process)}
    rows = zip(*columns.values(), strict=True)
    states = [dict(zip(columns, row, strict=True)) for row in rows]
    return list(zip(states, process.log_e.tolist(), strict=True))


def _log_harm(guardrail: Guardrail, trail: Trail, look: Look) -> float:
    """Return the log e-value of harm by this guardrail alone."""
    if guardrail.kind is GuardrailKind.LIMIT:
        return _log_below(_of_limit(guardrail), totals(trail)) if trail.latest else 0.0
    if guardrail.kind is GuardrailKind.THRESHOLD or not trail.harm:
        return 0.0
    log_e = _mean(trail.log_harms)
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
    return min(trail.log_safes, default=0.0)


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
    return float(np.logaddexp.reduce(log_es)) - math.log(len(log_es)) if log_es else 0.0
