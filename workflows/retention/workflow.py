"""One sweep: what a retention plan keeps no longer is deleted."""

from datetime import timedelta

from pydantic import JsonValue
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.retention import RetentionActivities
    from domain.retention.plan import Swept
    from workflows import execution
    from workflows.commands import only
    from workflows.markdown import block

SWEEP = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(hours=12),  # the first one may have years to delete
    schedule_to_close_timeout=timedelta(hours=20),  # over before the next one is due
    heartbeat_timeout=timedelta(minutes=1),
    # Nothing hurries: an outage is over some time.
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=10)
    ),
)


@workflow.defn
class RetentionWorkflow:
    """Deletes what is old, once; a schedule starts it every day."""

    @workflow.run
    async def run(self, *given: JsonValue) -> Swept:
        """Return how much was deleted.

        Args:
            given: One `Retention` plan as JSON; by default that of the defaults. It is judged by
                the activity, so that a wrong one fails this workflow with a sentence.
        """
        config = workflow.ActivityConfig(**{**SWEEP, "summary": "delete what is old"})
        try:
            swept = await workflow.execute_activity_method(
                RetentionActivities.sweep, only(given), **config
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            kind = getattr(error.cause, "type", None)
            raise ApplicationError(execution.cause(error), type=kind, non_retryable=True) from error
        told = ((name, f"{count} rows deleted") for name, count in swept.model_dump().items())
        workflow.set_current_details(block([*told]))
        return swept
