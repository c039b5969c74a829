"""Who goes along with the prompt that leads a bundle. Pure values."""

from collections.abc import Iterable
from typing import Annotated, Protocol

from pydantic import Field

from domain.value import Label, Value

MOST = 20  # companions: a step locks and changes every prompt of the bundle in one transaction


class Companion(Value):
    """A prompt whose candidate goes along.

    Attributes:
        name: Of the prompt: what stands before the dot of its flag key.
        prompt_type: What stands behind it.
        candidate: The version to roll out, `x.y.z`.
    """

    name: Label
    prompt_type: Label
    candidate: Label


Companions = Annotated[tuple[Companion, ...], Field(max_length=MOST)]


class Prompted(Protocol):
    """Whatever is about one prompt."""

    @property
    def name(self) -> str:
        """Of the prompt."""

    @property
    def prompt_type(self) -> str:
        """Of the prompt."""


def flag_of(one: Prompted) -> str:
    """Return the flag key, `<name>.<prompt_type>`."""
    return f"{one.name}.{one.prompt_type}"


def refuse_repeated(leader: Prompted, companions: Iterable[Prompted]) -> None:
    """Refuse a prompt that would be rolled out twice at once.

    Raises:
        ValueError: One line that names it.
    """
    seen = {flag_of(leader)}
    for number, companion in enumerate(companions):
        flag = flag_of(companion)
        if flag in seen:
            raise ValueError(f"companions.{number} names {flag} again: each prompt once")
        seen.add(flag)
