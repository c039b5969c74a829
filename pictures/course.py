"""What the checks of a rollout show over time, cut where its users were split anew."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from domain.evidence.looks import Judged, Sample, Trail
from domain.guardrail import Guardrail, GuardrailKind
from domain.judge import Reading
from domain.record import Rollout
from pictures.canvas import Canvas
from pictures.frame import Frame, Span


class Seen(NamedTuple):
    """One guardrail at one check; `place` is its number among those of that check."""

    check: Judged
    place: int

    @property
    def at(self) -> datetime:
        """When."""
        return self.check.look.at

    @property
    def sample(self) -> Sample:
        """What was seen."""
        return self.check.look.samples[self.place]

    @property
    def trail(self) -> Trail:
        """The evidence after it."""
        return self.check.evidence.trails[self.place]

    @property
    def reading(self) -> Reading:
        """What was read from it."""
        return self.check.verdict.readings[self.place]


def seen(rollout: Rollout, checks: Sequence[Judged], number: int) -> list[Seen]:
    """Return the checks that judged guardrail `number` (from 0) of today's plan.

    An amendment may have added it, or moved it: it is found by its name.
    """
    guardrail = rollout.plan.guardrails[number]
    found = [Seen(check, _place(check, guardrail, number)) for check in checks]
    return [one for one in found if 0 <= one.place < len(one.check.look.samples)]


def alike(rollout: Rollout, number: int) -> list[Guardrail]:
    """Return the guardrails that watch the same observations as that one, itself included."""
    guardrails = rollout.plan.guardrails
    wanted = (guardrails[number].metric, unit(guardrails[number]))
    return [one for one in guardrails if (one.metric, unit(one)) == wanted]


def unit(guardrail: Guardrail) -> str:
    """Return what is counted: users, or events."""
    by_event = guardrail.per == "event" or guardrail.kind is GuardrailKind.THRESHOLD
    return "events" if by_event else "users"


def stretches(found: Sequence[Seen]) -> list[list[Seen]]:
    """Return the checks of each epoch: within one, what they saw adds up."""
    return [[*group] for _, group in groupby(found, key=lambda one: one.check.look.epoch)]


def spans(checks: Sequence[Judged]) -> list[Span]:
    """Return the stages, by their first checks."""
    grouped = groupby(checks, key=lambda check: (check.stage, check.percent))
    return [Span(next(group).look.at, f"{percent:g} %") for (_, percent), group in grouped]


def frame(
    canvas: Canvas, rollout: Rollout, checks: Sequence[Judged], *,
    until: datetime | None, bottom: float,
) -> Frame:  # fmt: skip
    """Return the paper from the opening of the rollout to its end, or to now."""
    latest = max((check.look.at for check in checks), default=rollout.opened_at)
    end = rollout.concluded_at or until or latest
    return Frame(canvas, rollout.opened_at, max(end, latest), bottom=bottom)


def _place(check: Judged, guardrail: Guardrail, number: int) -> int:
    names = [reading.guardrail for reading in check.verdict.readings]
    if number < len(names) and names[number] == guardrail.name:
        return number
    return names.index(guardrail.name) if guardrail.name in names else -1
