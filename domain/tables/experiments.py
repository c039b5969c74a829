"""Experiments, who holds which users, and what prompts serve."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


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
    swept_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # exposures deleted


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
