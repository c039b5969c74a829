"""The life of one experiment: open, split, look; then its tests, and what follows from them."""

import asyncio

from pydantic import JsonValue, ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.trials import Conclude, LookAt, OpenTrial
    from activities.trials import TrialActivities as Hands
    from domain.trials.findings import Conclusion
    from workflows import execution
    from workflows.commands import only
    from workflows.execution import Method, Order, Result
    from workflows.experiments import captions
    from workflows.experiments.commands import Choice, Verb
    from workflows.experiments.ending import ExperimentEnding
    from workflows.experiments.page import ExperimentPublication
    from workflows.experiments.state import State

JITTER = 0.1  # of a wait, so that a thousand experiments started together do not look together


@workflow.defn
class ExperimentWorkflow(ExperimentEnding):
    """Compares versions until its plan or a person ends it, and does what follows.

    An arm that is shown to harm is stopped early: its users get control, nobody else moves. It ends
    with a version deployed, with a rollout of it, or with control for everybody; so it does when a
    person stops it, when it is cancelled, and when the domain refuses a step.
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
        self._publication = ExperimentPublication()

    @workflow.run
    async def run(self, *given: JsonValue) -> Conclusion:
        """Return what it came to.

        Args:
            given: One `ExperimentRequest` as JSON; a wrong one fails this workflow with a sentence.
        """
        try:
            if self._state.trial is None:
                await execution.shielded(self._open(only(given)))
            return await self._carry_out(await self._until_decided())
        except execution.GivenUp:
            return await execution.shielded(self._stop(self._state.stop or Choice()))
        except (ActivityError, asyncio.CancelledError) as error:
            if self._state.trial is None:
                raise
            cancelled = is_cancelled_exception(error)
            reason = "cancelled" if cancelled else execution.cause(error)
            conclusion = await execution.shielded(self._stop(Choice(reason=reason[:2000])))
            if cancelled:
                raise
            return conclusion

    async def _open(self, given: JsonValue) -> None:
        self._publication.publish(self._state)
        info = workflow.info()
        order = OpenTrial(
            request=given, key=info.first_execution_run_id, workflow_id=info.workflow_id
        )
        try:
            opened = await execution.execute(Hands.open_trial, order, summary="split the users")
        except ActivityError as error:
            kind = getattr(error.cause, "type", None)
            raise ApplicationError(execution.cause(error), type=kind, non_retryable=True) from error
        self._state.open(opened, now=workflow.now())

    async def _until_decided(self) -> Choice:
        """Look at every arm, whatever the phase, until it is known what follows."""
        state = self._state
        while True:
            await self._wait()
            await self._write_notes()
            await self._look()
            self._drop_a_choice_that_harms()
            if state.conclusion is None and self._is_over():
                await self._conclude()
            if state.conclusion is not None and (choice := state.verdict()) is not None:
                return choice
            self._continue_as_new_if_long()

    async def _wait(self) -> None:
        """Sleep until the next look, or until a person says something."""
        now, state = workflow.now(), self._state
        pause = state.next_wait(now) * (1 + JITTER * workflow.random().random())
        state.next_look_at = now + pause
        self._publication.publish(state)
        said = captions.wait(state, now=now)
        try:
            await workflow.wait_condition(lambda: self._woken, timeout=pause, timeout_summary=said)
        except TimeoutError:
            state.waited()
        self._woken = False
        if self._stop_ordered():
            raise execution.GivenUp

    async def _look(self) -> None:
        """Look; what cannot be measured changes nothing, and keeps it from ending early."""
        state = self._state
        state.looks += 1
        order = LookAt(trial_id=state.id, number=state.looks)
        try:
            said = f"no. {order.number} at every arm"
            state.report = await self._do(Hands.look_at_arms, order, said, execution.READ)
        except ActivityError as error:
            if is_cancelled_exception(error) or execution.is_refusal(error):
                raise
            state.blind = f"cannot be measured: {execution.cause(error)}"
            return
        state.blind = ""
        for arm in state.report.harmed:
            epoch = await self._do(Hands.stop_arm, state.stop_order(arm), f"stop {arm.version}")
            state.without(arm.version, epoch=epoch)

    def _drop_a_choice_that_harms(self) -> None:
        """Nobody outvotes harm: what was found since the choice was accepted."""
        state = self._state
        if state.choice and state.choice.version in state.opened.stopped:
            state.refuse(Verb.DEPLOY, f"{state.choice.version} was stopped", by=state.choice.by)
            state.choice = state.hurry = None

    def _is_over(self) -> bool:
        state = self._state
        return bool(state.hurry) or not state.treatments or state.is_over(workflow.now())

    async def _conclude(self) -> None:
        """Ask the tests of the end, once."""
        state, person = self._state, self._state.hurry or Choice()
        order = Conclude(
            trial_id=state.id, early=bool(state.hurry), by=person.by, reason=person.reason
        )
        state.conclusion = await self._do(Hands.conclude_trial, order, "the tests of its end")
        state.hurry = None

    async def _do(
        self,
        method: Method[Order, Result],
        order: Order,
        summary: str,
        config: workflow.ActivityConfig = execution.WRITE,
    ) -> Result:
        """Take one step, unless a stop is ordered meanwhile: that comes first."""
        return await execution.execute_unless(
            self._stop_ordered, method, order, summary=summary, config=config
        )

    def _stop_ordered(self) -> bool:
        return self._state.stop is not None and self._state.ending is None

    def _continue_as_new_if_long(self) -> None:
        """Start a fresh history before this one is too long, unless somebody is waiting."""
        calm = not (self._woken or self._state.notes.lines) and workflow.all_handlers_finished()
        if calm and workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new({"carried": self._state.model_dump(mode="json")})
