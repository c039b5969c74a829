"""How long work tells how far it is."""

from collections.abc import Callable

Told = Callable[[float], None]  # given the share that is done, 0 to 1, now and then


def nobody(_share: float) -> None:
    """Tell nobody."""
