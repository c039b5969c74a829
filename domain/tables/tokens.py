"""Who may ask over HTTP."""

from datetime import datetime

from sqlalchemy import JSON
from sqlmodel import Field, SQLModel

from domain.tables.instants import UtcDateTime


class TokenRow(SQLModel, table=True):
    """A bearer token; of its secret only the hash is kept."""

    __tablename__ = "token"

    id: str = Field(primary_key=True)
    name: str  # of whoever holds it; not unique: the next one is made before this one is revoked
    digest: str  # SHA-256 of the secret, in hex
    roles: list[str] = Field(sa_type=JSON)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = ""
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_by: str = ""
