"""What people asked for and the journal still lacks; carried until it is written."""

from pydantic import BaseModel

from activities.rollouts import Note
from domain.record import Kind


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
