"""What a router listens to."""

from collections.abc import Sequence
from typing import Protocol

from domain.snapshot import RoutingSnapshot


class Listener(Protocol):
    """Serves from what it hears, as a `Router` does."""

    def hear(self, snapshot: RoutingSnapshot) -> None:
        """Serve from a snapshot unless it is older than the one held."""

    def wake(self) -> None:
        """Have the database asked now."""

    def rely(self, told: bool) -> None:
        """Know whether changes are told of, from now on."""


class Updates(Protocol):
    """Tells of changes as they happen."""

    async def load(self) -> Sequence[RoutingSnapshot]:
        """Return what is known without the database, nothing if nobody can be asked."""

    async def follow(self, listener: Listener) -> None:
        """Tell the listener until cancelled; outages are waited out."""
