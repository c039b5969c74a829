"""A rollback, step by step, until it is proved: nothing is too broken to try it again.

Each step is retried by Temporal without limit. What lasts is said where people look.
"""

from collections.abc import Callable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.rollouts import RollBack, RolloutActivities
from domain.duration import spell
from workflows import execution
from workflows.commands import Command
from workflows.execution import Method, Order, Result
from workflows.markdown import CAPTION, literal
from workflows.state import Phase, State

IN_STEPS = "rollback-in-steps-2026-11"
PAUSE = timedelta(seconds=1)  # doubled after each rollback that reads back incomplete
PAUSE_MAX = timedelta(minutes=5)
PATIENCE = timedelta(minutes=1)  # with one step, before the rollback is called incomplete


class Rollback:
    """One rollback of a rollout's workflow."""

    def __init__(
        self, state: State, *, publish: Callable[[], None], rest: Callable[[], None]
    ) -> None:
        """Take what is to be rolled back.

        Args:
            state: Of the rollout.
            publish: Shows people what the state says.
            rest: Called between two tries, where a fresh history may begin.
        """
        self._state = state
        self._publish = publish
        self._rest = rest

    async def until_proved(self, command: Command) -> Command:
        """Try until all is as before; return whose rollback it is, which may be somebody else's.

        Somebody may have rolled back in the database: then it is theirs, and only finished here.

        Raises:
            ApplicationError: The database knows no such rollout, or production has moved on since
                it was completed: there is nothing to restore.
        """
        state = self._state
        state.rollback, state.ending = command, state.ending or Phase.ROLLING_BACK
        take = self._in_steps if workflow.patched(IN_STEPS) else self._at_once
        wait = PAUSE
        while True:
            self._publish()
            try:
                whose, missing = await take(command)
            except ActivityError as error:
                raise execution.failure("cannot be rolled back", error) from error
            if not missing:
                return whose
            self._incomplete("; ".join(missing))
            await workflow.sleep(wait, summary="rollback incomplete: then once more")
            wait = min(wait * 2, PAUSE_MAX)
            self._rest()

    async def _in_steps(self, command: Command) -> tuple[Command, tuple[str, ...]]:
        order = RollBack(rollout_id=self._state.id, reason=command.reason, by=command.by)
        why, was, hands = command.reason[:80], self._state.opened.baseline, RolloutActivities
        await self._take(hands.return_traffic, order, said=f"everybody to {was}: {why}")
        await self._take(hands.restore, order.rollout_id, said="tag, statuses and experiment")
        proof = await self._take(hands.prove, order.rollout_id, said="is all as before?")
        return Command(by=proof.by[:200], reason=proof.reason[:2000]), proof.missing

    async def _take(self, method: Method[Order, Result], order: Order, *, said: str) -> Result:
        """Take one step, however long it takes; past its time, say so and go on trying."""
        config = workflow.ActivityConfig(**{**execution.WRITE, "summary": literal(said)})
        running = workflow.start_activity_method(method, order, **config)
        try:
            late = literal(f"at most {spell(PATIENCE)} for: {said}"[:CAPTION])
            await workflow.wait_condition(running.done, timeout=PATIENCE, timeout_summary=late)
        except TimeoutError:
            self._incomplete(f"still trying: {said}")
        return await running

    async def _at_once(self, command: Command) -> tuple[Command, tuple[str, ...]]:
        """Roll back as rollouts did whose rollback began before release 0.4."""
        order = RollBack(rollout_id=self._state.id, reason=command.reason, by=command.by)
        await execution.execute(RolloutActivities.roll_back, order, summary=command.reason[:80])
        missing = await execution.execute(
            RolloutActivities.read_back, order.rollout_id, summary="is all as before?"
        )
        return command, tuple(missing)

    def _incomplete(self, why: str) -> None:
        self._state.ending = Phase.ROLLBACK_INCOMPLETE
        self._state.refused = f"rollback incomplete: {why}"
        self._publish()
