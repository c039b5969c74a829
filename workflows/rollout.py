"""The life of one rollout: open, ramp, bake, judge; then promoted, or rolled back."""

import asyncio

from pydantic import JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.rollouts import Check, RolloutActivities
    from domain.judge import Verdict
    from workflows import captions, execution, opening, orders, timing
    from workflows.commands import Command, only
    from workflows.execution import Method, Order, Result
    from workflows.granting import Grants
    from workflows.messages import RolloutMessages
    from workflows.progress import Outcome
    from workflows.publication import Publication
    from workflows.rollback import Rollback
    from workflows.state import Phase, State

JITTER = 0.1  # of a wait, so that a thousand rollouts started together do not check together


@workflow.defn
class RolloutWorkflow(RolloutMessages):
    """Ramps a candidate up, stage by stage, and never leaves it half-way.

    Ends promoted or rolled back. Harm rolls back in every state, paused ones too; so do a person,
    a cancellation, and a domain that refuses a step. Doubt and blindness hold.
    """

    @workflow.init
    def __init__(self, *given: JsonValue) -> None:
        request = only(given)
        carried = request.get("carried") if isinstance(request, dict) else None
        try:
            self._state = State.model_validate(carried or {})
        except ValidationError:
            self._state = State()  # opening refuses what we did not write ourselves
        self._woken = False
        self._grants, self._publication = Grants(), Publication()

    @workflow.run
    async def run(self, *given: JsonValue) -> Outcome:
        """Return how it ended.

        Args:
            given: One `RolloutRequest` as JSON; a wrong one fails this workflow with a sentence.
        """
        try:
            if self._state.rollout is None:
                if not await opening.keep_appointment(self._state, only(given), self._publish):
                    return self._end(Phase.WITHDRAWN, self._state.rollback or Command())
                await execution.shielded(opening.take(self._state, only(given), self._publish))
            if self._state.ending is not None:  # a rollback that began in an earlier history
                raise execution.GivenUp
            return await self._go_through_stages()
        except execution.GivenUp:
            return await execution.shielded(self._roll_back(self._state.rollback or Command()))
        except (ActivityError, asyncio.CancelledError) as error:
            if self._state.rollout is None:
                raise
            cancelled = is_cancelled_exception(error)
            reason = "cancelled" if cancelled else execution.cause(error)
            outcome = await execution.shielded(self._roll_back(Command(reason=reason)))
            if cancelled:
                raise
            return outcome

    async def _go_through_stages(self) -> Outcome:
        state = self._state
        while True:
            await (self._bake() if state.stage else self._stay_outside())
            asked = workflow.now()
            try:
                if state.final:
                    return await self._complete()
                await self._enter(state.next_stage())
            except ActivityError as error:
                timing.put_off(state, error, asked=asked, now=workflow.now())

    async def _complete(self) -> Outcome:
        said = f"{self._state.opened.candidate} for everybody"
        await self._do(RolloutActivities.complete, self._state.id, said)
        outcome = self._end(Phase.PROMOTED, Command(reason=self._state.verdict.reason))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    async def _stay_outside(self) -> None:
        """Wait if the first ramp was refused for now; nobody is served, so nothing is judged."""
        while self._state.calendar.closed is not None:
            timing.tell_of_windows(self._state, workflow.now())
            await self._write_notes()
            await self._wait()
            await self._grants.carry_out(self._state, self._do)
            if self._state.pause is None:
                return

    async def _enter(self, stage: int) -> None:
        """Ramp to the stage; past the last one, promote."""
        state = self._state
        if stage <= len(state.plan.stages):
            said = captions.ramp(state, stage)
            epoch = await self._do(RolloutActivities.ramp, orders.ramp(state, stage), said)
        else:
            said = f"{state.opened.candidate} into production"
            epoch = await self._do(RolloutActivities.promote, orders.promote(state), said)
        state.enter(stage, epoch=epoch, now=workflow.now())

    async def _bake(self) -> None:
        """Judge at every check, whatever the phase, until the stage may end."""
        while True:
            await self._wait()
            await self._grants.carry_out(self._state, self._do)
            await self._write_notes()
            self._state.checks += 1
            self._state.judged(await self._check())
            if self._rollback_ordered():
                raise execution.GivenUp
            if self._state.may_go_on(workflow.now()):
                return
            self._continue_as_new_if_long()

    async def _wait(self) -> None:
        """Sleep until the next check, or until a person says something."""
        now, state = workflow.now(), self._state
        pause = state.next_wait(now)
        pause += JITTER * workflow.random().random() * min(pause, state.plan.check_max)
        state.next_check_at = now + pause
        timing.tell_of_windows(state, now)
        self._publish()
        said = captions.wait(state, now=now)
        try:
            await workflow.wait_condition(lambda: self._woken, timeout=pause, timeout_summary=said)
        except TimeoutError:
            state.waited()
        self._woken = False
        timing.expire(state, workflow.now())
        if self._rollback_ordered():
            raise execution.GivenUp

    async def _check(self) -> Verdict:
        """Judge; what cannot be measured is an error, which holds."""
        state, now = self._state, workflow.now()
        order = Check(rollout_id=state.id, number=state.checks, baked=state.elapsed(now))
        said = f"no. {order.number} at {state.step.percent:g} %"
        try:
            verdict = await self._do(RolloutActivities.check, order, said, execution.READ)
        except ActivityError as error:
            if is_cancelled_exception(error) or execution.is_refusal(error):
                raise
            return state.blind(execution.cause(error), now=workflow.now())
        state.blind_since, state.calendar.closed = None, verdict.closed
        return verdict

    async def _write_notes(self, config: workflow.ActivityConfig = execution.READ) -> None:
        """Journal what people asked for since the last time, as far as that can be done now."""
        await self._state.notes.write(self._state.id, self._rollback_ordered, config=config)

    async def _roll_back(self, command: Command) -> Outcome:
        """Restore and read back, again and again until nothing differs."""
        rollback = Rollback(self._state, publish=self._publish, rest=self._begin_anew_if_long)
        whose = self._state.rollback = await rollback.until_proved(command)
        await self._write_notes(execution.WRITE)
        return self._end(Phase.ROLLED_BACK, whose)

    def _publish(self) -> None:
        self._publication.publish(self._state)

    def _end(self, phase: Phase, command: Command) -> Outcome:
        self._state.ending = phase
        self._publish()
        return Outcome.of(self._state, command)

    async def _do(
        self,
        method: Method[Order, Result],
        order: Order,
        summary: str,
        config: workflow.ActivityConfig = execution.WRITE,
    ) -> Result:
        """Take one step, unless a rollback is ordered meanwhile: that comes first."""
        return await execution.execute_unless(
            self._rollback_ordered, method, order, summary=summary, config=config
        )

    def _rollback_ordered(self) -> bool:
        return self._state.rollback is not None and self._state.ending is None

    def _continue_as_new_if_long(self) -> None:
        """Start a fresh history before this one is too long, unless somebody is waiting."""
        if not (self._woken or self._state.notes.lines):
            self._begin_anew_if_long()

    def _begin_anew_if_long(self) -> None:
        if workflow.all_handlers_finished() and workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new({"carried": self._state.model_dump(mode="json")})
