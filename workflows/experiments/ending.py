"""How an experiment ends: a version deployed, rolled out by a child, or control for everybody."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from activities.trials import Deploy, Release, Settle
from activities.trials import TrialActivities as Hands
from domain.trials.findings import Conclusion, TrialStatus
from workflows import execution
from workflows.experiments.commands import Choice
from workflows.experiments.messages import ExperimentMessages
from workflows.experiments.page import ExperimentPublication
from workflows.experiments.phase import Phase
from workflows.markdown import CAPTION, literal, words
from workflows.progress import Outcome
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase as RolloutPhase


class ExperimentEnding(ExperimentMessages):
    """The steps from which there is no way back. They are finished even if it is cancelled."""

    _publication: ExperimentPublication

    async def _carry_out(self, choice: Choice) -> Conclusion:
        """Deploy, roll out or keep."""
        self._set_out()
        if choice.version and self._state.plan.rollout is None:
            return await self._end(await execution.shielded(self._deploy(choice)))
        ending = TrialStatus.HANDED_OVER if choice.version else TrialStatus.KEPT
        conclusion = await execution.shielded(self._release(ending, choice))
        if conclusion.ending is TrialStatus.HANDED_OVER:
            conclusion = await self._roll_out(choice)
        return await self._end(conclusion)

    async def _stop(self, choice: Choice) -> Conclusion:
        """Give everybody control; what has ended already stays as it ended."""
        self._set_out()
        return await self._end(await self._release(TrialStatus.STOPPED, choice))

    def _set_out(self) -> None:
        self._state.ending = Phase.ENDING
        self._publication.publish(self._state)

    async def _deploy(self, choice: Choice) -> Conclusion:
        order = Deploy(
            trial_id=self._state.id,
            version=choice.version,
            epoch=self._state.epoch,
            by=choice.by,
            reason=choice.reason,
        )
        said = f"{choice.version} into production"
        return await execution.execute(Hands.deploy_version, order, summary=said)

    async def _release(self, ending: TrialStatus, choice: Choice) -> Conclusion:
        order = Release(
            trial_id=self._state.id,
            ending=ending,
            chosen=choice.version,
            by=choice.by,
            reason=choice.reason,
        )
        said = f"control for everybody: {words(ending)}"
        return await execution.execute(Hands.release_prompt, order, summary=said)

    async def _roll_out(self, choice: Choice) -> Conclusion:
        """Roll the version out and wait for the end; a cancelled experiment leaves it alone."""
        state = self._state
        state.ending = Phase.ROLLING_OUT
        self._publication.publish(state)
        deployed, why = None, ""
        try:
            outcome: Outcome = await workflow.execute_child_workflow(
                RolloutWorkflow.run,
                args=[self._rollout_of(choice)],
                id=f"rollout/{state.opened.prompt}",
                parent_close_policy=ParentClosePolicy.ABANDON,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=literal(f"{state.opened.prompt} → {choice.version}, which won"),
            )
            promoted = outcome.outcome is RolloutPhase.PROMOTED
            deployed = choice.version if promoted else None
            why = f"the rollout of {choice.version} was {outcome.outcome}: {outcome.reason}"
        except ChildWorkflowError as error:
            why = f"the rollout of {choice.version} failed: {_root(error)}"
        except WorkflowAlreadyStartedError:
            why = f"{choice.version} could not be rolled out: a rollout is live already"
        order = Settle(trial_id=state.id, deployed=deployed, reason=why)
        return await execution.execute(Hands.settle_trial, order, summary=why[:80])

    def _rollout_of(self, choice: Choice) -> dict[str, object]:
        """Return the request that starts the rollout."""
        trial, plan = self._state.opened, self._state.plan.rollout
        return {
            "name": trial.name,
            "prompt_type": trial.prompt_type,
            "candidate": choice.version,
            "plan": plan.model_dump(mode="json") if plan else None,
            "by": choice.by,
            "reason": f"experiment {trial.id}: {choice.reason}"[:2000],
        }

    async def _write_notes(self) -> None:
        """Journal what people asked for since the last time."""
        notes = self._state.notes
        while notes.lines:
            note = self._state.remark()
            said = f"{words(note.step)} by {note.by or 'somebody'}: {note.reason}"[:CAPTION]
            await execution.execute(Hands.remark, note, summary=said)
            notes.strike()

    async def _end(self, conclusion: Conclusion) -> Conclusion:
        await self._write_notes()
        self._state.end(conclusion)
        self._publication.publish(self._state)
        return conclusion


def _root(error: BaseException) -> str:
    """Return in one line what was wrong beneath Temporal's wrapping."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or "it was cancelled"
