"""What may change in the plan of a live rollout, and what does. Pure.

Legal is what leaves true what was promised: users keep their version, what was reached was reached
as planned, and the chance to roll back a harmless version does not grow.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Self

from pydantic import Field, JsonValue, ValidationError, field_validator

from domain.errors import InvalidPlan
from domain.guardrail import Guardrail
from domain.plan import RolloutPlan, Stage, preset
from domain.value import Frozen, Value, complaint, is_map

NUMBERED = ("stages", "guardrails")  # told one by one
MOST = 100  # values that one amendment sets


class Amendment(Value):
    """What somebody wants changed.

    Attributes:
        plan: Another plan, whole, or a preset's name.
        set: Single values by their place, after that: `{"final_bake": "2h"}`. Stages and
            guardrails count from 1, as everywhere a person reads of them: `stages.2.bake`.
    """

    plan: RolloutPlan | None = None
    set: dict[str, JsonValue] = Field(default_factory=dict, max_length=MOST)

    @field_validator("plan", mode="before")
    @classmethod
    def _preset(cls, plan: object) -> object:
        return preset(plan) if isinstance(plan, str) else plan

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read what was sent.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        try:
            wish = cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(complaint(error)) from error
        if wish.plan is None and not wish.set:
            raise InvalidPlan('give a plan, or what to set: {"set": {"final_bake": "2h"}}')
        return wish

    def of(self, plan: RolloutPlan) -> RolloutPlan:
        """Return the plan as it is wanted.

        Raises:
            InvalidPlan: A place is none, or it would be no plan any more.
        """
        wanted: JsonValue = (self.plan or plan).model_dump(mode="json")
        for place, value in self.set.items():
            _put(wanted, place, value)
        try:
            return RolloutPlan.model_validate(wanted)
        except ValidationError as error:
            raise InvalidPlan(f"plan: {complaint(error, first=1)}") from error


class Amended(Frozen):
    """A change to the plan, as the journal keeps it.

    Attributes:
        checks: How many there had been: `before` is what they were judged by.
        diff: One line for each value that differs: `stages.2.bake: 8h → 2h`.
    """

    before: RolloutPlan
    after: RolloutPlan
    diff: tuple[str, ...]
    checks: int = 0


def plan_at(plan: RolloutPlan, amended: Sequence[Amended], number: int) -> RolloutPlan:
    """Return the plan by which check `number` was judged.

    Args:
        plan: As it is now.
        amended: What was changed, oldest first.
        number: Of the check, counted from 1.
    """
    later = (change.before for change in amended if change.checks >= number)
    return next(later, plan)


def objection(
    before: RolloutPlan, after: RolloutPlan, *, reached: int, fired: Collection[str] = ()
) -> str:
    """Return why the plan may not become the other; empty when it may.

    Args:
        before: As it is followed.
        after: As it is wanted.
        reached: The stage that is running, from 1; 0 before the first ramp.
        fired: Names of guardrails that were ever read as harmed, those that only hold included.
    """
    if before == after:
        return "it changes nothing: the plan is like that already"
    if after.alpha > before.alpha:
        return f"alpha {before.alpha:g} → {after.alpha:g} widens the chance of a false alarm"
    return (
        _on_stages(before.stages, after.stages, reached)
        or _on_holdback(before, after, reached)
        or _on_fired(before, after, fired)
    )


def _on_stages(before: Sequence[Stage], after: Sequence[Stage], reached: int) -> str:
    """What was reached stays; of what is running, all but the percent may change."""
    planned, wanted = ([stage.percent for stage in stages] for stages in (before, after))
    for number, stage in enumerate(before[:reached], 1):
        called = f"stage {number} ({stage.percent:g} %)"
        if number < reached and (len(after) < number or after[number - 1] != stage):
            return f"it changes {called}, which is over"
        if wanted[number - 1 : number] == [stage.percent]:
            continue
        there = wanted[number - 1] if len(wanted) >= number else 0.0
        if stage.percent in wanted:
            return f"it adds a stage before {called}, which is running"
        if there in planned or not there:
            return f"it removes {called}, which is running"
        if there < stage.percent:
            return f"it lowers {called}, which is running, to {there:g} %: roll back instead"
        return f"it raises {called}, which is running, to {there:g} %: promote instead"
    return ""


def _on_holdback(before: RolloutPlan, after: RolloutPlan, reached: int) -> str:
    if reached < len(before.stages) or before.holdback == after.holdback:
        return ""
    held = f"holdback {before.holdback:g} → {after.holdback:g}"
    return f"{held} would move users: the last stage was reached with the present one"


def _on_fired(before: RolloutPlan, after: RolloutPlan, fired: Collection[str]) -> str:
    """What has shown harm says so for good: it is neither removed nor changed, nor asked for more.

    A stricter alpha would ask it for more evidence.
    """
    shown = [guardrail for guardrail in before.guardrails if guardrail.name in fired]
    for guardrail in shown:
        if guardrail not in after.guardrails:
            return f"guardrail {guardrail.name} has shown harm: it stays as it is"
        if after.alpha != before.alpha:
            return f"guardrail {guardrail.name} has shown harm: alpha {before.alpha:g} stays"
    return ""


def diff(before: RolloutPlan, after: RolloutPlan) -> tuple[str, ...]:
    """Return one line for each value that differs, in the order of the plan."""
    return tuple(_lines(before, after))


def _lines(before: RolloutPlan, after: RolloutPlan) -> Iterator[str]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    for name in type(after).model_fields:
        if name == "stages":
            yield from _of_stages(before.stages, after.stages)
        elif name == "guardrails":
            yield from _of_guardrails(before.guardrails, after.guardrails)
        else:
            yield from _values(name, old[name], new[name])


def _of_stages(before: Sequence[Stage], after: Sequence[Stage]) -> Iterator[str]:
    ramps = [", ".join(f"{stage.percent:g}" for stage in stages) for stages in (before, after)]
    if ramps[0] != ramps[1]:
        yield f"stages: {ramps[0]} → {ramps[1]} percent"
    known = {stage.percent: stage for stage in before}
    for number, stage in enumerate(after, 1):
        then = known.get(stage.percent, Stage(percent=stage.percent))
        yield from _values(f"stages.{number}", _dumped(then), _dumped(stage))


def _of_guardrails(before: Sequence[Guardrail], after: Sequence[Guardrail]) -> Iterator[str]:
    known, wanted = ({(g.name, g.kind): g for g in some} for some in (before, after))
    for key, guardrail in known.items():
        if key not in wanted:
            yield f"guardrails: without {guardrail.name}"
    for number, (key, guardrail) in enumerate(wanted.items(), 1):
        then = known.get(key)
        if then is None:
            yield f"guardrails.{number}: {guardrail.name} is added"
        elif then != guardrail:
            yield from _values(f"guardrails.{number}", _dumped(then), _dumped(guardrail))
    if [*known] != [*wanted] and {*known} == {*wanted}:
        names = [", ".join(g.name for g in some) for some in (before, after)]
        yield f"guardrails: {names[0]} → {names[1]}"


def _dumped(value: Value) -> JsonValue:
    dumped: JsonValue = value.model_dump(mode="json")
    return dumped


def _values(place: str, old: JsonValue, new: JsonValue) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            yield from _values(f"{place}.{name}", old.get(name), new.get(name))
    else:
        yield f"{place}: {_shown(old)} → {_shown(new)}"


def _shown(value: JsonValue) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _put(plan: JsonValue, place: str, value: JsonValue) -> None:
    """Set the value at the place, or say which part of the place is none."""
    *way, last = place.split(".")
    here = plan
    for part in way:
        here = _in(here, part, place)
    if isinstance(here, list):
        here[_index(here, last, place)] = value
    elif is_map(here) and (way or last in RolloutPlan.model_fields):
        here[last] = value
    else:
        raise InvalidPlan(f"set {place}: {_not_there(here, last)}")


def _in(here: JsonValue, part: str, place: str) -> JsonValue:
    if isinstance(here, list):
        return here[_index(here, part, place)]
    if isinstance(here, dict) and part in here:
        return here[part]
    raise InvalidPlan(f"set {place}: {_not_there(here, part)}")


def _index(here: list[JsonValue], part: str, place: str) -> int:
    if not (part.isdecimal() and 1 <= int(part) <= len(here)):
        raise InvalidPlan(f"set {place}: {part!r} is none of 1 to {len(here)}")
    return int(part) - 1


def _not_there(here: JsonValue, part: str) -> str:
    known = f": known are {', '.join(here)}" if isinstance(here, dict) else ""
    return f"there is no {part!r}{known}"
