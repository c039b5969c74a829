"""What a person may send to a segmented rollout: the five verbs of a rollout, as it has them.

What concerns a single ring is passed on to the rollout that is running.
"""

from collections.abc import Sequence

from pydantic import JsonValue
from temporalio import workflow

from workflows.answers import Answer, refused
from workflows.commands import Command, Verb, only
from workflows.memory import Followed, misused
from workflows.messages import INPUT
from workflows.rings.page import RingsProgress
from workflows.rings.state import Rings

PAUSE = "Hold the running ring's ramp, and start no further ring. Guardrails stay on." + INPUT
RESUME = "Let the paused ring bake on, and further rings start." + INPUT
PROMOTE = "Send the running ring to its next stage; between rings, start the next one now." + INPUT
APPROVE = "Open the gate of the running ring's stage that waits for an approval." + INPUT
ROLLBACK = "Roll the running ring back, start no other; promoted rings by the plan." + INPUT


class RingsMessages:
    """The handlers. They set fields; the loop of the workflow acts."""

    _rings: Rings
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
        if why := self._refusal(verb, command):
            self._refuse_signal(verb, why)
            return
        self._take(verb, command)

    def _refuse_signal(self, verb: Verb, why: str) -> None:
        self._rings.refused = f"{verb} was refused: {why}"
        self._woken = True
        workflow.logger.warning(self._rings.refused)

    def _validate(self, verb: Verb, given: JsonValue) -> None:
        try:
            command = Command.parse(given)
        except ValueError as error:
            refused(f"{verb} was refused: {error}")
        if why := self._refusal(verb, command):
            refused(f"{verb} was refused: {why}")

    def _answer(self, verb: Verb, given: JsonValue) -> Answer:
        return Answer(said=self._take(verb, Command.parse(given)))

    def _refusal(self, verb: Verb, command: Command) -> str:
        if known := self._rings.memory.recall(command.key):
            return misused(known.verb, known.asks, verb=verb, command=command)
        return self._rings.refusal(verb)

    def _take(self, verb: Verb, command: Command) -> str:
        """Follow a command, once for each key; return the answer."""
        if known := self._rings.memory.recall(command.key):
            return known.said
        self._woken = True
        said = self._rings.take(verb, command)
        self._rings.memory.keep(Followed.of(verb, command, said=said))
        return said

    @workflow.query(description="Where each ring stands, what is waited for, and until when.")
    def progress(self) -> RingsProgress:
        """Return where it stands."""
        return RingsProgress.of(self._rings)

    @workflow.signal(name="pause", description=PAUSE)
    def pause_signal(self, *given: JsonValue) -> None:
        """Hold."""
        self._signalled(Verb.PAUSE, given)

    @workflow.signal(name="resume", description=RESUME)
    def resume_signal(self, *given: JsonValue) -> None:
        """Go on."""
        self._signalled(Verb.RESUME, given)

    @workflow.signal(name="promote", description=PROMOTE)
    def promote_signal(self, *given: JsonValue) -> None:
        """Go on without the rest of the wait."""
        self._signalled(Verb.PROMOTE, given)

    @workflow.signal(name="approve", description=APPROVE)
    def approve_signal(self, *given: JsonValue) -> None:
        """Open the running ring's gate."""
        self._signalled(Verb.APPROVE, given)

    @workflow.signal(name="rollback", description=ROLLBACK)
    def rollback_signal(self, *given: JsonValue) -> None:
        """End it."""
        self._signalled(Verb.ROLLBACK, given)

    @workflow.update(description=PAUSE)
    def pause(self, given: JsonValue = None) -> Answer:
        """Hold, and answer."""
        return self._answer(Verb.PAUSE, given)

    @workflow.update(description=RESUME)
    def resume(self, given: JsonValue = None) -> Answer:
        """Go on, and answer."""
        return self._answer(Verb.RESUME, given)

    @workflow.update(description=PROMOTE)
    def promote(self, given: JsonValue = None) -> Answer:
        """Go on without the rest of the wait, and answer."""
        return self._answer(Verb.PROMOTE, given)

    @workflow.update(description=APPROVE)
    def approve(self, given: JsonValue = None) -> Answer:
        """Open the running ring's gate, and answer."""
        return self._answer(Verb.APPROVE, given)

    @workflow.update(description=ROLLBACK)
    def rollback(self, given: JsonValue = None) -> Answer:
        """End it, and answer."""
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
