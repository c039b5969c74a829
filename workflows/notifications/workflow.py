"""One notification: each target is tried until it takes it, for a day."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.notifications import NotificationActivities
    from domain.notifications.notice import Addressee, Receipt, Status
    from workflows import execution
    from workflows.markdown import block, literal

DELIVER = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=45),  # longer than a target is waited for
    schedule_to_close_timeout=timedelta(days=1),  # then it is given up, and shows as failed
    retry_policy=RetryPolicy(
        initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=10)
    ),
)


@workflow.defn
class NotificationWorkflow:
    """Tells all targets that ask for it. Its id is that of the notification: told once.

    Fails, for everybody to see, when a target could not be reached in a day.
    """

    @workflow.run
    async def run(self, notification_id: str) -> Receipt:
        """Return who got it."""
        names = await execution.execute(
            NotificationActivities.address, notification_id, summary="whom to tell"
        )
        workflow.set_current_details(details(names))
        found = await asyncio.gather(*(self._deliver(notification_id, name) for name in names))
        workflow.set_current_details(details(names, found))
        failures = {name: why for name, why in zip(names, found, strict=True) if why}
        status = (Status.FAILED if failures else Status.SENT) if names else Status.UNWANTED
        receipt = Receipt(
            notification_id=notification_id,
            status=status,
            sent=tuple(name for name in names if name not in failures),
            failures=failures,
        )
        await execution.execute(NotificationActivities.settle, receipt, summary=status.value)
        if failures:
            told = "; ".join(failures.values())
            raise ApplicationError(told, type="Undelivered", non_retryable=True)
        return receipt

    async def _deliver(self, notification_id: str, name: str) -> str:
        """Return why the target did not get it; nothing if it did."""
        order = Addressee(notification_id=notification_id, target=name)
        config = workflow.ActivityConfig(**{**DELIVER, "summary": f"to {name}"})
        try:
            await workflow.execute_activity_method(NotificationActivities.deliver, order, **config)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return _why(error)
        return ""


def details(names: Sequence[str], found: Sequence[str] = ()) -> str:
    """Return the page in Temporal's UI: whom it tells, and then why some did not get it."""
    if not names:
        return "No target asks to be told of it."
    if not found:
        return f"It is tried for a day to tell: {literal(', '.join(names))}."
    rows = [(name, why or "got it") for name, why in zip(names, found, strict=True)]
    return block(rows)


def _why(error: ActivityError) -> str:
    """Return what the target said last; a timeout stands before what it timed out on."""
    inner: BaseException = error
    while inner.__cause__ is not None and not isinstance(inner, ApplicationError):
        inner = inner.__cause__
    return " ".join((inner.message if isinstance(inner, ApplicationError) else str(inner)).split())
