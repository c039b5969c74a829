"""How a message is heard: read, held against the state, followed once, answered."""

from collections.abc import Sequence

from pydantic import JsonValue
from temporalio import workflow

from workflows.answers import Answer, Changed, refused
from workflows.commands import Command, Verb, only, read
from workflows.gates import refusal
from workflows.granting import Grants
from workflows.memory import Followed
from workflows.state import State
from workflows.steering import obey, wish

CHANGES = {Verb.EXTEND, Verb.AMEND}  # of the plan: the loop carries them out


class Hearing:
    """What all handlers share. They set fields; the loop of the workflow acts."""

    _state: State
    _grants: Grants
    _woken: bool

    def _signalled(self, verb: Verb, given: Sequence[JsonValue]) -> None:
        """Follow a signal if it can be; a rollback is followed however garbled its reason."""
        try:
            command = read(verb, only(given))
        except ValueError as error:
            if verb is not Verb.ROLLBACK:
                self._refuse_signal(verb, str(error))
                return
            command = Command(reason=f"{only(given)}"[:200])
        if why := refusal(self._state, verb, command, now=workflow.now()):
            self._refuse_signal(verb, why, by=command.by)
        elif self._state.requests.known(command.key) is None:
            self._take(verb, command, signalled=True)

    def _refuse_signal(self, verb: Verb, why: str, *, by: str = "") -> None:
        workflow.logger.warning(self._state.refuse(verb, why, by=by))
        self._woken = True

    def _take(self, verb: Verb, command: Command, *, signalled: bool = False) -> str:
        self._woken = True
        if verb in CHANGES:
            wish(self._state, verb, command, now=workflow.now(), signalled=signalled)
            return ""
        said = obey(self._state, verb, command, now=workflow.now()) + self._concerned()
        self._state.requests.memory.keep(Followed.of(verb, command, said=said))
        return said

    def _validate(self, verb: Verb, given: JsonValue) -> None:
        try:
            command = read(verb, given)
        except ValueError as error:
            refused(f"{verb} was refused: {error}")
        if why := refusal(self._state, verb, command, now=workflow.now()):
            refused(f"{verb} was refused: {why}")

    def _answer(self, verb: Verb, given: JsonValue) -> Answer:
        command = read(verb, given)
        known = self._state.requests.memory.recall(command.key)
        return Answer(said=known.said if known else self._take(verb, command))

    def _concerned(self) -> str:
        """Name all that go along, where there are several."""
        bundle = self._state.rollout.bundle if self._state.rollout else ()
        return f" ({' + '.join(each.prompt for each in bundle)})" if bundle else ""

    async def _changed(self, verb: Verb, given: JsonValue) -> Changed:
        """Have the plan changed, once for each key."""
        command = read(verb, given)
        known = self._state.requests.known(command.key)
        if isinstance(known, Followed):
            return Changed(said=known.said, changes=known.changes)
        if known is None:
            self._take(verb, command)
        number = known.number if known else self._state.requests.wished
        return await self._grants.answer(number, self._state)
