"""What one stage of a rollout is judged by. Pure values."""

import hashlib
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from domain.duration import Duration
from domain.guardrail import Guardrail, Level
from domain.value import Value

Mismatch = Literal["hold", "roll_back", "warn"]


class PromoteWhen(StrEnum):
    """What must be shown before a stage may go on."""

    NOT_HARMED = "not_harmed"  # enough was seen, and no harm
    SAFE = "safe"  # shown not to be worse by more than the margin


class Policy(Value):
    """What one stage is judged by; `fingerprint` names it in the journal.

    Attributes:
        alpha: Chance, over the whole rollout and all guardrails, to roll back a harmless version.
        max_bake: After so much baking doubt is inconclusive; None: never.
    """

    guardrails: tuple[Guardrail, ...] = (Guardrail(),)
    alpha: Level = 0.05
    promote_when: PromoteWhen = PromoteWhen.NOT_HARMED
    blind_after: Duration = timedelta(minutes=15)
    no_traffic_after: Duration = timedelta(hours=24)
    when_mismatch: Mismatch = "hold"
    max_bake: Duration | None = None

    @property
    def fingerprint(self) -> str:
        """The first 12 hexadecimal digits of the SHA-256 of its JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @property
    def fears_blindness(self) -> bool:
        """Whether a rollout that could not be measured for `blind_after` is rolled back."""
        return any(g.acts and g.when_blind == "roll_back" for g in self.guardrails)

    @property
    def weights(self) -> tuple[float, ...]:
        """Each guardrail's share of `alpha`, summing to at most 1; 0 of one that does not weigh."""
        weighing = [g for g in self.guardrails if g.weighs]
        free = [g for g in weighing if g.alpha is None]
        left = max(0.0, 1 - sum((g.alpha or 0.0) / self.alpha for g in weighing))
        first = left if len(free) == 1 else left / 2
        rest = (left - first) / max(1, len(free) - 1)
        shares = iter([first, *[rest] * (len(free) - 1)] if free else [])
        return tuple(
            0.0 if not g.weighs else next(shares) if g.alpha is None else g.alpha / self.alpha
            for g in self.guardrails
        )
