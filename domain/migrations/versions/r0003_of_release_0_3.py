"""What release 0.3 changed: cells in shards, tokens, and what retention deleted."""

import sqlalchemy as sa
from alembic import op

from domain.migrations.columns import big_counts, counts, documents, instants, numbers, texts

revision = "0003"
down_revision = "0002"

KEY = ["version_id", "experiment_id", "epoch", "metric", "shard"]
VALUES = ["n", "mean", "m2", "min", "max", "histogram", "last_at"]


def upgrade() -> None:
    """Add what is new; what was counted until now is the first shard.

    Tables are taken in the order in which writers take them, so as not to deadlock with any.
    """
    for table in ("rollout", "experiment"):
        _sweep(table)
    for table in ("cell", "observed_cell"):
        _shard(table)
    _tokens()


def _sweep(table: str) -> None:
    for column in instants("swept_at", null=True):
        op.add_column(table, column)


def _shard(table: str) -> None:
    """Let each writer have a row of its own: the shard becomes part of the key."""
    if op.get_bind().dialect.name == "postgresql":
        shard = sa.Column("shard", sa.SmallInteger(), nullable=False, server_default="0")
        op.add_column(table, shard)
        op.alter_column(table, "shard", server_default=None)
        op.drop_constraint(f"{table}_pkey", table, type_="primary")
        op.create_primary_key(f"{table}_pkey", table, KEY)
    else:  # SQLite cannot change a key
        op.rename_table(table, f"{table}_before")
        _make(table)
        names = ", ".join((*KEY[:-1], *VALUES))
        copied = f"INSERT INTO {table} ({names}, shard) SELECT {names}, 0 FROM {table}_before"  # noqa: S608
        op.execute(copied)
        op.drop_table(f"{table}_before")


def _make(table: str) -> None:
    op.create_table(
        table,
        *texts("version_id", "experiment_id"),
        *counts("epoch"),
        *texts("metric"),
        sa.Column("shard", sa.SmallInteger(), nullable=False),
        *big_counts("n"),
        *numbers("mean", "m2"),
        *numbers("min", "max", null=True),
        *documents("histogram"),
        *instants("last_at", null=True),
        sa.PrimaryKeyConstraint(*KEY),
    )


def _tokens() -> None:
    op.create_table(
        "token",
        *texts("id", "name", "digest"),
        *documents("roles"),
        *instants("created_at"),
        *texts("created_by"),
        *instants("expires_at", "revoked_at", null=True),
        *texts("revoked_by"),
        sa.PrimaryKeyConstraint("id"),
    )
