"""What the operator's routes work with; Temporal is reached when it is needed, and not before."""

import json
from typing import Annotated, Any, Protocol

from fastapi import Depends, Header, Path, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from control.experiments import ExperimentControl
from control.monitors import MonitorControl
from control.picture import Viewer
from control.rollouts import Control
from control.segments import RingsControl
from domain.errors import InvalidValue
from domain.fields import check_label, check_prompt
from domain.limits import METADATA_DEPTH, is_too_deep
from domain.tokens import Token
from gateway.front import HOLDER


class Operators(Protocol):
    """The verbs of control. Each raises `Unreachable` while Temporal does not answer."""

    async def rollouts(self) -> Control:
        """Return the verbs for rollouts."""

    async def experiments(self) -> ExperimentControl:
        """Return the verbs for experiments."""

    async def monitors(self) -> MonitorControl:
        """Return the verbs for monitors."""

    async def rings(self) -> RingsControl:
        """Return the verbs for segmented rollouts."""

    async def viewer(self) -> Viewer:
        """Return what takes pictures of rollouts."""


def _holder(request: Request) -> Token:
    token: Token = request.scope[HOLDER]
    return token


Holder = Annotated[Token, Depends(_holder)]  # whose request it is, for the journal


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


Reason = Annotated[str, Field(max_length=2000), AfterValidator(_storable)]


def _label(text: str) -> str:
    check_label(text, field="it")
    return text


def _storable_json(value: dict[str, Any]) -> dict[str, Any]:
    if is_too_deep(value):
        raise ValueError(f"must have at most {METADATA_DEPTH} levels")
    try:
        text = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("must not contain lone surrogates") from error
    if b"\\u0000" in text:
        raise ValueError("must not contain NUL")
    return value


Label = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_label)]
Plan = Annotated[dict[str, Any], AfterValidator(_storable_json)]  # or any other JSON object
Flag = Annotated[
    str,
    Path(
        description="`<name>.<prompt_type>`, such as `greeting.system`.",
        examples=["greeting.system"],
    ),
]


Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="Sent again with the same key, a command counts once and answers as it did.",
    ),
]


class Body(BaseModel):
    """What is sent: a field that is not known is refused rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(BaseModel):
    """What a rollout, an experiment or a monitor answered."""

    said: str


def prompt_of(flag: str) -> tuple[str, str]:
    """Return name and type of a flag key.

    Raises:
        InvalidValue: It is none.
    """
    name, _, prompt_type = flag.rpartition(".")
    try:
        check_prompt(name, prompt_type)
    except InvalidValue as error:
        example = "a flag is <name>.<prompt_type>, such as greeting.system"
        raise InvalidValue(f"{example}: {error}") from error
    return name, prompt_type
