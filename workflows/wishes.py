"""Changes to the plan that people asked for, until the loop has carried them out."""

from pydantic import BaseModel, JsonValue

from activities.rollouts import Amend
from domain.record import Kind
from workflows.commands import Verb


class Wish(BaseModel):
    """A change to the plan.

    Attributes:
        number: Counted from 1 over the rollout.
        signalled: Whether nobody waits for the answer.
        asks: What the command asked, to know it again by its key.
    """

    number: int
    verb: Verb
    change: dict[str, JsonValue]
    signalled: bool = False
    by: str = ""
    reason: str = ""
    key: str = ""
    asks: str = ""

    def order(self, rollout_id: str) -> Amend:
        """Return the order to carry it out."""
        return Amend(
            rollout_id=rollout_id,
            key=f"amend:{self.number}",
            change=self.change,
            kind=Kind.EXTENDED if self.verb is Verb.EXTEND else Kind.AMENDED,
            by=self.by,
            reason=self.reason,
        )
