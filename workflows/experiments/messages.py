"""What a person may send to an experiment: five verbs, as signals and as updates; two questions.

As for rollouts: a signal cannot answer, so a refusal is kept in the progress and the journal; an
update is refused before it enters the history.
"""

from collections.abc import Sequence

from pydantic import JsonValue
from temporalio import workflow

from domain.trials.plan import ExperimentPlan
from workflows.answers import Answer, refused
from workflows.commands import only
from workflows.experiments.commands import Choice, Verb
from workflows.experiments.gates import refusal
from workflows.experiments.progress import ExperimentProgress
from workflows.experiments.state import State
from workflows.memory import Followed, misused
from workflows.messages import INPUT

CHOICE = ' Input: nothing, or {"version": "1.1.0", "reason": "…", "by": "…"}.'
PAUSE = "Stop its clock. Everybody keeps their version; an arm that harms is still stopped." + INPUT
RESUME = "Let a paused experiment run on." + INPUT
STOP = "Give everybody control now and for good, without asking the tests." + INPUT
CONCLUDE = (
    "End it now: the tests are asked, then its end policy is followed, or the version named is"
    " deployed. While it waits for a decision: without a version, control stays." + CHOICE
)
DEPLOY = (
    "Deploy a version now; the one that won, when none is named. It ends the experiment."
    ' Input: nothing, a version, or {"version": "1.1.0", "reason": "…", "by": "…"}.'
)


class ExperimentMessages:
    """The handlers. They set fields; the loop of the workflow acts."""

    _state: State
    _woken: bool

    def _signalled(self, verb: Verb, given: Sequence[JsonValue]) -> None:
        """Follow a signal if it can be; a stop is followed however garbled its reason."""
        try:
            choice = Choice.read(verb, only(given))
        except ValueError as error:
            if verb is not Verb.STOP:
                self._refuse_signal(verb, str(error))
                return
            choice = Choice(reason=f"{only(given)}"[:200])
        if why := self._refusal(verb, choice):
            self._refuse_signal(verb, why, by=choice.by)
            return
        self._take(verb, choice)

    def _refuse_signal(self, verb: Verb, why: str, *, by: str = "") -> None:
        workflow.logger.warning(self._state.refuse(verb, why, by=by))
        self._woken = True

    def _validate(self, verb: Verb, given: JsonValue) -> None:
        try:
            choice = Choice.read(verb, given)
        except ValueError as error:
            refused(f"{verb} was refused: {error}")
        if why := self._refusal(verb, choice):
            refused(f"{verb} was refused: {why}")

    def _answer(self, verb: Verb, given: JsonValue) -> Answer:
        return Answer(said=self._take(verb, Choice.read(verb, given)))

    def _refusal(self, verb: Verb, choice: Choice) -> str:
        if known := self._state.memory.recall(choice.key):
            return misused(known.verb, known.asks, verb=verb, command=choice)
        return refusal(self._state, verb, choice)

    def _take(self, verb: Verb, choice: Choice) -> str:
        """Follow a command, once for each key; return the answer."""
        if known := self._state.memory.recall(choice.key):
            return known.said
        self._woken = True
        said = self._state.take(verb, choice, now=workflow.now())
        self._state.memory.keep(Followed.of(verb, choice, said=said))
        return said

    @workflow.query(description="Every arm as it stands, and what the experiment waits for.")
    def progress(self) -> ExperimentProgress:
        """Return where it stands."""
        return ExperimentProgress.of(self._state, now=workflow.now())

    @workflow.query(description="The plan as it is followed; null until it is open.")
    def plan(self) -> ExperimentPlan | None:
        """Return the plan."""
        return self._state.trial.plan if self._state.trial else None

    @workflow.signal(name="pause", description=PAUSE)
    def pause_signal(self, *given: JsonValue) -> None:
        """Stop the clock."""
        self._signalled(Verb.PAUSE, given)

    @workflow.signal(name="resume", description=RESUME)
    def resume_signal(self, *given: JsonValue) -> None:
        """Run on."""
        self._signalled(Verb.RESUME, given)

    @workflow.signal(name="stop", description=STOP)
    def stop_signal(self, *given: JsonValue) -> None:
        """Give everybody control."""
        self._signalled(Verb.STOP, given)

    @workflow.signal(name="conclude", description=CONCLUDE)
    def conclude_signal(self, *given: JsonValue) -> None:
        """End it now, or decide."""
        self._signalled(Verb.CONCLUDE, given)

    @workflow.signal(name="deploy", description=DEPLOY)
    def deploy_signal(self, *given: JsonValue) -> None:
        """Deploy a version."""
        self._signalled(Verb.DEPLOY, given)

    @workflow.update(description=PAUSE)
    def pause(self, given: JsonValue = None) -> Answer:
        """Stop the clock, and answer."""
        return self._answer(Verb.PAUSE, given)

    @workflow.update(description=RESUME)
    def resume(self, given: JsonValue = None) -> Answer:
        """Run on, and answer."""
        return self._answer(Verb.RESUME, given)

    @workflow.update(description=STOP)
    def stop(self, given: JsonValue = None) -> Answer:
        """Give everybody control, and answer."""
        return self._answer(Verb.STOP, given)

    @workflow.update(description=CONCLUDE)
    def conclude(self, given: JsonValue = None) -> Answer:
        """End it now, or decide, and answer."""
        return self._answer(Verb.CONCLUDE, given)

    @workflow.update(description=DEPLOY)
    def deploy(self, given: JsonValue = None) -> Answer:
        """Deploy a version, and answer."""
        return self._answer(Verb.DEPLOY, given)

    @pause.validator
    def _may_pause(self, given: JsonValue = None) -> None:
        self._validate(Verb.PAUSE, given)

    @resume.validator
    def _may_resume(self, given: JsonValue = None) -> None:
        self._validate(Verb.RESUME, given)

    @stop.validator
    def _may_stop(self, given: JsonValue = None) -> None:
        self._validate(Verb.STOP, given)

    @conclude.validator
    def _may_conclude(self, given: JsonValue = None) -> None:
        self._validate(Verb.CONCLUDE, given)

    @deploy.validator
    def _may_deploy(self, given: JsonValue = None) -> None:
        self._validate(Verb.DEPLOY, given)
