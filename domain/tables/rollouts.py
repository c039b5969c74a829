"""Rollouts, their journal, and what their checks rested on."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime

UNFINISHED = text("status IN ('live', 'rolling_back', 'rollback_incomplete')")


class RolloutRow(SQLModel, table=True):
    """One attempt to replace a prompt's production version. At most one is live per prompt."""

    __tablename__ = "rollout"
    __table_args__ = (
        Index(
            "rollout_live",
            "name",
            "prompt_type",
            unique=True,
            sqlite_where=UNFINISHED,
            postgresql_where=UNFINISHED,
        ),
    )

    id: str = Field(primary_key=True)
    key: str = Field(unique=True)  # the workflow's first run id: opening twice is opening once
    workflow_id: str
    namespace: str | None = None  # of Temporal, where its workflow is
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
    swept_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # evidence deleted
    bundle_id: str | None = Field(default=None, index=True)  # the rollout that leads the bundle
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)  # looked after so long


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
    details: dict[str, Any] | None = Field(default=None, sa_type=JSON)  # what changed


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
