"""What a monitor is asked to watch, and when it is to alert. Pure values."""

import math
import re
from datetime import timedelta
from typing import Annotated, Self

from pydantic import (
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain.duration import Duration, Tick, spell
from domain.errors import InvalidPlan
from domain.value import Label, Value, complaint

SUCCESS_RATE = "success_rate"
IDLE = "idle"
P95 = "p95_response_time"
NUMBER = "number."  # before the name of a custom number: its mean is watched
SOURCES = {  # figure -> the metric of events that it is taken from
    SUCCESS_RATE: "success",
    "avg_response_time": "response_time",
    P95: "response_time",
    "avg_tokens": "tokens",
    "avg_rating": "user_rating",
    IDLE: "success",
}
RANGES = {SUCCESS_RATE: (0.0, 1.0), "avg_rating": (1.0, 5.0), IDLE: (0.5, math.inf)}
UNITS = {"avg_response_time": " s", P95: " s", "avg_tokens": " tokens"}
VERSIONS_LIMIT = 20
CONDITIONS_LIMIT = 20
ALERT_THRESHOLD = 0.5  # the seed's

_NUMBER = re.compile(r"number\.[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


class Condition(Value):
    """When to alert about one figure of a version; `str` names it.

    Attributes:
        metric: `success_rate` (0 to 1), `avg_response_time` and `p95_response_time` (s),
            `avg_tokens`, `avg_rating` (1 to 5), `idle` (s since the latest event), or
            `number.NAME`: the mean of a custom number.
        below: It alerts when the figure is less than this. One of `below` and `above` is given.
        above: It alerts when the figure is more than this; of `idle` also a duration: `2h`.
        min_events: Events that reported the metric, >= 1; fewer are undecided. `idle` needs none.
    """

    metric: str = Field(max_length=100)
    below: float | None = None
    above: float | None = None
    min_events: int = Field(default=20, ge=1, le=10**9)

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        if metric not in SOURCES and not _NUMBER.fullmatch(metric):
            named = f"one of {', '.join(SOURCES)}, or {NUMBER}NAME for the mean of a custom number"
            raise ValueError(f"must be {named}, got {metric!r}")
        return metric

    @field_validator("above", mode="before")
    @classmethod
    def _seconds(cls, given: object, info: ValidationInfo) -> object:
        """Read `2h` where a time is meant."""
        if info.data.get("metric") != IDLE or not isinstance(given, str):
            return given
        try:
            return _DURATION.validate_python(given).total_seconds()
        except ValidationError as error:
            raise ValueError(complaint(error)) from error

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.below is None) == (self.above is None):
            got = "neither" if self.below is None else "both"
            raise ValueError(f"{self.metric} takes either below or above, got {got}")
        if self.metric == IDLE and self.below is not None:
            raise ValueError(f"{IDLE} takes above, such as 2h, got below {self.below:g}")
        low, high = range_of(self.metric)
        least = low if self.above is None else math.nextafter(low, -math.inf)
        most = high if self.below is None else math.nextafter(high, math.inf)
        if not least < self.limit < most:
            never = f"{self.metric} is from {low:g} to {high:g}"
            raise ValueError(f"{self.side} {self.limit:g} can never tell good from bad: {never}")
        return self

    @property
    def side(self) -> str:
        """`below` or `above`."""
        return "above" if self.below is None else "below"

    @property
    def limit(self) -> float:
        """What is given of `below` and `above`."""
        return (self.above if self.below is None else self.below) or 0.0

    @property
    def source(self) -> str:
        """The metric of events that the figure is taken from."""
        return SOURCES.get(self.metric, self.metric.removeprefix(NUMBER))

    def breached(self, value: float) -> bool:
        """Say whether the figure is beyond the limit."""
        return value > self.limit if self.below is None else value < self.limit

    def __str__(self) -> str:
        """Return `success_rate below 0.5`."""
        return f"{self.metric} {self.side} {self.limit:.12g}"


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the greatest value a figure can have."""
    return RANGES.get(metric, (-math.inf if metric.startswith(NUMBER) else 0.0, math.inf))


def written(metric: str, value: float) -> str:
    """Return a figure as people read it: `41.2 %`, `1.31 s`, `2h`."""
    if metric == SUCCESS_RATE:
        return f"{value:.1%}".replace("%", " %")
    if metric == IDLE:
        whole = round(value) if value >= 1 else value
        return spell(timedelta(seconds=min(whole, 10**9)))
    return f"{value:.4g}{UNITS.get(metric, '')}"


EXAMPLE = '{"versions": ["…"], "interval": "30m", "duration": "24h", "alert_threshold": 0.5}'
Watched = Annotated[tuple[Label, ...], Field(max_length=VERSIONS_LIMIT)]


class MonitorPlan(Value):
    """What to watch, how often, for how long, and when to alert.

    Histories of running monitors hold this as JSON: give every new field a default.

    Attributes:
        versions: Ids of at most 20 versions; this or an experiment is given.
        experiment: Id or name: what its variants' versions do inside it is watched.
        duration: How long it watches, at least 0.5 s.
        interval: From one look to the next, at least 0.5 s.
        window: What is judged at a look: the events counted in so much time before it, and at
            least since the look before; None, or `ever`: all events there ever were.
        conditions: At most 20. By default the success rate below `alert_threshold`.
        alert_threshold: Short for the condition success_rate below it, in (0, 1]; by default 0.5
            where there are no conditions.
        by: Who asks.
        reason: Why; it is kept in the journal.
    """

    versions: Watched = ()
    experiment: Label | None = None
    duration: Tick = timedelta(hours=24)
    interval: Tick = timedelta(minutes=30)
    window: Tick | None = timedelta(hours=1)
    conditions: tuple[Condition, ...] = Field(default=(), max_length=CONDITIONS_LIMIT)
    alert_threshold: float | None = Field(default=None, gt=0, le=1)
    by: str = Field(default="", max_length=200)
    reason: str = Field(default="", max_length=2000)

    @field_validator("window", mode="before")
    @classmethod
    def _ever(cls, given: object) -> object:
        return None if given == "ever" else given

    @field_validator("versions", "conditions")
    @classmethod
    def _once(cls, given: tuple[object, ...]) -> tuple[object, ...]:
        named = [str(one) for one in given]
        if twice := next((name for name in named if named.count(name) > 1), ""):
            raise ValueError(f"{twice!r} is given twice")
        return given

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if bool(self.versions) == bool(self.experiment):
            got = "both" if self.versions else "neither"
            raise ValueError(f"give either versions or experiment, got {got}")
        return self

    @property
    def judged(self) -> tuple[Condition, ...]:
        """All that is judged at a look, the shorthand resolved."""
        floor = self.alert_threshold
        if floor is None and self.conditions:
            return self.conditions
        short = Condition(metric=SUCCESS_RATE, below=ALERT_THRESHOLD if floor is None else floor)
        return tuple({str(one): one for one in (short, *self.conditions)}.values())

    @classmethod
    def parse(cls, given: JsonValue) -> Self:
        """Read the JSON that starts a monitor.

        Raises:
            InvalidPlan: One line that names the field, the value and what is allowed.
        """
        if not isinstance(given, dict):
            raise InvalidPlan(f"monitor must be an object like {EXAMPLE}, got {given!r:.80}")
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise InvalidPlan(f"monitor: {complaint(error)}") from error
