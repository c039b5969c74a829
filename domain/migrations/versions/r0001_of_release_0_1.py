"""The tables of release 0.1."""

import sqlalchemy as sa
from alembic import op

from domain.migrations.columns import (
    big_counts,
    counts,
    documents,
    flags,
    instants,
    long_texts,
    numbers,
    only,
    texts,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    _versions()
    _experiments()
    _routing()
    _events()
    _rollouts()


def _versions() -> None:
    op.create_table(
        "prompt_version",
        *texts("id", "name", "prompt_type", "version"),
        *big_counts("major", "minor", "patch"),
        *long_texts("template"),
        *documents("defaults"),
        *documents("validation", null=True),
        *documents("details"),
        *instants("created_at"),
        *texts("created_by", "parent_version", null=True),
        *texts("status", "content_hash"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name", "prompt_type", "version"),
    )
    order = ["name", "prompt_type", "major", "minor", "patch"]
    op.create_index("prompt_version_order", "prompt_version", order)
    op.create_table(
        "version_tag",
        *texts("name", "prompt_type", "tag", "version_id"),
        sa.ForeignKeyConstraint(["version_id"], ["prompt_version.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", "prompt_type", "tag"),
    )
    op.create_index("ix_version_tag_version_id", "version_tag", ["version_id"])
    op.create_table(
        "tag_move",
        *texts("id", "name", "prompt_type", "tag"),
        *texts("version_id", "previous_id", null=True),
        *instants("at"),
        *texts("by", "reason"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("tag_move_of", "tag_move", ["name", "prompt_type", "tag", "id"])


def _experiments() -> None:
    op.create_table(
        "experiment",
        *texts("id", "name", "prompt_type", "status"),
        *documents("variants", "traffic_split"),
        *instants("start_date"),
        *instants("end_date", null=True),
        *documents("metrics", "details"),
        *big_counts("salt"),
        *counts("epoch"),
        *texts("rollout_id", null=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("experiment_of", "experiment", ["name", "prompt_type", "status"])
    op.create_index("ix_experiment_rollout_id", "experiment", ["rollout_id"])
    op.create_table(
        "allocation",
        *texts("experiment_id"),
        *counts("epoch"),
        *documents("starts", "arms"),
        *instants("started_at"),
        *instants("ended_at", null=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("experiment_id", "epoch"),
    )
    op.create_table(
        "exposure",
        *texts("experiment_id", "user_id"),
        *counts("epoch"),
        *texts("version"),
        *instants("at"),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("experiment_id", "user_id", "epoch"),
    )


def _routing() -> None:
    op.create_table(
        "routing",
        *texts("name", "prompt_type"),
        *counts("epoch"),
        *texts("experiment_id", null=True),
        *instants("changed_at"),
        sa.PrimaryKeyConstraint("name", "prompt_type"),
    )


def _events() -> None:
    op.create_table(
        "event",
        *texts("id", "version_id"),
        *texts("experiment_id", null=True),
        *counts("epoch", null=True),
        *texts("user_id", null=True),
        *flags("success"),
        *numbers("response_time", null=True),
        *big_counts("tokens", null=True),
        *numbers("user_rating", null=True),
        *documents("numbers", "details"),
        *instants("occurred_at"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("event_of_version", "event", ["version_id", "occurred_at"])
    op.create_index(
        "event_with_rating",
        "event",
        ["version_id", "occurred_at"],
        **only("user_rating IS NOT NULL"),
    )
    op.create_table(
        "cell",
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


def _rollouts() -> None:
    op.create_table(
        "rollout",
        *texts("id", "key", "workflow_id", "name", "prompt_type"),
        *texts("baseline_id", "candidate_id", "experiment_id"),
        *documents("plan", "before"),
        *texts("status"),
        *counts("epoch", "stage"),
        *numbers("percent"),
        *instants("opened_at"),
        *instants("concluded_at", null=True),
        *texts("by", "reason"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index(
        "rollout_live", "rollout", ["name", "prompt_type"], unique=True, **only("status = 'live'")
    )
    op.create_table(
        "decision",
        *texts("id", "rollout_id", "key", "kind"),
        *instants("at"),
        *counts("stage"),
        *numbers("percent"),
        *counts("epoch"),
        *texts("action", null=True),
        *documents("readings"),
        *texts("by", "reason"),
        sa.ForeignKeyConstraint(["rollout_id"], ["rollout.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("rollout_id", "key"),
    )
    op.create_index("ix_decision_rollout_id", "decision", ["rollout_id"])
