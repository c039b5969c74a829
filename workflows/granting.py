"""How the loop carries out changes to the plan, and how those who asked are told."""

from collections.abc import Awaitable, Callable

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.rollouts import Amend, RolloutActivities
from domain.amendment import Amended
from workflows import execution
from workflows.answers import Changed, refused
from workflows.execution import Method
from workflows.memory import Followed
from workflows.state import State
from workflows.wishes import Wish

Do = Callable[[Method[Amend, Amended], Amend, str], Awaitable[Amended]]


class Grants:
    """What became of the wishes of this run; who asked waits here."""

    def __init__(self) -> None:
        self._answers: dict[int, Changed | str] = {}

    async def carry_out(self, state: State, do: Do) -> None:
        """Change the plan as was asked, one wish after the other; a refused one changes nothing."""
        wishes = state.requests.wishes
        while wishes:
            self._answers[wishes[0].number] = await self._carry_out(state, wishes[0], do)
            del wishes[0]

    async def _carry_out(self, state: State, asked: Wish, do: Do) -> Changed | str:
        said = f"{asked.verb} by {asked.by or 'somebody'}"
        try:
            amended = await do(RolloutActivities.amend, asked.order(state.id), said)
        except ActivityError as error:
            if not execution.is_refusal(error):
                raise
            why = execution.cause(error)
            if asked.signalled:
                return state.refuse(asked.verb, why, by=asked.by)
            return f"{asked.verb} was refused: {why}"
        state.follow(amended.after)
        answer = Changed(said=f"{asked.verb}ed", changes=amended.diff)
        told = asked.model_dump(include={"key", "verb", "asks"})
        state.requests.memory.keep(Followed(**told, said=answer.said, changes=answer.changes))
        return answer

    async def answer(self, number: int, state: State) -> Changed:
        """Wait until a wish is granted, and answer.

        Raises:
            ApplicationError: It was refused, or something else came first.
        """
        await workflow.wait_condition(lambda: number in self._answers or state.is_over)
        found = self._answers.get(number, "it was refused: the rollout has ended, or rolls back")
        return found if isinstance(found, Changed) else refused(found)
