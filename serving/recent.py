"""Recent: what users were last served, for events that come a moment later."""

from domain.database import Prompt
from domain.snapshot import Assignment

CAPACITY = 50_000  # at least so many users are remembered, at most twice as many


class Recent:
    """Remembers the latest assignments; the oldest half is forgotten at once. From any thread.

    A user who failed with the candidate a moment before the rollback must not count against what
    everybody is served now.
    """

    def __init__(self, *, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._new: dict[tuple[Prompt, str], Assignment] = {}
        self._old: dict[tuple[Prompt, str], Assignment] = {}

    def put(self, prompt: Prompt, user_id: str, assignment: Assignment) -> None:
        """Remember what the user is served."""
        if len(self._new) >= self._capacity:
            self._old, self._new = self._new, {}
        self._new[prompt, user_id] = assignment

    def get(self, prompt: Prompt, user_id: str) -> Assignment | None:
        """Return what the user was last served; None if that was too many users ago."""
        key = (prompt, user_id)
        return self._new.get(key) or self._old.get(key)
