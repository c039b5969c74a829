"""What a person may ask of an experiment, and how it is read from whatever they sent."""

import json
from enum import StrEnum
from typing import Self

from pydantic import Field, JsonValue, ValidationError

from workflows.commands import Command


class Verb(StrEnum):
    """What a person may ask."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CONCLUDE = "conclude"
    DEPLOY = "deploy"


class Choice(Command):
    """What somebody asked, why, and for which version if they named one."""

    version: str = Field(default="", max_length=200)

    @classmethod
    def read(cls, verb: Verb, given: JsonValue) -> Self:
        """Read what a message brought: nothing, a text, or an object.

        A text is the version to deploy; to every other verb it is the reason.

        Raises:
            ValueError: One line for the operator who sent it.
        """
        field = "version" if verb is Verb.DEPLOY else "reason"
        try:
            choice = cls.model_validate({field: given} if isinstance(given, str) else given or {})
        except ValidationError as error:
            raise ValueError(_allowed(verb, given)) from error
        if choice.version and verb not in (Verb.DEPLOY, Verb.CONCLUDE):
            raise ValueError(_allowed(verb, given))
        return choice


def _allowed(verb: Verb, given: JsonValue) -> str:
    version = '"version": "1.1.0", ' if verb in (Verb.DEPLOY, Verb.CONCLUDE) else ""
    shown = json.dumps(given, default=str)[:80]
    return f'it takes nothing, a text, or {{{version}"reason": "…", "by": "…"}}, got {shown}'
