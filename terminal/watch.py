"""Follows a rollout to its end: a live picture in a terminal, else one line per change."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live

from control.connection import Unreachable
from control.picture import Picture, Viewer, agreement
from domain.errors import Unavailable
from domain.record import Decision
from terminal import panes, screen
from terminal.console import say_json

POLL_S = 0.4
OUTAGE_S = 20.0  # how long Temporal or the database may be silent before it is given up
NEWS = 3  # lines about the stack that stay in the picture

Key = tuple[object, ...]


class Show(Protocol):
    """Shows one picture after the other, and lines about the stack beneath."""

    def show(self, picture: Picture) -> None:
        """Show what has changed."""

    def tell(self, line: str) -> None:
        """Show a line."""


class Moving(AbstractContextManager["Moving"]):
    """Redraws in place, while entered."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._console = console
        self._news: list[str] = []
        self._last: Picture | None = None

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        """Redraw."""
        self._last = picture
        self._live.update(
            panes.whole(picture, news=self._news, width=self._console.width), refresh=True
        )

    def tell(self, line: str) -> None:
        """Keep the line under the picture."""
        self._news = [*self._news, line][-NEWS:]
        if self._last is not None:
            self.show(self._last)


class Lines:
    """Prints the journal as it grows; of checks in a row that agree, the first."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rollout = ""
        self._printed = 0
        self._line: Key = ()
        self._state: Key = ()

    def show(self, picture: Picture) -> None:
        """Print what is new."""
        if picture.progress.rollout_id != self._rollout:
            self._rollout, self._printed, self._line = picture.progress.rollout_id, 0, ()
        for decision in picture.decisions[self._printed :]:
            if self._is_change(decision):
                self.tell(screen.line(decision))
        self._printed = len(picture.decisions)
        state = (picture.phase, picture.answers, picture.description.stuck != ())
        if state != self._state:
            self._state = state
            self.tell(screen.standing(picture))

    def tell(self, line: str) -> None:
        """Print the line."""
        self._console.print(line, soft_wrap=True)

    def _is_change(self, decision: Decision) -> bool:
        before, self._line = self._line, agreement(decision)
        return before != self._line


class JsonLines:
    """Prints one object per change."""

    def __init__(self) -> None:
        self._last: Key = ()

    def show(self, picture: Picture) -> None:
        """Print it, unless nothing has changed but the clock."""
        shown = picture.progress
        key = (picture.phase, shown.stage, shown.checks, shown.refused, picture.answers)
        if key != self._last:
            self._last = key
            say_json(picture.to_json())

    def tell(self, line: str) -> None:
        """Keep the stream pure."""


async def follow(viewer: Viewer, name: str, prompt_type: str, *, show: Show) -> Picture:
    """Show the prompt's rollout until it has ended; return the last picture.

    Raises:
        NoRollout: It never had one.
        Unreachable, Unavailable: Temporal or the database is silent for too long.
    """
    clock = asyncio.get_running_loop().time
    seen = clock()
    while True:
        try:
            picture = await viewer.look(name, prompt_type)
        except (Unreachable, Unavailable):
            if clock() - seen > OUTAGE_S:
                raise
        else:
            seen = clock()
            show.show(picture)
            if picture.ended:
                return picture
        await asyncio.sleep(POLL_S)
