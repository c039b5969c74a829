"""The tables. Columns and constraints only; behaviour lives in the managers.

Rows never leave the manager that reads them. `table=True` models do not validate: values are
checked before a row exists. Ids are texts, because the seed accepts ids it did not give out; those
we give out are UUIDv7.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Index, Text, UniqueConstraint, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant on both databases (SQLite alone would forget the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive instants before they are stored."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive instant {value!r}")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        del dialect
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC) if value else None


class VersionRow(SQLModel, table=True):
    """One immutable version of a prompt; only its status changes."""

    __tablename__ = "prompt_version"
    __table_args__ = (
        UniqueConstraint("name", "prompt_type", "version"),
        Index("prompt_version_order", "name", "prompt_type", "major", "minor", "patch"),
    )

    id: str = Field(primary_key=True)
    name: str
    prompt_type: str
    version: str
    major: int = Field(sa_type=BigInteger)
    minor: int = Field(sa_type=BigInteger)
    patch: int = Field(sa_type=BigInteger)
    template: str = Field(sa_type=Text)
    defaults: dict[str, Any] = Field(sa_type=JSON)
    validation: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    details: dict[str, Any] = Field(sa_type=JSON)  # the API's `metadata`, a name SQLModel keeps
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str | None = None
    parent_version: str | None = None
    status: str
    content_hash: str


class TagRow(SQLModel, table=True):
    """Who carries a tag now: one version per prompt and tag, by the primary key."""

    __tablename__ = "version_tag"

    name: str = Field(primary_key=True)
    prompt_type: str = Field(primary_key=True)
    tag: str = Field(primary_key=True)
    version_id: str = Field(foreign_key="prompt_version.id", index=True, ondelete="CASCADE")


class TagMoveRow(SQLModel, table=True):
    """An append-only line of the history of a tag; the production pointer's among them."""

    __tablename__ = "tag_move"
    __table_args__ = (Index("tag_move_of", "name", "prompt_type", "tag", "id"),)

    id: str = Field(primary_key=True)
    name: str
    prompt_type: str
    tag: str
    version_id: str | None  # None: the tag was taken off
    previous_id: str | None
    at: datetime = Field(sa_type=UtcDateTime)
    by: str = ""
    reason: str = ""


class ExperimentRow(SQLModel, table=True):
    """One comparison of versions. Its salt never changes; its allocation does, epoch by epoch."""

    __tablename__ = "experiment"
    __table_args__ = (Index("experiment_of", "name", "prompt_type", "status"),)

    id: str = Field(primary_key=True)
    name: str
    prompt_type: str
    status: str
    variants: list[dict[str, Any]] = Field(sa_type=JSON)
    traffic_split: dict[str, float] = Field(sa_type=JSON)
    start_date: datetime = Field(sa_type=UtcDateTime)
    end_date: datetime | None = Field(default=None, sa_type=UtcDateTime)
    metrics: dict[str, Any] = Field(sa_type=JSON)
    details: dict[str, Any] = Field(sa_type=JSON)
    salt: int = Field(sa_type=BigInteger)  # in [0, 2**32)
    epoch: int  # of its current allocation
    rollout_id: str | None = Field(default=None, index=True)


class AllocationRow(SQLModel, table=True):
    """Which interval of [0, 2**32) each arm held during one epoch of an experiment."""

    __tablename__ = "allocation"

    experiment_id: str = Field(primary_key=True, foreign_key="experiment.id", ondelete="CASCADE")
    epoch: int = Field(primary_key=True)
    starts: list[int] = Field(sa_type=JSON)  # first is 0, rising
    arms: list[int] = Field(sa_type=JSON)  # index into the experiment's variants, per start
    started_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ExposureRow(SQLModel, table=True):
    """Which version a user was first given in an epoch of an experiment.

    Recorded, never looked up to assign: assignment is arithmetic.
    """

    __tablename__ = "exposure"

    experiment_id: str = Field(primary_key=True, foreign_key="experiment.id", ondelete="CASCADE")
    user_id: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    version: str
    at: datetime = Field(sa_type=UtcDateTime)


class ExposureCountRow(SQLModel, table=True):
    """How many users were first given a version in an epoch: its rows in `exposure`, counted."""

    __tablename__ = "exposure_count"

    experiment_id: str = Field(primary_key=True, foreign_key="experiment.id", ondelete="CASCADE")
    epoch: int = Field(primary_key=True)
    version: str = Field(primary_key=True)
    users: int = Field(sa_type=BigInteger)


class RoutingRow(SQLModel, table=True):
    """What a prompt serves. Its epoch rises with every change: the fencing token of all writers."""

    __tablename__ = "routing"

    name: str = Field(primary_key=True)
    prompt_type: str = Field(primary_key=True)
    epoch: int
    experiment_id: str | None = None
    changed_at: datetime = Field(sa_type=UtcDateTime)


class EventRow(SQLModel, table=True):
    """One event, kept raw. Its id is the idempotency key."""

    __tablename__ = "event"
    __table_args__ = (
        Index("event_of_version", "version_id", "occurred_at"),
        Index(
            "event_with_rating",
            "version_id",
            "occurred_at",
            sqlite_where=text("user_rating IS NOT NULL"),
            postgresql_where=text("user_rating IS NOT NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    version_id: str
    experiment_id: str | None = None
    epoch: int | None = None
    user_id: str | None = None
    success: bool
    response_time: float | None = None
    tokens: int | None = Field(default=None, sa_type=BigInteger)
    user_rating: float | None = None
    numbers: dict[str, float] = Field(sa_type=JSON)
    details: dict[str, Any] = Field(sa_type=JSON)
    occurred_at: datetime = Field(sa_type=UtcDateTime)


class CellColumns(SQLModel):
    """Running moments of one metric of one version, in one epoch of one experiment."""

    version_id: str = Field(primary_key=True)
    experiment_id: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    metric: str = Field(primary_key=True)
    n: int = Field(sa_type=BigInteger)
    mean: float
    m2: float
    min: float | None
    max: float | None
    histogram: dict[str, int] = Field(sa_type=JSON)  # log bucket -> count
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CellRow(CellColumns, table=True):
    """Of all events. Experiment "" and epoch 0 hold the version's total: each read is one row."""

    __tablename__ = "cell"


class ObservedCellRow(CellColumns, table=True):
    """Of the observations alone, where a user counts once an epoch; there are no totals."""

    __tablename__ = "observed_cell"


class ObservationRow(SQLModel, table=True):
    """Whose first outcome in an epoch is in the observed cell of a metric. Never updated."""

    __tablename__ = "observation"
    __table_args__ = {"sqlite_with_rowid": False}  # its key is nearly all there is to keep

    experiment_id: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    user_id: str = Field(primary_key=True)  # then the metric: what comes at once lies together
    metric: str = Field(primary_key=True)
    version_id: str


class RolloutRow(SQLModel, table=True):
    """One attempt to replace a prompt's production version. At most one is live per prompt."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index(
            "rollout_live",
            "name",
            "prompt_type",
            unique=True,
            sqlite_where=text("status = 'live'"),
            postgresql_where=text("status = 'live'"),
        ),
    )

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)  # the workflow's first run id: opening twice is opening once
    workflow_id: str
    name: str
    prompt_type: str
    baseline_id: str
    candidate_id: str
    experiment_id: str
    plan: dict[str, Any] = Field(sa_type=JSON)
    before: dict[str, Any] = Field(sa_type=JSON)  # the exact state a rollback restores
    status: str
    epoch: int
    stage: int = 0  # 1-based; 0 before the first ramp
    percent: float = 0.0
    opened_at: datetime = Field(sa_type=UtcDateTime)
    concluded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    by: str = ""
    reason: str = ""


class SegmentRow(SQLModel, table=True):
    """Users of a prompt, told apart by a rule; served by the prompt `<name>_<segment>`."""

    __tablename__ = "segment"

    name: str = Field(primary_key=True)
    prompt_type: str = Field(primary_key=True)
    segment: str = Field(primary_key=True)
    rule: str = Field(sa_type=Text)
    place: int  # counted from 1: the first segment whose rule matches has the user
    defined_at: datetime = Field(sa_type=UtcDateTime)
    by: str = ""


class DecisionRow(SQLModel, table=True):
    """An append-only line of a rollout's journal. The key makes retries harmless."""

    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("rollout_id", "key"),)

    id: str = Field(primary_key=True)
    rollout_id: str = Field(foreign_key="rollout.id", index=True)
    key: str
    kind: str
    at: datetime = Field(sa_type=UtcDateTime)
    stage: int
    percent: float
    epoch: int
    action: str | None = None
    readings: list[dict[str, Any]] = Field(sa_type=JSON)
    by: str = ""
    reason: str


class EvidenceRow(SQLModel, table=True):
    """What one check saw, and the evidence after it: from these looks all verdicts follow again."""

    __tablename__ = "evidence"
    __table_args__ = (UniqueConstraint("rollout_id", "number"),)

    decision_id: str = Field(primary_key=True, foreign_key="decision.id")
    rollout_id: str = Field(foreign_key="rollout.id")
    number: int  # of the check
    method: str
    policy: str  # its fingerprint
    look: dict[str, Any] = Field(sa_type=JSON)
    evidence: dict[str, Any] = Field(sa_type=JSON)  # may be made again from the looks
