"""Events as they came, and what is known of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, SmallInteger, text
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


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
    """Running moments of one metric of one version, in one epoch of one experiment.

    In as many parts as writers at a time: what is known of the metric is all of them together.
    """

    version_id: str = Field(primary_key=True)
    experiment_id: str = Field(primary_key=True)
    epoch: int = Field(primary_key=True)
    metric: str = Field(primary_key=True)
    shard: int = Field(default=0, primary_key=True, sa_type=SmallInteger)
    n: int = Field(sa_type=BigInteger)
    mean: float
    m2: float
    min: float | None
    max: float | None
    histogram: dict[str, int] = Field(sa_type=JSON)  # log bucket -> count
    last_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class CellRow(CellColumns, table=True):
    """Of all events. Experiment "" and epoch 0 hold the version's total: a read is a few rows."""

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
