"""The pictures of a rollout, each with its figures: drawn in a thread, and kept until a check."""

from dataclasses import dataclass

from markupsafe import Markup

from domain.rollouts import RolloutManager
from gateway.dashboard.rollouts.sheet import Sheet


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture, and the same as a table for who does not see it."""

    title: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Drawings:
    """Draws."""

    def __init__(self, rollouts: RolloutManager) -> None:
        self._rollouts = rollouts

    async def of(self, sheet: Sheet) -> tuple[Drawing, ...]:
        """Return the pictures of a rollout."""
        return ()
