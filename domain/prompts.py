"""What a prompt is made of: versions, variants, experiments, events. Immutable values.

Field names, order and defaults are those of the user's starting document, so that its code runs
unchanged. Containers are copied in, so a value never changes under its reader.
"""

import math
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from types import NoneType
from typing import Any, Self

from domain.errors import InvalidValue

Json = dict[str, Any]  # a JSON object, as callers give it
SIMPLE = (str, int, float, NoneType, datetime)  # asked for first: `Mapping` is slow to ask for


class VersionStatus(StrEnum):
    """Where a version is in its life."""

    DRAFT = "draft"
    ACTIVE = "active"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


class ExperimentStatus(StrEnum):
    """Where an experiment is in its life; the last two are for good."""

    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    STOPPED = "stopped"


class _Value:
    """Copies its containers in, and itself to and from plain JSON."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, SIMPLE) and isinstance(value, Mapping | list | tuple):
                object.__setattr__(self, name, deepcopy(value) if value else copy(value))

    def to_dict(self) -> Json:
        """Return plain JSON: enums as their values, instants in ISO 8601."""
        return {key: _plain(value) for key, value in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the value `to_dict` was made from; keys it does not know are dropped."""
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        return cls(**{key: value for key, value in data.items() if key in known})


def _plain(value: Any) -> Any:
    """Return an enum's value and an instant's ISO 8601, everything else as it is."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, list):
        return [{k: _plain(v) for k, v in i.items()} if isinstance(i, dict) else i for i in value]
    return value


def instant(value: datetime | str | None) -> datetime | None:
    """Return an aware UTC instant; a naive one is taken as UTC.

    Raises:
        InvalidValue: It is neither a datetime nor ISO 8601.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidValue(f"not an ISO 8601 instant: {value!r}") from error
    if not isinstance(value, datetime):
        raise InvalidValue(f"instant must be a datetime or ISO 8601 text, got {value!r}")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@dataclass(frozen=True)
class PromptVersion(_Value):
    """One immutable version of a prompt; `parent_version` is the id of the one before it."""

    version_id: str
    name: str
    prompt_type: str
    version: str
    template: str
    defaults: Json = field(default_factory=dict)
    validation: Json | None = None
    metadata: Json = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    created_by: str | None = None
    parent_version: str | None = None
    tags: list[str] = field(default_factory=list)
    status: VersionStatus = VersionStatus.ACTIVE
    content_hash: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "created_at", instant(self.created_at))
        object.__setattr__(self, "status", VersionStatus(self.status))


@dataclass(frozen=True)
class PromptVariant(_Value):
    """One arm of an experiment; `weight` is relative to its sisters', > 0."""

    version: str
    weight: float
    description: str = ""
    metadata: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise InvalidValue(f"Variant weight must be positive, got {self.weight}")


@dataclass(frozen=True)
class PromptExperiment(_Value):
    """One comparison of versions; `traffic_split` maps version to share, summing to 1 ± 0.01."""

    experiment_id: str
    name: str
    prompt_type: str
    variants: list[PromptVariant]
    traffic_split: dict[str, float]
    start_date: datetime
    end_date: datetime | None = None
    status: str = ExperimentStatus.RUNNING.value
    metrics: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        arms = [v if isinstance(v, PromptVariant) else PromptVariant(**v) for v in self.variants]
        object.__setattr__(self, "variants", arms)
        object.__setattr__(self, "start_date", instant(self.start_date))
        object.__setattr__(self, "end_date", instant(self.end_date))
        total = math.fsum(self.traffic_split.values())
        if not abs(total - 1) <= 0.01:  # so that NaN is refused too
            raise InvalidValue(f"Traffic split must sum to 1.0, got {total}")


@dataclass(frozen=True)
class MetricEvent(_Value):
    """What happened to one user of one version.

    Attributes:
        response_time: Seconds, >= 0.
        tokens: Count, >= 0.
        user_rating: 1.0 to 5.0.
        event_id: Idempotency key: an event is counted once, however often it is sent.
        experiment_id: None lets the collector find the live experiment of the version's prompt.
        numbers: Custom named measurements; finite.
    """

    version_id: str
    timestamp: datetime
    success: bool = True
    response_time: float | None = None
    tokens: int | None = None
    user_rating: float | None = None
    metadata: Json = field(default_factory=dict)
    event_id: str | None = None
    user_id: str | None = None
    experiment_id: str | None = None
    numbers: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "timestamp", instant(self.timestamp))


@dataclass(frozen=True)
class PromptMetrics(_Value):
    """What is known of one version. Averages divide by those events that reported the value.

    `user_ratings` holds at most the latest 100; `rated`, `timed` and `counted` are how many events
    reported a rating, a response time and tokens.
    """

    version_id: str
    total_uses: int = 0
    success_count: int = 0
    error_count: int = 0
    total_response_time: float = 0.0
    total_tokens: int = 0
    user_ratings: list[float] = field(default_factory=list)
    last_used: datetime | None = None
    metadata: Json = field(default_factory=dict)
    timed: int | None = None
    counted: int | None = None
    rated: int | None = None
    total_rating: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "last_used", instant(self.last_used))

    @property
    def total_events(self) -> int:
        """Number of events counted."""
        return self.total_uses

    @property
    def success_rate(self) -> float:
        """Successes per event, 0 to 1; 0.0 when there are none: ask `total_events` first."""
        return _ratio(self.success_count, self.total_uses)

    @property
    def avg_response_time(self) -> float:
        """Seconds per event that reported one; 0.0 when none did."""
        return _ratio(self.total_response_time, _known(self.timed, self.total_uses))

    @property
    def avg_tokens(self) -> float:
        """Tokens per event that reported them; 0.0 when none did."""
        return _ratio(self.total_tokens, _known(self.counted, self.total_uses))

    @property
    def avg_rating(self) -> float:
        """Mean rating over all events that reported one; 0.0 when none did."""
        if self.total_rating is not None:
            return _ratio(self.total_rating, _known(self.rated, 0))
        return _ratio(math.fsum(self.user_ratings), len(self.user_ratings))

    def to_dict(self) -> Json:
        """Return plain JSON, the four computed figures included."""
        computed = ("success_rate", "avg_response_time", "avg_tokens", "avg_rating")
        return super().to_dict() | {name: getattr(self, name) for name in computed}


def _ratio(total: float, count: int) -> float:
    return total / count if count else 0.0


def _known(count: int | None, otherwise: int) -> int:
    return otherwise if count is None else count
