"""What updates answer."""

from typing import NoReturn

from pydantic import BaseModel, ConfigDict
from temporalio.exceptions import ApplicationError


class Answer(BaseModel):
    """What an update answers; a refusal is the update's failure and says why."""

    model_config = ConfigDict(frozen=True)

    accepted: bool = True
    said: str = ""


class Changed(Answer):
    """What a change to the plan answers: a line for each value, `stages.2.bake: 8h → 2h`."""

    changes: tuple[str, ...] = ()


def refused(why: str) -> NoReturn:
    """Refuse an update.

    Raises:
        ApplicationError: Always; the text is for the operator who asked.
    """
    raise ApplicationError(why, type="Refused", non_retryable=True)
