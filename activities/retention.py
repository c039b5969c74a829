"""The retention activity: sweep, and tell on the way that it is alive."""

from datetime import UTC, datetime

from pydantic import JsonValue
from temporalio import activity

from activities.refusals import final_refusals
from domain.retention.manager import RetentionManager
from domain.retention.plan import Retention, Swept


class RetentionActivities:
    """The broom."""

    def __init__(self, retention: RetentionManager) -> None:
        self._retention = retention

    @activity.defn
    async def sweep(self, given: JsonValue) -> Swept:
        """Read the plan as it was sent, and delete what it keeps no longer.

        The one activity of many transactions: each deletes a little, so that it may be broken off
        anywhere. The next attempt goes on, and counts what the one before it had told.
        """
        with final_refusals():
            plan, total = Retention.parse(given), _told_before()
            async for swept in self._retention.batches(plan, now=datetime.now(UTC)):
                total = total.plus(swept)
                activity.heartbeat(total)
            return total


def _told_before() -> Swept:
    """Return what earlier attempts deleted; the last heartbeats of a killed worker are lost."""
    details = activity.info().heartbeat_details
    return Swept.model_validate(details[0]) if details else Swept()
