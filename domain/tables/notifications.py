"""What is to be told to people, and what became of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, text
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


class NotificationRow(SQLModel, table=True):
    """A line of a journal that people may want to be told; written in the line's transaction."""

    __tablename__ = "notification"
    __table_args__ = (
        Index(
            "notification_waiting",
            "id",
            sqlite_where=text("status = 'waiting'"),
            postgresql_where=text("status = 'waiting'"),
        ),
    )

    # The line's. No reference: both are written in one flush, and lines are never deleted.
    id: str = Field(primary_key=True)
    rollout_id: str = Field(index=True)
    kind: str
    occurred_at: datetime = Field(sa_type=UtcDateTime)
    status: str = "waiting"
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failures: dict[str, Any] | None = Field(default=None, sa_type=JSON)  # target to reason
