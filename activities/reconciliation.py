"""Activities that look for rollouts whose workflow is gone."""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.refusals import final_refusals
from domain.leases import Late, Taken
from domain.reconciliation import Reconciler


@dataclass(frozen=True, kw_only=True, slots=True)
class Orphan:
    """Input of `take_over`: a rollout, and what has become of its workflow."""

    late: Late
    why: str


class ReconciliationActivities:
    """Eyes on Temporal, a hand in the database."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    @activity.defn
    async def find_late(self) -> Sequence[Late]:
        """Return the rollouts of this namespace whose lease has run out."""
        with final_refusals():
            return await self._reconciler.late(namespace=activity.info().namespace)

    @activity.defn
    async def find_fate(self, late: Late) -> str:
        """Return what has become of a rollout's workflow; nothing if it is still there."""
        handle = activity.client().get_workflow_handle(late.workflow_id)
        try:
            return _fate(await handle.describe(), late)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return "is not known to Temporal"
            raise

    @activity.defn
    async def take_over(self, order: Orphan) -> Taken:
        """Hold or roll back, as the plan says."""
        with final_refusals():
            return await self._reconciler.take_over(order.late, why=order.why)


def _fate(found: WorkflowExecutionDescription, late: Late) -> str:
    """Tell by the first run: a reset, or a fresh history, keeps it; another rollout has its own."""
    if found.status is not WorkflowExecutionStatus.RUNNING:
        return f"is {found.status.name.lower() if found.status else 'closed'}"
    first = found.raw_info.first_run_id or late.key  # Temporal's server that skips time tells none
    return "" if first == late.key else "is gone, and another has its id"
