"""What every value of a plan is: immutable, strict, and told about in one line when it is wrong."""

from typing import Annotated, TypeGuard

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

Label = Annotated[str, Field(min_length=1, max_length=200)]


def is_map(given: object) -> TypeGuard[dict[str, object]]:
    """Say whether something read is a mapping."""
    return isinstance(given, dict)


class Value(BaseModel):
    """Frozen; a field it does not know is refused rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        unknown = [key for key in given if key not in known] if is_map(given) else []
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}: allowed are {', '.join(known)}")
        return given


class Frozen(BaseModel):
    """Frozen; unknown fields are ignored, so that older code reads what newer code wrote."""

    model_config = ConfigDict(frozen=True)


def complaint(error: ValidationError, *, first: int = 0) -> str:
    """Return pydantic's findings in one line: field, what is wrong, the value given.

    `first` is the number of the first of several, where it is read by somebody who counts so.
    """
    return "; ".join(_finding(found, first) for found in error.errors(include_url=False))


def _finding(found: ErrorDetails, first: int) -> str:
    parts = (part + first if isinstance(part, int) else part for part in found["loc"])
    where = ".".join(map(str, parts))
    what = found["msg"].removeprefix("Value error, ").replace("Input should", "must")
    shown = f", got {flat(repr(found['input'])):.60}" if _shows(found) else ""
    return f"{where}: {what}{shown}" if where else f"{what}{shown}"


def _shows(found: ErrorDetails) -> bool:
    """Our own messages show the value where it helps; a missing field has none."""
    return found["type"] not in {"value_error", "missing"}


def flat(text: str) -> str:
    """Return the text in one line."""
    return " ".join(text.split())
