"""How often a token may ask: a bucket each, in this process."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic


class Rates:
    """Lets each token ask `per_second` times a second on average, and `burst` times at once."""

    def __init__(
        self, per_second: float, *, burst: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, token_id: str) -> timedelta:
        """Count one request; return how long to wait before the next try, 0 if it is let pass."""
        now = self._clock()
        level, since = self._levels.get(token_id, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._per_second)
        if level < 1:
            self._levels[token_id] = (level, now)
            return timedelta(seconds=(1 - level) / self._per_second)
        self._levels[token_id] = (level - 1, now)
        return timedelta(0)
