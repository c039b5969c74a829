"""The values a rollout is made of: immutable, no I/O, no clock. Presets included."""

from datetime import timedelta
from typing import Self

import yaml
from pydantic import (
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain.bundles.companions import Companions, refuse_repeated
from domain.duration import Duration, Tick, spell
from domain.errors import InvalidPlan
from domain.guardrail import Doubt, Guardrail, GuardrailKind, Level
from domain.instants import Instant
from domain.policy import Mismatch, Policy, PromoteWhen
from domain.stage import Stage as Stage
from domain.value import Label, Value, complaint, flat, is_map
from domain.windows.deadline import Deadline, WhenLate
from domain.windows.opening import refuse_unknown_zone
from domain.windows.plan import Windows
from domain.windows.start import refuse_after_deadline


class RolloutPlan(Value):
    """How a candidate replaces the version in production.

    Histories of running rollouts hold this as JSON: give every new field a default.

    Attributes:
        name: How it is shown in lists and journals.
        stages: Rising percents, the last one 100.
        guardrails: What is judged at every check; at least one. A name alone is enough:
            `guardrails: [success, response_time]`. The first one matters most.
        alpha: Chance, over the whole rollout and all guardrails, however often they are looked at,
            to roll back a version that does no harm; in (0, 1).
        promote_when: `not_harmed`: enough was seen, and no harm; `safe`: shown not to be worse by
            more than each guardrail's margin.
        blind_after: How long a guardrail may be unreadable before its `when_blind` counts.
        no_traffic_after: How long nobody may come before its `when_no_traffic` counts.
        when_mismatch: What to do when users are not split as they should be: hold (never a
            promotion), roll back, or only warn. Harm rolls back in any case.
        check_min: Wait before the first check after a ramp, at least 0.5 s;
            each later wait is half as long again.
        check_max: The longest wait between two checks.
        final_bake: How long the promoted version is still watched at 100 %.
        when_orphaned: What to do when its workflow is gone: terminated, deleted, failed.
        holdback: Percent of users kept on the baseline while the last stage is watched, so that
            there is somebody to compare with; 0 <= holdback < 50. Completion moves them.
        windows: When it may advance; harm rolls back at any time. By default always.
        deadline: By when it has to be promoted: so long after its opening, or an instant.
        when_late: What to do if it is not by then: hold until a person promotes, or roll back.
    """

    name: Label = "custom"
    stages: tuple[Stage, ...] = Field(max_length=50)
    guardrails: tuple[Guardrail, ...] = Field(default=(Guardrail(),), max_length=20)
    alpha: Level = 0.05
    promote_when: PromoteWhen = PromoteWhen.NOT_HARMED
    blind_after: Duration = timedelta(minutes=15)
    no_traffic_after: Duration = timedelta(hours=24)
    when_mismatch: Mismatch = "hold"
    check_min: Tick = timedelta(seconds=5)
    check_max: Tick = timedelta(minutes=5)
    final_bake: Duration = timedelta(minutes=30)
    holdback: float = Field(default=1.0, ge=0, lt=50)
    when_orphaned: Doubt = "roll_back"
    windows: Windows = Windows()
    deadline: Deadline | None = None
    when_late: WhenLate = "roll_back"

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

    @model_validator(mode="after")
    def _affordable(self) -> Self:
        """Refuse guardrails that spend more than there is, or watch one thing twice."""
        spent = sum(guardrail.alpha or 0.0 for guardrail in self.guardrails if guardrail.weighs)
        free = [g for g in self.guardrails if g.weighs and g.alpha is None]
        if spent > self.alpha * (1 + 1e-9) or (free and spent >= self.alpha):
            shares = "and leave nothing to the others" if free else "more than there is"
            raise ValueError(f"guardrails spend {spent:g} of alpha {self.alpha:g}, {shares}")
        watched = [(g.metric, g.kind, g.quantile) for g in self.guardrails]
        for twice in {one for one in watched if watched.count(one) > 1}:
            raise ValueError(f"guardrails name {twice[0]} of kind {twice[1]} twice")
        return self

    @model_validator(mode="after")
    def _comparable(self) -> Self:
        """Refuse evidence for which there is nobody to compare with."""
        alone = self.holdback == 0 and self.stages[0].percent == 100
        for guardrail in self.guardrails if alone else ():
            if guardrail.kind is GuardrailKind.EVIDENCE and guardrail.floor is None:
                raise ValueError(
                    f"guardrail {guardrail.metric} compares with the control, but the first stage"
                    " gives everybody the candidate: keep a holdback, or give a floor or a limit"
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
            raise InvalidPlan(f"plan is not YAML: {flat(str(error))}") from error
        if not is_map(given):
            raise InvalidPlan(f"plan must be a mapping with `stages`, got {given!r:.60}")
        try:
            found = cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"plan: {complaint(error)}") from error
        refuse_unknown_zone(found.windows, where="plan: windows")
        return found

    def to_yaml(self) -> str:
        """Write the plan as a person would; `parse` reads it back unchanged."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def share_at(self, stage: int) -> float:
        """Return the percent of users the candidate truly gets in stage `stage`, counted from 1."""
        return min(self.stages[stage - 1].percent, 100 - self.holdback)

    def policy_at(self, stage: int) -> Policy:
        """Return what stage `stage`, from 1, is judged by; the final bake as the last one."""
        step = self.stages[max(stage, 1) - 1]
        return Policy(
            guardrails=self.guardrails,
            alpha=self.alpha,
            promote_when=step.promote_when or self.promote_when,
            blind_after=self.blind_after,
            no_traffic_after=self.no_traffic_after,
            when_mismatch=self.when_mismatch,
            max_bake=step.max_bake,
        )

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
        name: Of the prompt: what stands before the dot of its flag key.
        prompt_type: What stands behind it.
        candidate: The version to roll out, `x.y.z`.
        plan: A preset's name or a whole plan.
        by: Who asks.
        reason: Why; it is kept in the journal.
        companions: Other prompts that go along: one ramp, one verdict, all or nothing; at most 20.
        start_at: When it is to be opened; by default at once, as when that has passed.
    """

    name: Label
    prompt_type: Label
    candidate: Label
    plan: RolloutPlan
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)
    companions: Companions = ()
    start_at: Instant | None = None

    @model_validator(mode="after")
    def _once_and_in_time(self) -> Self:
        refuse_repeated(self, self.companions)
        refuse_after_deadline(self.start_at, self.plan.deadline)
        return self

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
            found = cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"request: {complaint(error)}") from error
        refuse_unknown_zone(found.plan.windows, where="request: plan.windows")
        return found


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
