"""Orders: what people ask of a rollout over HTTP, by routes and by pages alike."""

import asyncio
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from control.connection import NoRollout, Unreachable
from control.keys import identity
from control.rollouts import TELLING, Verb
from domain.errors import InvalidValue
from domain.rollouts import RolloutManager
from gateway.operators import Operators, Said, prompt_of


class Steered(Said):
    """What the rollout answered; of a change to the plan, a line for each value."""

    changes: Sequence[str] = ()


class Orders:
    """Takes a verb to the live rollout of a prompt."""

    def __init__(self, operators: Operators, rollouts: RolloutManager) -> None:
        self._operators = operators
        self._rollouts = rollouts

    async def send(
        self,
        verb: Verb,
        flag: str,
        *,
        reason: str,
        by: str,
        key: str = "",
        direct: bool = False,
        asked: Mapping[str, JsonValue],
    ) -> Steered:
        """Send it and return the answer; a rollback is never refused.

        Raises:
            InvalidValue: It cannot be meant.
            Refused, NoRollout, Unreachable: As `Control.order` says.
        """
        name, prompt_type = prompt_of(flag)
        identity(verb, {"reason": reason, "key": key, **asked})  # refuses what cannot be meant
        if direct:
            return await self._directly(flag, verb, reason, by=by)
        control = await self._operators.rollouts()
        try:
            answer = await control.order(
                verb, name, prompt_type, reason=reason, by=by, key=key, asked=asked
            )
        except NoRollout:
            if verb is Verb.ROLLBACK and await self._rollouts.roll_back_prompt(
                name, prompt_type, reason=reason or "its workflow was gone", by=by
            ):
                return Steered(said="rolled back in the database: its workflow was gone")
            raise
        return Steered(said=answer.said, changes=answer.changes)

    async def _directly(self, flag: str, verb: Verb, reason: str, *, by: str) -> Steered:
        """Roll back in the database, then tell the workflow, if Temporal is there."""
        if verb is not Verb.ROLLBACK:
            raise InvalidValue(f"direct: only a rollback can be, got {verb.value}")
        prompt = prompt_of(flag)
        proof = await self._rollouts.roll_back_directly(*prompt, reason=reason, by=by)
        try:
            async with asyncio.timeout(TELLING.total_seconds()):
                control = await self._operators.rollouts()
            told = await control.tell(*prompt, reason=proof.reason, by=by)
        except (Unreachable, TimeoutError):
            told = False
        then = "was told" if told else "was not reached, and will find it so"
        return Steered(said=f"rolled back directly, and read back; its workflow {then}")
