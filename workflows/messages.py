"""What a person may send to a rollout: five verbs, as signals and as updates; two questions.

A signal is for Temporal's UI and CLI and cannot answer: a refusal is kept in the progress and the
journal. An update is refused before it enters the history. Signals take any number of inputs,
because one that Python could not call would stick the workflow.
"""

from collections.abc import Sequence
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, JsonValue
from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.plan import RolloutPlan
from workflows.commands import Command, Verb, only
from workflows.gates import refusal
from workflows.progress import Progress
from workflows.state import State

INPUT = ' Input: nothing, a text, or {"reason": "…", "by": "…"}.'
PAUSE = "Hold the ramp where it is. The guardrails stay on: harm still rolls back." + INPUT
RESUME = "Let a paused rollout bake on for what was left of its stage." + INPUT
PROMOTE = "Go on to the next stage after one more check, without the rest of the bake." + INPUT
APPROVE = "Open the gate of a stage that has baked and waits for an approval." + INPUT
ROLLBACK = "Return every user to the version before, now and for good." + INPUT


class Answer(BaseModel):
    """What an update answers; a refusal is the update's failure and says why."""

    model_config = ConfigDict(frozen=True)

    accepted: bool = True
    said: str = ""


class RolloutMessages:
    """The handlers. They set fields; the loop of the workflow acts."""

    _state: State
    _woken: bool

    def _signalled(self, verb: Verb, given: Sequence[JsonValue]) -> None:
        """Follow a signal if it can be; a rollback is followed however garbled its reason."""
        try:
            command = Command.parse(only(given))
        except ValueError as error:
            if verb is not Verb.ROLLBACK:
                self._refuse_signal(verb, str(error))
                return
            command = Command(reason=f"{only(given)}"[:200])
        if why := refusal(self._state, verb, now=workflow.now()):
            self._refuse_signal(verb, why, by=command.by)
            return
        self._state.take(verb, command, now=workflow.now())
        self._woken = True

    def _refuse_signal(self, verb: Verb, why: str, *, by: str = "") -> None:
        workflow.logger.warning(self._state.refuse(verb, why, by=by))
        self._woken = True

    def _validate(self, verb: Verb, given: JsonValue) -> None:
        try:
            Command.parse(given)
        except ValueError as error:
            _refused(f"{verb} was refused: {error}")
        if why := refusal(self._state, verb, now=workflow.now()):
            _refused(f"{verb} was refused: {why}")

    def _answer(self, verb: Verb, given: JsonValue) -> Answer:
        said = self._state.take(verb, Command.parse(given), now=workflow.now())
        self._woken = True
        bundle = self._state.rollout.bundle if self._state.rollout else ()
        concerned = f" ({' + '.join(each.prompt for each in bundle)})" if bundle else ""
        return Answer(said=f"{said}{concerned}")

    @workflow.query(description="Where the rollout stands, what it waits for, and until when.")
    def progress(self) -> Progress:
        """Return where it stands."""
        return Progress.of(self._state, now=workflow.now())

    @workflow.query(description="The plan as it is followed, presets resolved; null until open.")
    def plan(self) -> RolloutPlan | None:
        """Return the plan."""
        return self._state.rollout.plan if self._state.rollout else None

    @workflow.signal(name="pause", description=PAUSE)
    def pause_signal(self, *given: JsonValue) -> None:
        """Hold the ramp."""
        self._signalled(Verb.PAUSE, given)

    @workflow.signal(name="resume", description=RESUME)
    def resume_signal(self, *given: JsonValue) -> None:
        """Bake on."""
        self._signalled(Verb.RESUME, given)

    @workflow.signal(name="promote", description=PROMOTE)
    def promote_signal(self, *given: JsonValue) -> None:
        """Go on to the next stage."""
        self._signalled(Verb.PROMOTE, given)

    @workflow.signal(name="approve", description=APPROVE)
    def approve_signal(self, *given: JsonValue) -> None:
        """Open the gate."""
        self._signalled(Verb.APPROVE, given)

    @workflow.signal(name="rollback", description=ROLLBACK)
    def rollback_signal(self, *given: JsonValue) -> None:
        """Return every user to the baseline."""
        self._signalled(Verb.ROLLBACK, given)

    @workflow.update(description=PAUSE)
    def pause(self, given: JsonValue = None) -> Answer:
        """Hold the ramp, and answer."""
        return self._answer(Verb.PAUSE, given)

    @workflow.update(description=RESUME)
    def resume(self, given: JsonValue = None) -> Answer:
        """Bake on, and answer."""
        return self._answer(Verb.RESUME, given)

    @workflow.update(description=PROMOTE)
    def promote(self, given: JsonValue = None) -> Answer:
        """Go on to the next stage, and answer."""
        return self._answer(Verb.PROMOTE, given)

    @workflow.update(description=APPROVE)
    def approve(self, given: JsonValue = None) -> Answer:
        """Open the gate, and answer."""
        return self._answer(Verb.APPROVE, given)

    @workflow.update(description=ROLLBACK)
    def rollback(self, given: JsonValue = None) -> Answer:
        """Return every user to the baseline, and answer."""
        return self._answer(Verb.ROLLBACK, given)

    @pause.validator
    def _may_pause(self, given: JsonValue = None) -> None:
        self._validate(Verb.PAUSE, given)

    @resume.validator
    def _may_resume(self, given: JsonValue = None) -> None:
        self._validate(Verb.RESUME, given)

    @promote.validator
    def _may_promote(self, given: JsonValue = None) -> None:
        self._validate(Verb.PROMOTE, given)

    @approve.validator
    def _may_approve(self, given: JsonValue = None) -> None:
        self._validate(Verb.APPROVE, given)

    @rollback.validator
    def _may_roll_back(self, given: JsonValue = None) -> None:
        self._validate(Verb.ROLLBACK, given)


def _refused(why: str) -> NoReturn:
    raise ApplicationError(why, type="Refused", non_retryable=True)
