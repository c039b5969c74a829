"""What release 0.4 added: leases, bundles, and what a line of the journal rests on."""

from alembic import op
from sqlalchemy import PrimaryKeyConstraint

from domain.migrations.columns import documents, instants, only, texts

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add what is new; nobody who is live has a lease yet, and the next check gives one."""
    columns = texts("bundle_id", "namespace", null=True) + instants("lease_until", null=True)
    for column in columns:
        op.add_column("rollout", column)
    op.create_index("ix_rollout_bundle_id", "rollout", ["bundle_id"])
    for column in documents("details", null=True):
        op.add_column("decision", column)
    unfinished = only("status IN ('live', 'rolling_back', 'rollback_incomplete')")
    op.drop_index("rollout_live", "rollout")
    op.create_index("rollout_live", "rollout", ["name", "prompt_type"], unique=True, **unfinished)
    _notifications()


def _notifications() -> None:
    op.create_table(
        "notification",
        *texts("id", "rollout_id", "kind"),
        *instants("occurred_at"),
        *texts("status"),
        *instants("settled_at", null=True),
        *documents("failures", null=True),
        PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_notification_rollout_id", "notification", ["rollout_id"])
    waiting = only("status = 'waiting'")
    op.create_index("notification_waiting", "notification", ["id"], **waiting)
