"""One look for rollouts whose workflow is gone; a schedule has it taken every minute."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.reconciliation import Orphan, ReconciliationActivities
    from domain.leases import Late, Taken
    from workflows import execution
    from workflows.markdown import block, listed, words

# What is not done within it, the next look does.
LOOK = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=2),
    retry_policy=execution.RETRY,
)


class Reconciled(BaseModel):
    """What one look found; of each rollout its prompt, and what there is to say.

    Attributes:
        late: Their workflow is there, but has not looked after them in time.
        failed: Nothing could be found out, or done, about them; the next look tries again.
    """

    model_config = ConfigDict(frozen=True)

    late: tuple[str, ...] = ()
    rolled_back: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


@workflow.defn
class ReconcileWorkflow:
    """Finds allocations that nobody looks after; holds or restores them as their plans say."""

    @workflow.run
    async def run(self) -> Reconciled:
        """Return what was found."""
        config = workflow.ActivityConfig(**{**LOOK, "summary": "whose lease has run out?"})
        hands = ReconciliationActivities
        found: dict[str, list[str]] = {name: [] for name in Reconciled.model_fields}
        for late in await workflow.execute_activity_method(hands.find_late, **config):
            try:
                kind, said = await self._look_at(late)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                kind, said = "failed", execution.cause(error)
            if kind in found:
                found[kind].append(f"{late.prompt}: {said}")
                workflow.logger.warning("reconcile.%s %s: %s", kind, late.prompt, said)
        workflow.set_current_details(details(found))
        return Reconciled.model_validate(found)

    async def _look_at(self, late: Late) -> tuple[str, str]:
        """Return which list of `Reconciled` it belongs to, and what to say."""
        hands = ReconciliationActivities
        config = workflow.ActivityConfig(
            **{**LOOK, "summary": f"{late.prompt}: is its workflow there?"}
        )
        why = await workflow.execute_activity_method(hands.find_fate, late, **config)
        if not why:
            since = f"since {late.lease_until:%H:%M:%S} UTC" if late.lease_until else "so far"
            return "late", f"its workflow is there, but has not looked after it {since}"
        order = Orphan(late=late, why=why)
        config["summary"] = f"{late.prompt}: hold, or roll back"
        taken: Taken = await workflow.execute_activity_method(hands.take_over, order, **config)
        return taken.value, f"its workflow {late.workflow_id} {why}"


def details(found: Mapping[str, Sequence[str]]) -> str:
    """Return the page in Temporal's UI: what this look found."""
    rows = [row for kind, told in found.items() for row in listed(words(kind), told)]
    if not rows:
        return "Every rollout is looked after by its workflow: there was nothing to do."
    return f"Rollouts that nobody has looked after in time:\n\n{block(rows)}"
