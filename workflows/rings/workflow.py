"""The life of a segmented rollout: ring after ring, each a rollout of its own."""

import asyncio
from contextlib import suppress

from pydantic import JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    TemporalError,
    WorkflowAlreadyStartedError,
)

with workflow.unsafe.imports_passed_through():
    from activities.rollouts import RollBack, RolloutActivities
    from activities.segments import SegmentActivities
    from workflows import execution
    from workflows.commands import Command, only
    from workflows.markdown import literal, words
    from workflows.progress import Outcome
    from workflows.rings.messages import RingsMessages
    from workflows.rings.page import RingsOutcome, RingsPage
    from workflows.rings.report import RingPhase, RingsPhase
    from workflows.rings.state import Rings
    from workflows.rollout import RolloutWorkflow
    from workflows.state import Phase

Child = workflow.ChildWorkflowHandle[RolloutWorkflow, Outcome]


@workflow.defn
class SegmentedRolloutWorkflow(RingsMessages):
    """Rolls a candidate out segment by segment; the first ring that fails ends it.

    Every ring is a `RolloutWorkflow` on the lane of its segment, which outlives this workflow if
    that is terminated: no ring is ever without its guardrails. A cancellation is a rollback.
    """

    @workflow.init
    def __init__(self, *given: JsonValue) -> None:
        request = only(given)
        carried = request.get("carried") if isinstance(request, dict) else None
        try:
            self._rings = Rings.model_validate(carried or {})
        except ValidationError:
            self._rings = Rings()  # opening refuses what we did not write ourselves
        self._woken = False
        self._page = RingsPage()

    @workflow.run
    async def run(self, *given: JsonValue) -> RingsOutcome:
        """Return how it ended.

        Args:
            given: One `SegmentedRequest` as JSON. Read leniently and judged by an activity, so
                that a wrong one fails this workflow with a sentence instead of sticking it.
        """
        work = asyncio.create_task(self._live(only(given)))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self._rings.cancel()
            self._woken = True
            await work
            raise

    async def _live(self, given: JsonValue) -> RingsOutcome:
        if self._rings.opening is None:
            await self._open(given)
        while not self._rings.through:
            if self._rings.report.phase is not RingPhase.ALREADY:
                await self._wait_for_turn()
                if failure := self._rings.rollback or await self._roll_out():
                    return await self._give_up(self._rings.rollback or failure)
            self._rings.rest(workflow.now())
            self._continue_as_new_if_long()
        said = f"{self._rings.opened.candidate} is in production in every ring"
        return self._end(RingsPhase.PROMOTED, Command(reason=said))

    async def _open(self, given: JsonValue) -> None:
        self._page.publish(self._rings)
        try:
            found = await execution.execute(
                SegmentActivities.open_rings, given, summary="make the lanes ready"
            )
        except ActivityError as error:
            kind = getattr(error.cause, "type", None)
            raise ApplicationError(execution.cause(error), type=kind, non_retryable=True) from error
        self._rings.open(found)

    async def _wait_for_turn(self) -> None:
        """Sleep until the ring may start, or a rollback is ordered."""
        rings = self._rings
        while not (rings.rollback or rings.may_start(now := workflow.now())):
            self._page.publish(rings)
            left = rings.ready_at - now if rings.ready_at and not rings.pause else None
            said = f"{words(rings.phase())}: {rings.report.title} is next"
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self._woken, timeout=left, timeout_summary=said
                )
            self._woken = False

    async def _roll_out(self) -> Command | None:
        """Take the ring's turn; return why it failed, None when it is promoted."""
        rings = self._rings
        rings.start()
        self._page.publish(rings)
        try:
            outcome = await self._follow(await self._start())
        except WorkflowAlreadyStartedError as error:
            why = f"a rollout of {rings.report.prompt} is live already: {error.workflow_id}"
            return self._failed(RingPhase.REFUSED, Command(reason=why))
        except ChildWorkflowError as error:
            return await self._lost(error.cause or error)
        if outcome.outcome is not Phase.PROMOTED:
            command = Command(reason=outcome.reason[:2000], by=outcome.by[:200])
            return self._failed(RingPhase.ROLLED_BACK, command, rollout_id=outcome.rollout_id)
        rings.end(RingPhase.PROMOTED, rollout_id=outcome.rollout_id)
        if rings.rollback:  # it came too late for the ring's own rollout
            await self._revert(rings.at, rings.rollback)
        return rings.rollback

    async def _start(self) -> Child:
        request, prompt = self._rings.request(), self._rings.report.prompt
        return await workflow.start_child_workflow(
            RolloutWorkflow.run,
            request.model_dump(mode="json"),
            id=f"rollout/{prompt}",
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=literal(f"{prompt} → {request.candidate} by plan {request.plan.name}"),
            static_details=literal(request.reason),
        )

    async def _follow(self, child: Child) -> Outcome:
        """Tell the ring what people say, until it has ended."""
        while not child.done():
            self._woken = False
            while self._rings.outbox:
                sent = self._rings.outbox.pop(0)
                with suppress(TemporalError):  # it has ended meanwhile
                    await child.signal(sent.verb.value, sent.command.model_dump(mode="json"))
            self._page.publish(self._rings)
            await workflow.wait_condition(lambda: child.done() or self._woken)
        return await child

    async def _lost(self, error: BaseException) -> Command:
        """Note a ring that was refused; restore what one that ended without a word has left."""
        why = execution.cause(error)
        phase = RingPhase.REFUSED
        if not isinstance(error, ApplicationError):
            order, phase = self._rings.orphan(why), RingPhase.ROLLED_BACK
            await execution.execute(SegmentActivities.roll_back_orphan, order, summary=why[:80])
        return self._failed(phase, Command(reason=why[:2000]))

    def _failed(self, phase: RingPhase, command: Command, *, rollout_id: str = "") -> Command:
        self._rings.end(phase, rollout_id=rollout_id, reason=command.reason)
        reason = f"{self._rings.report.title}: {command.reason}"
        return Command(reason=reason[:2000], by=command.by)

    async def _give_up(self, command: Command) -> RingsOutcome:
        """Start no further ring; return the promoted ones to what they had, if the plan says so."""
        rings = self._rings
        rings.ending = RingsPhase.ROLLING_BACK
        for index in reversed(range(rings.at if rings.reverts else 0)):
            if rings.reports[index].phase is RingPhase.PROMOTED:
                await self._revert(index, command)
        left = any(report.phase is RingPhase.NOT_REVERTED for report in rings.reports)
        end = RingsPhase.ROLLED_BACK if rings.reverts else RingsPhase.STOPPED
        return self._end(RingsPhase.ROLLBACK_INCOMPLETE if left else end, command)

    async def _revert(self, index: int, command: Command) -> None:
        """Return a promoted ring to the exact state before its rollout, and read it back."""
        report = self._rings.reports[index]
        self._page.publish(self._rings)
        order = RollBack(rollout_id=report.rollout_id, reason=command.reason, by=command.by)
        try:
            await execution.execute(
                RolloutActivities.roll_back, order, summary=f"{report.prompt} as it was before"
            )
            missing = await execution.execute(
                RolloutActivities.read_back, report.rollout_id, summary="is all as before?"
            )
        except ActivityError as error:
            missing = [execution.cause(error)]
        phase = RingPhase.NOT_REVERTED if missing else RingPhase.REVERTED
        self._rings.tell(index, phase=phase, reason="; ".join(missing) or command.reason)

    def _continue_as_new_if_long(self) -> None:
        """Start a fresh history between two rings, before this one is too long."""
        calm = not self._rings.rollback and workflow.all_handlers_finished()
        if calm and workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new({"carried": self._rings.model_dump(mode="json")})

    def _end(self, phase: RingsPhase, command: Command) -> RingsOutcome:
        self._rings.ending = phase
        self._page.publish(self._rings)
        return RingsOutcome.of(self._rings, command)
