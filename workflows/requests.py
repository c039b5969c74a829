"""What people asked for with a key, or in a way that only the loop can carry out."""

from pydantic import BaseModel

from workflows.memory import Followed, Memory
from workflows.wishes import Wish


class Requests(BaseModel):
    """Carried by continue-as-new, so that a key counts once over the whole rollout.

    Attributes:
        wishes: Changes to the plan that wait for the loop, the oldest first.
        wished: How many there were.
    """

    memory: Memory = Memory()
    wishes: list[Wish] = []
    wished: int = 0

    def known(self, key: str) -> Followed | Wish | None:
        """Return the command that came with the key, followed or still waiting."""
        waiting = (wish for wish in self.wishes if key and wish.key == key)
        return self.memory.recall(key) or next(waiting, None)
