"""Who has tried tokens in vain, and how often: in this process, by the address they come from."""

from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

MOST = 10_000  # addresses; the one that was quiet for longest is forgotten first


class Attempts:
    """Lets each address fail `most` times within a time, then makes it wait."""

    def __init__(
        self, most: int, *, within: timedelta, clock: Callable[[], float] = monotonic
    ) -> None:
        self._most = most
        self._within = within.total_seconds()
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, address: str) -> timedelta:
        """Return how long to wait before the next try; 0 if it may be made now."""
        failed, now = self._failed.get(address), self._clock()
        if failed is None or len(failed) < self._most:
            return timedelta(0)
        return timedelta(seconds=max(0.0, failed[0] + self._within - now))

    def fail(self, address: str) -> None:
        """Count one that failed."""
        failed = self._failed.setdefault(address, deque(maxlen=self._most))
        failed.append(self._clock())
        self._failed.move_to_end(address)
        while len(self._failed) > MOST:
            self._failed.popitem(last=False)
