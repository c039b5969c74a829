"""How long a rollout is left alone: whoever looks after it says so again and again. Pure."""

from datetime import datetime, timedelta
from enum import StrEnum

from domain.plan import RolloutPlan
from domain.value import Frozen

CHECKS = 3  # that may be missed in a row
LEAST = timedelta(seconds=5)


def lease_until(plan: RolloutPlan, *, now: datetime) -> datetime:
    """Return until when nobody has to wonder whether the rollout's workflow is still there.

    Three of the longest waits between two checks. An expired lease alone does no harm: it has the
    reconciler ask Temporal.
    """
    return now + max(CHECKS * plan.check_max, LEAST)


class Late(Frozen):
    """A rollout whose lease has run out.

    Attributes:
        key: The first run of its workflow.
        lease_until: None of one that was opened before there were leases.
    """

    rollout_id: str
    prompt: str
    workflow_id: str
    key: str
    lease_until: datetime | None = None


class Taken(StrEnum):
    """What was done about a rollout whose workflow is gone."""

    ROLLED_BACK = "rolled_back"
    HELD = "held"
    LOOKED_AFTER = "looked_after"  # meanwhile somebody has renewed its lease, or ended it
