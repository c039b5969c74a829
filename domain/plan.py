"""The values a rollout is made of: immutable, no I/O, no clock. Presets included."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self, TypeGuard

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from domain.duration import Duration, Tick, spell
from domain.errors import InvalidPlan


class Metric(StrEnum):
    """What a guardrail may watch."""

    SUCCESS = "success"


Label = Annotated[str, Field(min_length=1, max_length=200)]


def _is_map(given: object) -> TypeGuard[dict[str, object]]:
    return isinstance(given, dict)


class Value(BaseModel):
    """Frozen; a field it does not know is refused rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        unknown = [key for key in given if key not in cls.model_fields] if _is_map(given) else []
        if unknown:
            allowed = ", ".join(cls.model_fields)
            raise ValueError(f"unknown field {unknown[0]!r}: allowed are {allowed}")
        return given


class Guardrail(Value):
    """What must not get worse, by fixed thresholds.

    Attributes:
        floor: Rate in [0, 1]; below it, with more than `min_events` events, the rollout rolls back.
        target: Rate in [floor, 1]; at or above it, with more than `min_events` events, a stage may
            go on. In between, it holds.
        min_events: Events of the candidate in the present stage, >= 0, that are too few to judge.
    """

    metric: Metric = Metric.SUCCESS
    floor: float = Field(default=0.8, ge=0, le=1)
    target: float = Field(default=0.95, ge=0, le=1)
    min_events: int = Field(default=100, ge=0, le=10**9)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.target < self.floor:
            raise ValueError(f"target {self.target:g} is below floor {self.floor:g}")
        return self


class Stage(Value):
    """One step of the ramp.

    Attributes:
        percent: Share of users given the candidate, 0 < percent <= 100.
        bake: How long the stage is watched, at least, before the next one starts.
        approval: Whether a person has to approve after the bake.
    """

    percent: float = Field(gt=0, le=100, strict=True)
    bake: Duration = timedelta(0)
    approval: bool = False


class RolloutPlan(Value):
    """How a candidate replaces the version in production.

    Histories of running rollouts hold this as JSON: give every new field a default.

    Attributes:
        stages: Rising percents, the last one 100.
        guardrails: What is judged at every check; at least one.
        check_min: Wait before the first check after a ramp, at least 0.5 s;
            each later wait is half as long again.
        check_max: The longest wait between two checks.
        final_bake: How long the promoted version is still watched at 100 %.
        holdback: Percent of users kept on the baseline while the last stage is watched, so that
            there is somebody to compare with; 0 <= holdback < 50. Completion moves them.
    """

    name: Label = "custom"
    stages: tuple[Stage, ...] = Field(max_length=50)
    guardrails: tuple[Guardrail, ...] = Field(default=(Guardrail(),), max_length=20)
    check_min: Tick = timedelta(seconds=5)
    check_max: Tick = timedelta(minutes=5)
    final_bake: Duration = timedelta(minutes=30)
    holdback: float = Field(default=1.0, ge=0, lt=50)

    @field_validator("stages", "guardrails")
    @classmethod
    def _some(cls, values: tuple[Value, ...], info: ValidationInfo) -> tuple[Value, ...]:
        if not values:
            raise ValueError(f"must name at least one {str(info.field_name).removesuffix('s')}")
        return values

    @field_validator("stages")
    @classmethod
    def _rising(cls, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
        percents = [stage.percent for stage in stages]
        shown = ", ".join(f"{percent:g}" for percent in percents)
        if percents != sorted(set(percents)):
            raise ValueError(f"percents must rise from stage to stage, got {shown}")
        if percents[-1] != 100:
            raise ValueError(f"the last stage must be 100 percent, got {shown}")
        return stages

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.check_min > self.check_max:
            least, most = spell(self.check_min), spell(self.check_max)
            raise ValueError(f"check_min {least} is longer than check_max {most}")
        if len(self.stages) > 1 and self.stages[-2].percent >= 100 - self.holdback:
            raise ValueError(
                f"holdback {self.holdback:g} leaves {100 - self.holdback:g} percent to the last"
                f" stage, which must be more than the {self.stages[-2].percent:g} before it"
            )
        return self

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan written in YAML or JSON.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        try:
            given = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidPlan(f"plan is not YAML: {_flat(str(error))}") from error
        if not _is_map(given):
            raise InvalidPlan(f"plan must be a mapping with `stages`, got {given!r:.60}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"plan: {complaint(error)}") from error

    def to_yaml(self) -> str:
        """Write the plan as a person would; `parse` reads it back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def share_at(self, stage: int) -> float:
        """Return the percent of users the candidate truly gets in stage `stage`, counted from 1."""
        return min(self.stages[stage - 1].percent, 100 - self.holdback)

    def advice(self) -> list[str]:
        """Return what a careful colleague would ask about a valid plan; empty when nothing."""
        asked = []
        if self.stages[0].percent > 50:
            asked.append(
                f"the first stage gives {self.stages[0].percent:g} % the candidate at once"
            )
        if not self.final_bake:
            asked.append("final_bake is 0: nothing watches the version after it is promoted")
        for number, stage in enumerate(self.stages[:-1], 1):
            if stage.bake < self.check_min:
                asked.append(f"stage {number} bakes less than one check ({spell(self.check_min)})")
        return asked


EXAMPLE = '{"name": "greeting", "prompt_type": "system", "candidate": "1.1.0", "plan": "standard"}'


class RolloutRequest(Value):
    """What a person asks for: the small JSON that starts a rollout.

    Attributes:
        candidate: The version to roll out, `x.y.z`.
        plan: A preset's name or a whole plan.
        by: Who asks. reason: And why.
    """

    name: Label
    prompt_type: Label
    candidate: Label
    plan: RolloutPlan
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)

    @field_validator("plan", mode="before")
    @classmethod
    def _preset(cls, plan: object) -> object:
        return preset(plan) if isinstance(plan, str) else plan

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read the JSON that starts a rollout.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        if not isinstance(given, dict):
            raise InvalidPlan(f"request must be an object like {EXAMPLE}, got {given!r:.80}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"request: {complaint(error)}") from error


def preset(name: str) -> RolloutPlan:
    """Return the plan of that name.

    Raises:
        InvalidPlan: There is none.
    """
    if name not in PRESETS:
        raise InvalidPlan(
            f"unknown plan {name!r}: give one of {', '.join(PRESETS)}, or a whole plan"
        )
    return PRESETS[name]


def complaint(error: ValidationError) -> str:
    """Return pydantic's findings in one line: field, what is wrong, the value given."""
    return "; ".join(_finding(found) for found in error.errors(include_url=False))


def _finding(found: ErrorDetails) -> str:
    where = ".".join(str(part) for part in found["loc"])
    what = found["msg"].removeprefix("Value error, ").replace("Input should", "must")
    shown = f", got {_flat(repr(found['input'])):.60}" if _shows(found) else ""
    return f"{where}: {what}{shown}" if where else f"{what}{shown}"


def _shows(found: ErrorDetails) -> bool:
    """Our own messages show the value where it helps; a missing field has none."""
    return found["type"] not in {"value_error", "missing"}


def _flat(text: str) -> str:
    return " ".join(text.split())


def _stages(*steps: tuple[float, str]) -> tuple[Stage, ...]:
    return tuple(Stage.model_validate({"percent": p, "bake": b}) for p, b in steps)


DAY = "24h"
PRESETS = {
    plan.name: plan
    for plan in (
        RolloutPlan(
            name="conservative",
            stages=_stages((1, DAY), (5, DAY), (10, DAY), (25, "48h"), (50, "48h"), (100, "0s")),
        ),
        RolloutPlan(name="standard", stages=_stages((5, "12h"), (25, DAY), (50, DAY), (100, "0s"))),
        RolloutPlan(name="aggressive", stages=_stages((10, "4h"), (50, "8h"), (100, "0s"))),
        RolloutPlan(
            name="demo",
            stages=_stages((10, "5s"), (50, "5s"), (100, "3s")),
            check_min=timedelta(seconds=1),
            check_max=timedelta(seconds=2),
            final_bake=timedelta(seconds=4),
        ),
    )
}
