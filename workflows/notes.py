"""What people asked for and the journal still lacks; carried until it is written."""

from collections.abc import Callable

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.rollouts import Note, RolloutActivities
from domain.record import Kind
from workflows.execution import execute_unless, is_refusal
from workflows.markdown import CAPTION, words


class Said(BaseModel):
    """A line for the journal."""

    kind: Kind
    by: str
    reason: str


class Notes(BaseModel):
    """Lines in order; the first is struck once it is written.

    Attributes:
        written: How many were, so that each has a key of its own.
    """

    lines: list[Said] = []
    written: int = 0

    def say(self, kind: Kind, by: str, reason: str) -> None:
        """Append a line."""
        self.lines.append(Said(kind=kind, by=by, reason=reason or "no reason given"))

    def first(self, rollout_id: str) -> Note:
        """Return the order to write the first line."""
        said, key = self.lines[0], f"message:{self.written + 1}"
        return Note(rollout_id=rollout_id, key=key, kind=said.kind, by=said.by, reason=said.reason)

    def strike(self) -> None:
        """Take off the line that `first` gave."""
        del self.lines[0]
        self.written += 1

    async def write(
        self, rollout_id: str, given_up: Callable[[], bool], *, config: workflow.ActivityConfig
    ) -> None:
        """Have every line journalled, or leave for later what cannot be within the patience of it.

        The guardrails must not wait for a journal: that they cannot be read counts, too.

        Raises:
            GivenUp: `given_up()` came true.
        """
        while self.lines:
            note = self.first(rollout_id)
            said = f"{words(note.kind)} by {note.by or 'somebody'}: {note.reason}"[:CAPTION]
            try:
                await execute_unless(
                    given_up, RolloutActivities.note, note, summary=said, config=config
                )
            except ActivityError as error:
                if is_cancelled_exception(error) or is_refusal(error):
                    raise
                return
            self.strike()
