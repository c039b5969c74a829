"""How long things are kept. Pure values."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, ValidationError

from domain.duration import Duration, spell
from domain.errors import InvalidPlan
from domain.limits import MAX_AGE
from domain.value import Frozen, Value, complaint

DAY = timedelta(days=1)
# An event that is sent again is told by its row; without one, by being too old to be counted.
SHORTEST = MAX_AGE + DAY


def _long_enough(age: timedelta) -> timedelta:
    if age < SHORTEST:
        counted = f"events up to {spell(MAX_AGE)} old are counted, and only rows tell repeated ones"
        raise ValueError(f"must be at least {spell(SHORTEST)}, got {spell(age)}: {counted}")
    return age


def _a_day(age: timedelta) -> timedelta:
    if age < DAY:
        raise ValueError(f"must be at least {spell(DAY)}, got {spell(age)}")
    return age


class Retention(Value):
    """How long what may be deleted is kept; None keeps it for ever.

    Counts, cells, decisions and journals are kept for good, whatever the plan.

    Attributes:
        events: Raw events, from when they happened: 31 days to 365.
        users: Who took part in an experiment, and was observed there, from its end: 1 day to 365.
        evidence: What each check of a rollout and each look of a trial rested on, from the
            conclusion: 1 day to 365. Without it verdicts cannot be made again.
        notifications: What became of each, from when it happened: 1 day to 365. One that nobody
            has taken by then is deleted with the others.
    """

    events: Annotated[Duration, AfterValidator(_long_enough)] | None = timedelta(days=90)
    users: Annotated[Duration, AfterValidator(_a_day)] | None = timedelta(days=90)
    evidence: Annotated[Duration, AfterValidator(_a_day)] | None = timedelta(days=365)
    notifications: Annotated[Duration, AfterValidator(_a_day)] | None = timedelta(days=30)

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read a plan as it was sent; nothing is the plan of the defaults.

        Raises:
            InvalidPlan: A field is unknown or out of its range.
        """
        try:
            return cls.model_validate({} if given is None else given)
        except ValidationError as error:
            raise InvalidPlan(f"retention: {complaint(error)}") from error

    def __str__(self) -> str:
        """Return `events 90d, users 90d, evidence for ever, notifications 30d`."""
        ages = {name: getattr(self, name) for name in type(self).model_fields}
        told = [f"{name} {spell(age) if age else 'for ever'}" for name, age in ages.items()]
        return ", ".join(told)


class Swept(Frozen):
    """How many rows were deleted.

    Attributes:
        evidence: Of checks and of looks.
    """

    events: int = Field(default=0, ge=0)
    observations: int = Field(default=0, ge=0)
    exposures: int = Field(default=0, ge=0)
    evidence: int = Field(default=0, ge=0)
    notifications: int = Field(default=0, ge=0)

    def plus(self, other: "Swept") -> "Swept":
        """Return both together."""
        names = type(self).model_fields
        return Swept(**{name: getattr(self, name) + getattr(other, name) for name in names})
