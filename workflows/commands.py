"""What a person may ask of a rollout, and how it is read from whatever they sent."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from domain.record import Kind


class Verb(StrEnum):
    """What a person may ask."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    APPROVE = "approve"
    ROLLBACK = "rollback"


KINDS = {
    Verb.PAUSE: Kind.PAUSED,
    Verb.RESUME: Kind.RESUMED,
    Verb.PROMOTE: Kind.HURRIED,
    Verb.APPROVE: Kind.APPROVED,
}


class Command(BaseModel):
    """What somebody asked, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read what a message brought: nothing, a text, or an object.

        Raises:
            ValueError: One line for the operator who sent it.
        """
        try:
            return cls.model_validate({"reason": given} if isinstance(given, str) else given or {})
        except ValidationError as error:
            shown = json.dumps(given, default=str)[:80]
            allowed = 'nothing, a text, or {"reason": "…", "by": "…"}'
            raise ValueError(f"it takes {allowed}, got {shown}") from error

    def __str__(self) -> str:
        """Say it as the journal does."""
        return f"{self.by or 'somebody'}" + (f": {self.reason}" if self.reason else "")


def only(given: Sequence[JsonValue]) -> JsonValue:
    """Return the one input of a message, None when there is none; several are read as a list."""
    return list(given) if len(given) > 1 else given[0] if given else None
