"""The life of one monitor: look, tell, wait; until its time is over or a person stops it."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from pydantic import JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.monitors import MonitorActivities
    from domain.monitors.alerts import Alert
    from workflows import execution
    from workflows.answers import Answer
    from workflows.commands import Command, only
    from workflows.messages import INPUT
    from workflows.monitors.page import Bulletin, caption
    from workflows.monitors.state import MonitorOutcome, MonitorProgress, Vigil

JITTER = 0.1  # of the first wait, so that monitors started together do not look together
BATCH = 100  # notices told at once
# A notice may be late, and may get lost; it must not hold up what comes after it for ever.
TELL = workflow.ActivityConfig(
    start_to_close_timeout=timedelta(seconds=30),
    schedule_to_close_timeout=timedelta(minutes=5),
    retry_policy=execution.RETRY,
)
STOP = "End the monitor now; it returns the alerts it has." + INPUT


@workflow.defn
class MonitorWorkflow:
    """Watches versions, raises each condition once until it clears, and returns the alerts.

    It changes nothing. What it cannot read is an alert of its own, and what it cannot tell is
    counted; neither ends it.
    """

    @workflow.init
    def __init__(self, *given: JsonValue) -> None:
        request = only(given)
        carried = request.get("carried") if isinstance(request, dict) else None
        try:
            self._vigil = Vigil.model_validate(carried or {})
        except ValidationError:
            self._vigil = Vigil()  # opening refuses what we did not write ourselves
        self._bulletin = Bulletin()
        self._telling: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, *given: JsonValue) -> MonitorOutcome:
        """Return what was found.

        Args:
            given: One `MonitorPlan` as JSON. Read leniently and judged by an activity, so that a
                wrong one fails this workflow with a sentence instead of sticking it.
        """
        if self._vigil.watch is None:
            await self._open(only(given))
        with suppress(execution.GivenUp):
            while True:
                await self._look()
                self._tell()
                if workflow.now() >= self._vigil.until:
                    break
                await self._wait()
                self._continue_as_new_if_long()
        await workflow.wait_condition(self._has_told)
        while self._vigil.outbox:
            await self._tell_some()
        outcome = self._vigil.outcome(workflow.now())
        self._bulletin.publish(self._vigil)
        return outcome

    async def _open(self, given: JsonValue) -> None:
        self._bulletin.publish(self._vigil)
        try:
            self._vigil.watch = await execution.execute(
                MonitorActivities.open_monitor, given, summary="find what to watch"
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            kind = getattr(error.cause, "type", None)
            raise ApplicationError(execution.cause(error), type=kind, non_retryable=True) from error
        self._vigil.started_at = workflow.now()

    async def _look(self) -> None:
        vigil, monitor, now = self._vigil, workflow.info().workflow_id, workflow.now()
        order = vigil.order(now)
        try:
            look = await execution.execute_unless(
                self._stopped,
                MonitorActivities.look_at_versions,
                order,
                summary=f"no. {vigil.looks + 1}",
                config=execution.READ,
            )
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            vigil.miss(execution.cause(error), at=now, monitor=monitor)
        else:
            vigil.take(look, monitor=monitor)

    async def _wait(self) -> None:
        """Sleep until the next look; a person who stops it ends that.

        Raises:
            GivenUp: It is stopped.
        """
        vigil, now = self._vigil, workflow.now()
        pause = vigil.plan.interval
        if vigil.looks == 1:
            pause *= 1 - JITTER * workflow.random().random()
        due = now + pause
        last = vigil.until - due < JITTER * vigil.plan.interval
        vigil.next_look_at = vigil.until if last else due
        self._bulletin.publish(vigil)
        said = caption(vigil)
        with suppress(TimeoutError):
            await workflow.wait_condition(
                self._stopped, timeout=vigil.next_look_at - now, timeout_summary=said
            )
        if self._stopped():
            raise execution.GivenUp

    def _tell(self) -> None:
        """See to it that notices are told, beside the looks."""
        if self._has_told():
            self._telling = asyncio.create_task(self._tell_until_long())

    async def _tell_until_long(self) -> None:
        while self._vigil.outbox and not workflow.info().is_continue_as_new_suggested():
            await self._tell_some()

    async def _tell_some(self) -> None:
        vigil = self._vigil
        notices = vigil.outbox[:BATCH]
        config = workflow.ActivityConfig(**{**TELL, "summary": f"{len(notices)} notices"})
        try:
            await workflow.execute_activity_method(MonitorActivities.tell, notices, **config)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            vigil.untold, vigil.untold_why = vigil.untold + len(notices), execution.cause(error)
            workflow.logger.warning("%d notices not told: %s", len(notices), vigil.untold_why)
        del vigil.outbox[: len(notices)]

    def _has_told(self) -> bool:
        return self._telling is None or self._telling.done()

    def _stopped(self) -> bool:
        return self._vigil.stop is not None

    def _continue_as_new_if_long(self) -> None:
        """Start a fresh history before this one is too long, but not while something is told."""
        calm = self._has_told() and workflow.all_handlers_finished()
        if calm and workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new({"carried": self._vigil.model_dump(mode="json")})

    @workflow.query(description="Where the monitor stands, and what is wrong now.")
    def progress(self) -> MonitorProgress:
        """Return where it stands."""
        return self._vigil.progress()

    @workflow.query(description="The alerts so far, oldest first; at most the latest 1 000.")
    def alerts(self) -> list[Alert]:
        """Return the alerts."""
        return list(self._vigil.book.alerts)

    @workflow.signal(name="stop", description=STOP)
    def stop_signal(self, *given: JsonValue) -> None:
        """End it, however garbled the reason."""
        try:
            self._vigil.stop = Command.parse(only(given))
        except ValueError:
            self._vigil.stop = Command(reason=f"{only(given)}"[:200])

    @workflow.update(description=STOP)
    def stop(self, given: JsonValue = None) -> Answer:
        """End it, and answer."""
        self._vigil.stop = Command.parse(given)
        raised = self._vigil.progress().alerts
        return Answer(said=f"stopped: it raised {raised} alert{'' if raised == 1 else 's'}")

    @stop.validator
    def _readable(self, given: JsonValue = None) -> None:
        try:
            Command.parse(given)
        except ValueError as error:
            message = f"stop was refused: {error}"
            raise ApplicationError(message, non_retryable=True) from error
