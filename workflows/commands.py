"""What a person may ask of a rollout, and how it is read from whatever they sent."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from domain.duration import Duration
from domain.record import Kind

KEY_LENGTH = 200  # characters


class Verb(StrEnum):
    """What a person may ask."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    SKIP = "skip"
    APPROVE = "approve"
    EXTEND = "extend"
    AMEND = "amend"
    ROLLBACK = "rollback"


KINDS = {
    Verb.PAUSE: Kind.PAUSED,
    Verb.RESUME: Kind.RESUMED,
    Verb.PROMOTE: Kind.HURRIED,
    Verb.SKIP: Kind.SKIPPED,
    Verb.APPROVE: Kind.APPROVED,
}


class Command(BaseModel):
    """What somebody asked, and why.

    Attributes:
        key: Idempotency key: what carries a known one was followed already; "" is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_is: ClassVar[str] = "reason"  # what a bare text means
    more: ClassVar[str] = ""  # what an object may say besides

    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)
    key: str = Field(default="", max_length=KEY_LENGTH)

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read what a message brought: nothing, a text, or an object.

        Raises:
            ValueError: One line for the operator who sent it.
        """
        try:
            asked = {cls.text_is: given} if isinstance(given, str) else given or {}
            return cls.model_validate(asked)
        except ValidationError as error:
            shown = json.dumps(given, default=str)[:80]
            allowed = f'nothing, a text, or {{{cls.more}"reason": "…", "by": "…"}}'
            raise ValueError(f"it takes {allowed}, got {shown}") from error

    @property
    def asks(self) -> str:
        """What is asked, without who, why and key; the same for the same."""
        return self.model_dump_json(exclude={"by", "reason", "key"})

    def __str__(self) -> str:
        """Say it as the journal does."""
        return f"{self.by or 'somebody'}" + (f": {self.reason}" if self.reason else "")


class Promotion(Command):
    """To the next stage, or `full`: to the last one and into production."""

    more: ClassVar[str] = '"full": true, '

    full: bool = Field(default=False, strict=True)


class Skip(Command):
    """Past the next stage, or to stage `to`, counted from 1."""

    more: ClassVar[str] = '"to": 3, '

    to: int | None = Field(default=None, ge=1, le=50, strict=True)


class Extension(Command):
    """So much longer is the bake; a bare text says that."""

    text_is: ClassVar[str] = "longer"
    more: ClassVar[str] = '"longer": "2h", '

    longer: Duration = timedelta(0)


class Change(Command):
    """Another plan, or single values of it, as `domain.amendment.Amendment` reads them.

    A bare text is a preset's name.
    """

    text_is: ClassVar[str] = "plan"
    more: ClassVar[str] = '"plan": …, "set": {"final_bake": "2h"}, '

    plan: str | dict[str, JsonValue] | None = None
    set: dict[str, JsonValue] = {}

    @property
    def wish(self) -> dict[str, JsonValue]:
        """What is to change, and nothing else."""
        return {"plan": self.plan, "set": self.set}


COMMANDS: Mapping[Verb, type[Command]] = {
    Verb.PROMOTE: Promotion,
    Verb.SKIP: Skip,
    Verb.EXTEND: Extension,
    Verb.AMEND: Change,
}


def read(verb: Verb, given: JsonValue) -> Command:
    """Read what a message of that verb brought.

    Raises:
        ValueError: One line for the operator who sent it.
    """
    return COMMANDS.get(verb, Command).parse(given)


def update_id(verb: str, command: Command) -> str | None:
    """Return the id by which the server, too, knows an update sent again; None without a key.

    What is asked is part of it: else the server would answer another question by the first answer.
    """
    if not command.key:
        return None
    asked = sha256(command.asks.encode()).hexdigest()[:8]
    return f"{verb}/{asked}/{command.key}"


def only(given: Sequence[JsonValue]) -> JsonValue:
    """Return the one input of a message, None when there is none; several are read as a list."""
    return list(given) if len(given) > 1 else given[0] if given else None
