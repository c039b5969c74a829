"""When a rollout may advance, as people write it: business hours and freezes. Values, no clock.

Rollouts that run carry these in their histories, so nothing here asks the database of time zones:
that differs between machines and releases. `opening` asks it.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from domain.value import Label, Value

MOST_HOURS = 50  # lines of business hours
MOST_FREEZES = 200
WEEK = 7 * 24 * 60  # minutes
YEARS = range(2000, 3000)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")


def _time_of_day(value: object) -> str:
    if not (isinstance(value, str) and TIME.fullmatch(value)):
        # YAML reads 17:00 without quotes as the number 1020
        raise ValueError(f'must be a local time in quotes, "00:00" to "24:00", got {value!r:.60}')
    return value.zfill(5)


def _moment(value: object) -> datetime:
    allowed = (
        "must be a date, a local time such as 2026-12-20T18:00, or an instant such as"
        f" 2026-12-20T18:00+01:00, got {str(value)!r:.60}"
    )
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(allowed) from error
    if isinstance(found, date) and not isinstance(found, datetime):
        found = datetime.combine(found, time())
    if not (isinstance(found, datetime) and found.year in YEARS):
        raise ValueError(allowed)
    return found


def _day(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


TimeOfDay = Annotated[str, BeforeValidator(_time_of_day)]  # HH:MM, so that later is greater
Moment = Annotated[datetime, BeforeValidator(_moment)]  # naive: local


class Hours(Value):
    """When a rollout may advance, every week.

    Attributes:
        days: On which each window begins.
        from_: `from`; the first minute that is open.
        until: The first minute that is not; before `from` it is of the next day.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    days: tuple[Annotated[Day, BeforeValidator(_day)], ...] = Field(
        default=DAYS[:5], min_length=1, max_length=7
    )
    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.from_ in (self.until, "24:00"):
            whole = 'the whole day is from "00:00" until "24:00"'
            raise ValueError(f"from {self.from_} until {self.until} is empty: {whole}")
        if len(set(self.days)) < len(self.days):
            raise ValueError(f"days name one twice: {', '.join(self.days)}")
        return self

    @property
    def overnight(self) -> bool:
        """Whether it ends on the day after."""
        return self.until < self.from_

    def holds(self, local: datetime) -> bool:
        """Say whether the clock on the wall shows one of these times."""
        shown, today, yesterday = f"{local:%H:%M}", DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if not self.overnight:
            return today in self.days and self.from_ <= shown < self.until
        begun = today in self.days and shown >= self.from_
        return begun or (yesterday in self.days and shown < self.until)

    def __str__(self) -> str:
        """Say it as people do: `mon-fri 09:00-17:00`."""
        first, last = DAYS.index(self.days[0]), DAYS.index(self.days[-1])
        in_a_row = len(self.days) > 2 and self.days == DAYS[first : last + 1]
        days = f"{self.days[0]}-{self.days[-1]}" if in_a_row else ", ".join(self.days)
        return f"{days} {self.from_}-{self.until}"


class Freeze(Value):
    """When a rollout must not advance, whatever the hour.

    Attributes:
        from_: `from`; a date is its first moment.
        until: The first moment that is open again.
        reason: Why; it is shown to whoever waits.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Moment = Field(alias="from")
    until: Moment
    reason: Label

    @model_validator(mode="after")
    def _some(self) -> Self:
        if (self.from_.tzinfo is None) is not (self.until.tzinfo is None):
            raise ValueError(f"{self}: give both from and until with an offset, or neither")
        if self.from_ >= self.until:
            raise ValueError(f"{self} is empty: until is the first moment that is open again")
        return self

    @property
    def local(self) -> bool:
        """Whether it is told in local times."""
        return self.from_.tzinfo is None

    def __str__(self) -> str:
        """Say it as it was written."""
        return f"{_written(self.from_)} until {_written(self.until)} ({self.reason})"


class Windows(Value):
    """When a rollout may advance: within the hours, if there are any, and in no freeze.

    Harm rolls back at any time.

    Attributes:
        time_zone: Of hours and local times: a name of the IANA database.
        hours: Open is what any of them holds; without any, always.
        freezes: All in local times, or all with offsets.
    """

    time_zone: Label | None = None
    hours: tuple[Hours, ...] = Field(default=(), max_length=MOST_HOURS)
    freezes: tuple[Freeze, ...] = Field(default=(), max_length=MOST_FREEZES)

    @model_validator(mode="after")
    def _placed(self) -> Self:
        local = [freeze for freeze in self.freezes if freeze.local]
        if local and len(local) < len(self.freezes):
            raise ValueError(f"freezes: {local[0]} has no offset, others have: give all or none")
        if self.time_zone is None and (self.hours or local):
            told = f"hours {self.hours[0]}" if self.hours else f"freeze {local[0]}"
            raise ValueError(f"time_zone is missing: {told} needs one, such as Europe/Berlin")
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for before, after in pairwise(sorted(self.freezes, key=lambda freeze: freeze.from_)):
            if after.from_ < before.until:
                raise ValueError(f"freezes overlap: {before} and {after}")
        spans = sorted(_week(self.hours), key=lambda span: span.start)
        again = [*spans, *(span.a_week_later() for span in spans[:1])]
        for one, next_one in pairwise(again):
            if next_one.start < one.end:
                raise ValueError(f"hours overlap: {one.hours} and {next_one.hours}")
        return self

    def __bool__(self) -> bool:
        """Say whether they bind anything."""
        return bool(self.hours or self.freezes)


class _Span(NamedTuple):
    """When something is open, in minutes since Monday."""

    start: int
    end: int
    hours: Hours

    def a_week_later(self) -> "_Span":
        return _Span(self.start + WEEK, self.end + WEEK, self.hours)


def _week(every: Sequence[Hours]) -> Iterator[_Span]:
    for hours in every:
        for day in hours.days:
            midnight = DAYS.index(day) * 24 * 60
            end = midnight + _minutes(hours.until) + (24 * 60 if hours.overnight else 0)
            yield _Span(midnight + _minutes(hours.from_), end, hours)


def _minutes(shown: str) -> int:
    return int(shown[:2]) * 60 + int(shown[3:])


def _written(moment: datetime) -> str:
    if moment.tzinfo is None and moment.time() == time():
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(sep=" ", timespec="minutes")
