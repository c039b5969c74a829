"""The tables that release 0.2 added: evidence, observations, segments and trials."""

import sqlalchemy as sa
from alembic import op

from domain.migrations.columns import (
    big_counts,
    counts,
    documents,
    instants,
    long_texts,
    numbers,
    only,
    texts,
)

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; what was there stays as it is."""
    _users()
    _observed()
    _evidence()
    _trials()


def _users() -> None:
    op.create_table(
        "exposure_count",
        *texts("experiment_id"),
        *counts("epoch"),
        *texts("version"),
        *big_counts("users"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("experiment_id", "epoch", "version"),
    )
    op.create_table(
        "segment",
        *texts("name", "prompt_type", "segment"),
        *long_texts("rule"),
        *counts("place"),
        *instants("defined_at"),
        *texts("by"),
        sa.PrimaryKeyConstraint("name", "prompt_type", "segment"),
    )


def _observed() -> None:
    op.create_table(
        "observed_cell",
        *texts("version_id", "experiment_id"),
        *counts("epoch"),
        *texts("metric"),
        *big_counts("n"),
        *numbers("mean", "m2"),
        *numbers("min", "max", null=True),
        *documents("histogram"),
        *instants("last_at", null=True),
        sa.PrimaryKeyConstraint("version_id", "experiment_id", "epoch", "metric"),
    )
    op.create_table(
        "observation",
        *texts("experiment_id"),
        *counts("epoch"),
        *texts("user_id", "metric", "version_id"),
        sa.PrimaryKeyConstraint("experiment_id", "epoch", "user_id", "metric"),
        sqlite_with_rowid=False,
    )


def _evidence() -> None:
    op.create_table(
        "evidence",
        *texts("decision_id", "rollout_id"),
        *counts("number"),
        *texts("method", "policy"),
        *documents("look", "evidence"),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"]),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.PrimaryKeyConstraint("decision_id"),
        sa.UniqueConstraint("rollout_id", "number"),
    )


def _trials() -> None:
    op.create_table(
        "trial",
        *texts("id", "key", "workflow_id", "name", "prompt_type"),
        *documents("plan"),
        *texts("before", null=True),
        *texts("status"),
        *counts("epoch"),
        *documents("stopped"),
        *documents("conclusion", null=True),
        *instants("opened_at"),
        *instants("concluded_at", null=True),
        *texts("by", "reason"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(
        "trial_live", "trial", ["name", "prompt_type"], unique=True, **only("status = 'live'")
    )
    op.create_table(
        "trial_line",
        *texts("id", "trial_id", "key", "step"),
        *instants("at"),
        *counts("epoch"),
        *texts("by", "reason"),
        *documents("report", null=True),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("trial_id", "key"),
    )
    op.create_index("ix_trial_line_trial_id", "trial_line", ["trial_id"])
    op.create_table(
        "trial_evidence",
        *texts("trial_id", "arm"),
        *counts("number"),
        *texts("method", "policy"),
        *documents("look", "evidence"),
        sa.ForeignKeyConstraint(["trial_id"], ["trial.id"]),
        sa.PrimaryKeyConstraint("trial_id", "arm", "number"),
    )
