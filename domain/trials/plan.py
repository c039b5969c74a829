"""The values a trial is made of: an experiment with a plan, led to a conclusion. No I/O, no clock.

A trial ends by a rule on time and counts alone, never on outcomes: so the tests at its end, which
are asked once, hold.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Literal, Self

import yaml
from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from domain.duration import Duration, Tick, spell
from domain.errors import InvalidPlan
from domain.guardrail import BETTER, SUCCESS, Direction, Guardrail, Level, MetricName, Role
from domain.plan import RolloutPlan, preset
from domain.policy import Policy
from domain.split import EXACT, LOOSE
from domain.value import Label, Value, complaint, flat, is_map


class EndPolicy(StrEnum):
    """What follows when a trial is over."""

    ROLLOUT = "rollout"  # the winner is rolled out, stage by stage
    DEPLOY = "deploy"  # the winner goes to production at once
    KEEP = "keep"  # control stays, whoever won
    ASK = "ask"  # a person decides


class Variant(Value):
    """One arm.

    Attributes:
        version: Its number, `x.y.z`.
        weight: Its share of users, in (0, 1]; given for all variants or for none, which means
            equal shares.
        description: For whoever reads the results.
    """

    version: Label
    weight: float | None = Field(default=None, gt=0, le=1, strict=True)
    description: str = Field(default="", max_length=500)

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, given: object) -> object:
        """Read `1.1.0` for {version: 1.1.0}."""
        return {"version": given} if isinstance(given, str) else given


class ExperimentPlan(Value):
    """How versions are compared, for how long, and what follows.

    Histories of running trials hold this as JSON: give every new field a default.

    Attributes:
        variants: 2 to 10; a list, or a mapping from version to weight.
        control: The version the others are compared with; by default the first variant. It has to
            be in production.
        goal: The metric that decides.
        direction: Which way the goal is better; known of the built-in ones.
        per: What is one observation of the goal: the first outcome of each user, or each event.
        guardrails: What must not get worse, in any arm, than it is in control; an arm that is
            shown to be harmed is stopped early.
        alpha: Chance that one of several equally good arms wins, and chance that an arm that does
            no harm is stopped, each in (0, 1).
        min_duration: It never ends by itself before; pauses do not count.
        max_duration: It ends then at the latest, decided or not.
        min_sample: Observations of the goal that every arm needs, >= 1, to end before that.
        check_min: Wait before the first check; each later wait is half as long again.
        check_max: The longest wait between two checks.
        end: What follows.
        rollout_plan: How a winner is rolled out, a preset's name or a whole plan: for `end`
            rollout (by default standard), and for `ask`, where without it a person's choice goes to
            production at once.
    """

    variants: tuple[Variant, ...] = Field(max_length=10)
    control: Label | None = None
    goal: MetricName = SUCCESS
    direction: Direction | None = None
    per: Literal["user", "event"] = "user"
    guardrails: tuple[Guardrail, ...] = Field(default=(Guardrail(),), max_length=20)
    alpha: Level = 0.05
    min_duration: Duration = timedelta(days=7)
    max_duration: Duration = timedelta(days=28)
    min_sample: int = Field(default=1000, ge=1, le=10**9)
    check_min: Tick = timedelta(seconds=10)
    check_max: Tick = timedelta(minutes=15)
    end: EndPolicy = EndPolicy.ASK
    rollout_plan: RolloutPlan | None = None

    @field_validator("variants", mode="before")
    @classmethod
    def _mapping(cls, given: object) -> object:
        if is_map(given):
            return [{"version": version, "weight": weight} for version, weight in given.items()]
        return given

    @field_validator("rollout_plan", mode="before")
    @classmethod
    def _preset(cls, given: object) -> object:
        return preset(given) if isinstance(given, str) else given

    @field_validator("variants")
    @classmethod
    def _weighted(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        """Give every variant its share: they sum to 1 exactly."""
        versions = [variant.version for variant in variants]
        if len(versions) < 2:
            raise ValueError(f"an experiment needs at least 2, got {len(versions)}")
        if len(set(versions)) < len(versions):
            raise ValueError(f"versions must differ, got {', '.join(versions)}")
        weights = [variant.weight for variant in variants if variant.weight is not None]
        if weights and len(weights) < len(variants):
            raise ValueError("give every variant a weight, or none of them")
        total = sum(weights) if weights else float(len(variants))
        if weights and abs(total - 1) > LOOSE:
            raise ValueError(f"weights must sum to 1, got {total:g}")
        scale = 1.0 if abs(total - 1) <= EXACT else total
        return tuple(v.model_copy(update={"weight": (v.weight or 1) / scale}) for v in variants)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = [variant.version for variant in self.variants]
        if self.control is not None and self.control not in known:
            raise ValueError(f"control {self.control} is no variant: they are {', '.join(known)}")
        for less, more in (("min_duration", "max_duration"), ("check_min", "check_max")):
            least, most = getattr(self, less), getattr(self, more)
            if least > most:
                raise ValueError(f"{less} {spell(least)} is longer than {more} {spell(most)}")
        if self.max_duration <= timedelta(0):
            raise ValueError("max_duration must be more than 0s")
        if self.rollout_plan is not None and self.end in (EndPolicy.DEPLOY, EndPolicy.KEEP):
            raise ValueError(f"rollout_plan means nothing to end {self.end}")
        return self

    @model_validator(mode="after")
    def _has_direction(self) -> Self:
        known = BETTER.get(self.goal)
        if known is None and self.direction is None:
            raise ValueError(
                f"direction of goal {self.goal!r} is not known: give higher_is_better or"
                " lower_is_better"
            )
        if known is not None and self.direction not in (None, known):
            raise ValueError(f"direction of goal {self.goal} is {known}, got {self.direction}")
        return self

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        """Refuse guardrails that mean nothing here, or spend more than there is."""
        if not self.guardrails:
            raise ValueError("guardrails must name at least one: an arm that harms has to be found")
        if any(guardrail.role is Role.GOAL for guardrail in self.guardrails):
            raise ValueError("role goal is of rollouts: name the goal of an experiment in `goal`")
        watched = [(g.metric, g.kind, g.quantile) for g in self.guardrails]
        for twice in {one for one in watched if watched.count(one) > 1}:
            raise ValueError(f"guardrails name {twice[0]} of kind {twice[1]} twice")
        spent = sum(g.alpha or 0.0 for g in self.guardrails if g.weighs)
        free = any(g.weighs and g.alpha is None for g in self.guardrails)
        if spent > self.alpha * (1 + 1e-9) or (free and spent >= self.alpha):
            raise ValueError(f"guardrails spend {spent:g} of alpha {self.alpha:g}: too much")
        return self

    @property
    def arms(self) -> tuple[str, ...]:
        """All versions, control first."""
        versions = [variant.version for variant in self.variants]
        return tuple(sorted(versions, key=lambda version: version != self.baseline))

    @property
    def baseline(self) -> str:
        """The version of control."""
        return self.control or self.variants[0].version

    @property
    def treatments(self) -> tuple[str, ...]:
        """All versions but control."""
        return self.arms[1:]

    @property
    def shares(self) -> dict[str, float]:
        """Each version's share of users, control first, summing to 1."""
        weights = {variant.version: variant.weight or 0.0 for variant in self.variants}
        return {version: weights[version] for version in self.arms}

    @property
    def higher_is_better(self) -> bool:
        """Which way the goal is better."""
        return (self.direction or BETTER.get(self.goal)) is not Direction.LOWER

    @property
    def goal_is_rate(self) -> bool:
        """Whether the goal is a share of observations rather than a number."""
        return self.goal == SUCCESS

    @property
    def policy(self) -> Policy:
        """What each arm is judged by against control: its part of `alpha` (Bonferroni)."""
        arms = len(self.treatments)
        parts = [g.alpha / arms if g.alpha is not None else None for g in self.guardrails]
        guardrails = [
            guardrail.model_copy(update={"alpha": part})
            for guardrail, part in zip(self.guardrails, parts, strict=True)
        ]
        # The split of users is followed over all arms at once, not arm by arm.
        return Policy(guardrails=tuple(guardrails), alpha=self.alpha / arms, when_mismatch="warn")

    @property
    def rollout(self) -> RolloutPlan | None:
        """How a winner gets to production; None: at once."""
        if self.end is EndPolicy.ROLLOUT:
            return self.rollout_plan or preset("standard")
        return self.rollout_plan

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
            raise InvalidPlan(f"plan must be a mapping with `variants`, got {given!r:.60}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"plan: {complaint(error)}") from error


EXAMPLE = '{"name": "greeting", "prompt_type": "system", "plan": {"variants": ["1.0.0", "1.1.0"]}}'


class ExperimentRequest(Value):
    """What a person asks for: the small JSON that starts a trial.

    Attributes:
        by: Who asks.
        reason: Why; it is kept in the journal.
    """

    name: Label
    prompt_type: Label
    plan: ExperimentPlan
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)

    @property
    def prompt(self) -> str:
        """The flag key, `<name>.<prompt_type>`."""
        return f"{self.name}.{self.prompt_type}"

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read the JSON that starts a trial.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        if not isinstance(given, dict):
            raise InvalidPlan(f"request must be an object like {EXAMPLE}, got {given!r:.80}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"request: {complaint(error)}") from error
