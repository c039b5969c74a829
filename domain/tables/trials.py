"""The tables of trials. Columns and constraints only, as in `tables`."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


class TrialRow(SQLModel, table=True):
    """An experiment that is led to a conclusion. At most one is live per prompt."""

    __tablename__ = "trial"
    __table_args__ = (
        Index(
            "trial_live",
            "name",
            "prompt_type",
            unique=True,
            sqlite_where=text("status = 'live'"),
            postgresql_where=text("status = 'live'"),
        ),
    )

    id: str = Field(primary_key=True)  # its experiment's, which may be deleted under it
    key: str = Field(unique=True)  # the workflow's first run id: opening twice is opening once
    workflow_id: str
    name: str
    prompt_type: str
    plan: dict[str, Any] = Field(sa_type=JSON)
    before: str | None = None  # the experiment the prompt was routed to
    status: str
    epoch: int
    stopped: list[str] = Field(sa_type=JSON)
    conclusion: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    concluded_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    by: str = ""
    reason: str = ""


class TrialLineRow(SQLModel, table=True):
    """An append-only line of a trial's journal. The key makes retries harmless."""

    __tablename__ = "trial_line"
    __table_args__ = (UniqueConstraint("trial_id", "key"),)

    id: str = Field(primary_key=True)
    trial_id: str = Field(foreign_key="trial.id", index=True)
    key: str
    step: str
    at: datetime = Field(sa_type=UtcDateTime)
    epoch: int
    by: str = ""
    reason: str
    report: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class TrialEvidenceRow(SQLModel, table=True):
    """What one look saw of one arm, and the evidence after it: verdicts follow from it again."""

    __tablename__ = "trial_evidence"

    trial_id: str = Field(primary_key=True, foreign_key="trial.id")
    arm: str = Field(primary_key=True)
    number: int = Field(primary_key=True)  # of the look
    method: str
    policy: str  # its fingerprint
    look: dict[str, Any] = Field(sa_type=JSON)
    evidence: dict[str, Any] = Field(sa_type=JSON)
