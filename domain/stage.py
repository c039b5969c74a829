"""One step of a ramp. Pure."""

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from domain.duration import Duration, spell
from domain.policy import PromoteWhen
from domain.value import Value


class Stage(Value):
    """One step of the ramp.

    Attributes:
        percent: Share of users given the candidate, 0 < percent <= 100.
        bake: How long the stage is watched, at least, before the next one starts.
        approval: Whether a person has to approve after the bake.
        max_bake: After so much baking without an answer the guardrails' `when_inconclusive` says
            what to do; at least `bake`. By default doubt holds for as long as it lasts.
        promote_when: What must be shown before the next stage; by default what the plan says.
    """

    percent: float = Field(gt=0, le=100, strict=True)
    bake: Duration = timedelta(0)
    approval: bool = False
    max_bake: Duration | None = None
    promote_when: PromoteWhen | None = None

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.max_bake is not None and self.max_bake < self.bake:
            least, most = spell(self.bake), spell(self.max_bake)
            raise ValueError(f"max_bake {most} is shorter than bake {least}")
        return self
