"""What the variables of a template must be: rules in the words of JSON Schema, and their check."""

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import SchemaError

from domain.errors import InvalidValue
from domain.prompts import Json
from domain.templates.filters import to_json
from domain.value import Value, complaint, flat

DEPTH = 20  # of lists and objects within one another

Scalar = str | int | float | bool | None
Length = Annotated[int, Field(ge=0)]


class Kind(StrEnum):
    """JSON Schema's types; an `integer` is a `number` too, a `boolean` is neither."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


KINDS: dict[Kind, type | tuple[type, ...]] = {
    Kind.STRING: str,
    Kind.INTEGER: int,
    Kind.NUMBER: (int, float),
    Kind.BOOLEAN: bool,
    Kind.ARRAY: list,
    Kind.OBJECT: dict,
}


class Rule(Value):
    """What one variable must be. A rule that is not given allows everything.

    Attributes:
        required: It must have a value, of the caller or by default; also where an `if` of the
            template could do without.
        type: Of its value.
        enum: All values it may have.
        min_length: Of a text in characters, of a list or an object in entries.
        max_length: As `min_length`.
        pattern: What a text must hold somewhere, of the syntax of Rust's `regex`: it takes linear
            time. `^` and `$` make it the whole.
        minimum: Of a number.
        maximum: Of a number.
    """

    required: bool = False
    type: Kind | None = None
    enum: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    min_length: Length | None = None
    max_length: Length | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _can_be_checked(self) -> Self:
        if self.pattern is not None:
            _expression(self.pattern)
        return self

    def problem(self, value: object) -> str | None:
        """Return what the value must be, if it is not."""
        checks = (self._of_kind, self._of_enum, self._of_length, self._of_pattern, self._of_range)
        return next((wrong for check in checks if (wrong := check(value))), None)

    def _of_kind(self, value: object) -> str | None:
        return f"be of type {self.type}" if self.type and not _is(self.type, value) else None

    def _of_enum(self, value: object) -> str | None:
        known = self.enum is None or any(
            type(one) is type(value) and one == value for one in self.enum
        )
        return None if known else f"be one of {', '.join(map(to_json, self.enum or ()))}"

    def _of_length(self, value: object) -> str | None:
        least, most = self.min_length or 0, self.max_length
        if isinstance(value, str | list | dict) and len(value) < least:
            return f"have a length of at least {least}"
        if isinstance(value, str | list | dict) and most is not None and len(value) > most:
            return f"have a length of at most {most}, not {len(value)}"
        return None

    def _of_pattern(self, value: object) -> str | None:
        if self.pattern is None or not isinstance(value, str):
            return None
        try:
            _expression(self.pattern).validate_python(value)
        except ValidationError:
            return f"match {self.pattern}"
        return None

    def _of_range(self, value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if self.minimum is not None and value < self.minimum:
            return f"be at least {self.minimum:g}"
        if self.maximum is not None and value > self.maximum:
            return f"be at most {self.maximum:g}"
        return None


def rules_of(validation: Json | None) -> dict[str, Rule]:
    """Return the rules of a version's `validation`: by the name of the variable, its rule.

    Raises:
        InvalidValue: It names the variable, the field, the value and what is allowed.
    """
    return {name: _rule(name, given) for name, given in (validation or {}).items()}


def defaults_of(given: Mapping[str, Any], rules: Mapping[str, Rule]) -> Json:
    """Return a version's defaults as plain JSON.

    Raises:
        InvalidValue: One is not JSON, or breaks its rule: it would fail whenever it is used.
    """
    try:
        defaults = plain(given)
        check({name: rule for name, rule in rules.items() if name in defaults}, defaults)
    except InvalidValue as error:
        raise InvalidValue(f"defaults: {error}") from error
    return defaults


def check(rules: Mapping[str, Rule], values: Mapping[str, Any]) -> None:
    """Refuse values that break a rule.

    Raises:
        InvalidValue: It names the variable, its value and what it must be.
    """
    for name, rule in rules.items():
        if name not in values:
            if rule.required:
                raise InvalidValue(f"variable {name!r} must be given")
        elif wrong := rule.problem(values[name]):
            got = to_json(values[name])
            raise InvalidValue(f"variable {name!r} must {wrong}, got {got:.60}")


def plain(values: Mapping[str, Any]) -> Json:
    """Return the values as plain JSON, so that nothing of Python is within reach of a template.

    Raises:
        InvalidValue: The variable that is named holds something else, or is nested more than 20
            deep.
    """
    return {str(name): _plain(value, name=str(name), depth=0) for name, value in values.items()}


def size(value: object) -> int:
    """Return how large plain JSON is: characters and entries together."""
    if isinstance(value, dict):
        return sum(1 + len(key) + size(part) for key, part in value.items())
    if isinstance(value, list):
        return sum(1 + size(part) for part in value)
    return len(value) if isinstance(value, str) else 1


def _rule(name: str, given: object) -> Rule:
    try:
        return Rule.model_validate(given)
    except ValidationError as error:
        raise InvalidValue(f"validation: {name!r}: {complaint(error)}") from error


def _plain(value: object, *, name: str, depth: int) -> Any:
    if depth > DEPTH:
        raise InvalidValue(f"variable {name!r} must be nested at most {DEPTH} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v, name=name, depth=depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, name=name, depth=depth + 1) for part in value]
    raise InvalidValue(f"variable {name!r} must be JSON, got {flat(repr(value)):.60}")


def _is(kind: Kind, value: object) -> bool:
    return isinstance(value, KINDS[kind]) and (kind is Kind.BOOLEAN or not isinstance(value, bool))


@lru_cache(512)
def _expression(pattern: str) -> TypeAdapter[str]:
    """Return what matches in linear time: Python's own `re` can be made to take for ever."""
    try:
        return TypeAdapter(Annotated[str, StringConstraints(pattern=pattern)])
    except SchemaError as error:
        raise ValueError(f"not a regular expression of Rust's regex: {pattern!r}") from error
