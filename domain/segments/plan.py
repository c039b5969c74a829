"""Segments of a prompt's users: who belongs to one, and in which order they get a new version.

A segment is served by its *lane*: the prompt `<name>_<segment>`, with a routing, versions,
experiments and rollouts of its own.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

import yaml
from pydantic import Field, JsonValue, ValidationError, field_validator

from domain.duration import Duration
from domain.errors import InvalidPlan, InvalidValue
from domain.plan import RolloutPlan, preset
from domain.segments.rule import Attributes, Rule
from domain.value import Frozen, Label, Value, complaint, flat

EVERYBODY = ""  # the name of the last ring: all who are in no segment

Name = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[A-Za-z0-9-]+$")]


class Segment(Value):
    """Users of a prompt that a rule is true of, unless an earlier segment has them.

    Attributes:
        name: Letters, digits and `-`; the lane of prompt `greeting` is `greeting_<name>`.
        rule: CEL on the user's attributes and `user_id`.
        order: Counted from 1; the first segment whose rule matches has the user.
    """

    name: Name
    rule: str
    order: int = Field(default=1, ge=1)

    @field_validator("rule")
    @classmethod
    def _compiles(cls, rule: str) -> str:
        return Rule.parse(rule).text

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read a segment.

        Raises:
            InvalidValue: One line that names the field, the value and what is allowed.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidValue(f"segment {complaint(error)}") from error


@dataclass(frozen=True, slots=True)
class Audience:
    """The segments of one prompt, compiled, in order."""

    segments: tuple[Segment, ...]
    rules: tuple[tuple[str, Rule], ...]

    @classmethod
    def of(cls, segments: Sequence[Segment]) -> Self:
        """Compile the rules; one that this version of CEL does not know any more never matches."""
        rules = []
        for segment in segments:
            with suppress(InvalidValue):
                rules.append((segment.name, Rule.parse(segment.rule)))
        return cls(tuple(segments), tuple(rules))

    def segment_of(self, user_id: str, attributes: Attributes) -> str | None:
        """Return the first segment whose rule matches. Never raises."""
        return next((name for name, rule in self.rules if rule.matches(user_id, attributes)), None)


class OnFailure(StrEnum):
    """What becomes of the rings already promoted when one is not."""

    STOP = "stop"  # they stay
    ROLL_BACK_ALL = "roll_back_all"  # they return to what they had, the last one first


class Ring(Value):
    """One segment's turn.

    Attributes:
        segment: Its name.
        plan: A preset's name or a whole plan; by default the plan of all.
    """

    segment: Name
    plan: RolloutPlan | None = None

    @field_validator("plan", mode="before")
    @classmethod
    def _preset(cls, plan: object) -> object:
        return preset(plan) if isinstance(plan, str) else plan


class SegmentedPlan(Value):
    """How a candidate goes from segment to segment.

    Attributes:
        segments: In the order of their turns, names or `{segment, plan}`; none means every segment
            that is defined, in the order of definition.
        plan: Of every ring that has none of its own; a preset's name or a whole plan.
        pause_between: Wait between the end of one ring and the start of the next.
        on_failure: What becomes of the promoted rings when one is rolled back or refused.
        everyone: Whether the last ring is the prompt itself: all who are in no segment.
    """

    segments: tuple[Ring, ...] = Field(default=(), max_length=50)
    plan: RolloutPlan = Field(default_factory=lambda: preset("standard"))
    pause_between: Duration = timedelta(0)
    on_failure: OnFailure = OnFailure.STOP
    everyone: bool = True

    @field_validator("plan", mode="before")
    @classmethod
    def _preset(cls, plan: object) -> object:
        return preset(plan) if isinstance(plan, str) else plan

    @field_validator("segments", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        if not isinstance(given, list | tuple):
            return given
        return [{"segment": each} if isinstance(each, str) else each for each in given]

    @field_validator("segments")
    @classmethod
    def _once(cls, rings: tuple[Ring, ...]) -> tuple[Ring, ...]:
        names = [ring.segment for ring in rings]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"segment {twice[0]!r} is named twice")
        return rings

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a plan written in YAML or JSON.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        try:
            return cls.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise InvalidPlan(f"plan is not YAML: {flat(str(error))}") from error
        except ValidationError as error:
            raise InvalidPlan(f"plan: {complaint(error)}") from error


EXAMPLE = (
    '{"name": "greeting", "prompt_type": "system", "candidate": "1.1.0",'
    ' "plan": {"segments": ["internal", "beta"], "plan": "standard"}}'
)


class SegmentedRequest(Value):
    """The small JSON that starts a segmented rollout.

    Attributes:
        plan: A `SegmentedPlan`, or a preset's name for all defined segments and everybody else.
    """

    name: Label
    prompt_type: Label
    candidate: Label
    plan: SegmentedPlan = SegmentedPlan()
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)

    @field_validator("plan", mode="before")
    @classmethod
    def _preset(cls, plan: object) -> object:
        return {"plan": plan} if isinstance(plan, str) else plan

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read the JSON that starts a segmented rollout.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        if not isinstance(given, dict):
            raise InvalidPlan(f"request must be an object like {EXAMPLE}, got {given!r:.80}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"request: {complaint(error)}") from error


class OpenRing(Frozen):
    """A ring as it will be rolled out.

    Attributes:
        segment: Its segment; empty for everybody else.
        name: Of the prompt that serves it: the lane, or the prompt itself.
        already: The candidate is in production there, so the ring is passed over.
    """

    segment: str
    name: str
    plan: RolloutPlan
    already: bool = False


class Opening(Frozen):
    """What opening a segmented rollout found: the request, resolved and checked."""

    name: str
    prompt_type: str
    candidate: str
    rings: tuple[OpenRing, ...]
    pause_between: timedelta = timedelta(0)
    on_failure: OnFailure = OnFailure.STOP
    by: str = ""
    reason: str = ""


def lane_name(name: str, segment: str) -> str:
    """Return the name of the prompt that serves the segment; of everybody, the prompt's own."""
    return f"{name}_{segment}" if segment else name
