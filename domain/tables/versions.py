"""Versions of prompts, their tags, and the segments of their users."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


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
