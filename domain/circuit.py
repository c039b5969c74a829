"""When to leave something alone that does not answer, and when to try it again."""

import time
from collections.abc import Callable
from datetime import timedelta

FIRST = timedelta(milliseconds=250)
LONGEST = timedelta(seconds=10)


class Circuit:
    """Pauses after each failure, twice as long after each further one."""

    def __init__(
        self,
        *,
        first: timedelta = FIRST,
        longest: timedelta = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the first and the longest pause, and a clock of seconds that never goes back."""
        self._first, self._longest = first.total_seconds(), longest.total_seconds()
        self._clock = clock
        self._pause = 0.0
        self._until = 0.0

    @property
    def pausing(self) -> bool:
        """Whether it is to be left alone; after the pause it may be tried once more."""
        return self._pause > 0 and self._clock() < self._until

    def failed(self) -> float:
        """Begin a pause and return its length in seconds."""
        self._pause = min(self._longest, max(self._first, 2 * self._pause))
        self._until = self._clock() + self._pause
        return self._pause

    def worked(self) -> bool:
        """Go on without pauses; return whether that is news."""
        failed, self._pause = self._pause > 0, 0.0
        return failed
