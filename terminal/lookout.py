"""`rampart watch` in a terminal: the picture goes on while keys are pressed, asked and answered."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from control.connection import Refused
from control.picture import Picture
from domain.errors import RampartError
from terminal import panes
from terminal.console import harmless
from terminal.question import Asked, Question
from terminal.watch import Show
from workflows.commands import Verb

TICK_S = 0.5  # how often it is looked whether anybody still answers
GRAVE = {Verb.PROMOTE, Verb.ROLLBACK}
MEANT = {
    "p": Verb.PAUSE,
    "r": Verb.RESUME,
    "a": Verb.APPROVE,
    "P": Verb.PROMOTE,
    "b": Verb.ROLLBACK,
}
DOES = {MEANT[key]: does for key, _, does in panes.KEYS if key in MEANT}

Send = Callable[[Verb, str], Awaitable[str]]  # a verb and why; returns what was answered
Follow = Callable[[Show], Awaitable[Picture]]


class Harmless:
    """Something to draw, with nothing of others in it that a terminal would obey."""

    def __init__(self, drawn: RenderableType) -> None:
        self._drawn = drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Draw it."""
        return harmless(console.render(self._drawn, options))


class Lookout(App[None]):
    """Shows a rollout until it has ended or somebody leaves, and sends what keys stand for.

    Attributes:
        last: The last picture; None before the first.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: ansi_default; color: ansi_default; }
    #head { height: auto; max-height: 60%; }
    #body { height: 1fr; border-top: solid ansi_bright_black; scrollbar-size-vertical: 1; }
    #said { height: auto; max-height: 4; }
    #keys { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"ask('{verb.value}')", show=False) for key, verb in MEANT.items()),
        Binding("question_mark", "manual", show=False),
        Binding("q,ctrl+c", "leave", show=False, priority=False),
        *(
            Binding(key, f"scroll('{way}')", show=False)
            for key, way in (
                ("up", "up"),
                ("down", "down"),
                ("pageup", "page_up"),
                ("pagedown", "page_down"),
                ("home", "home"),
                ("end", "end"),
            )
        ),
    ]

    def __init__(self, *, follow: Follow, send: Send) -> None:
        """Take how to follow the rollout and how to send a verb to it."""
        super().__init__(ansi_color=True)
        self.last: Picture | None = None
        self._follow, self._send = follow, send
        self._following: asyncio.Future[Picture] | None = None
        self._begun = datetime.now(UTC)
        self._reading = False  # the manual
        self._told: Text | None = None

    async def until_over(self) -> Picture | None:
        """Show it to its end and return the last picture; None if somebody left before.

        Raises:
            Whatever ends the following, once the terminal is as it was before.
        """
        await self.run_async()
        following, task = self._following, asyncio.current_task()
        if following is not None and following.done():
            return following.result()
        if following is not None:
            following.cancel()
        if task is not None and task.cancelling():  # by a signal, which textual keeps to itself
            raise asyncio.CancelledError
        return None

    def compose(self) -> ComposeResult:
        """Put all below each other."""
        yield Static(id="head")
        with VerticalScroll(id="body", can_focus=False):
            yield Static(id="sight")
        yield Static(id="said")
        yield Question()
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Begin to look."""
        self._following = asyncio.ensure_future(self._follow(self))
        self._following.add_done_callback(lambda _: self.exit())
        self.set_interval(TICK_S, self._draw)

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._draw()

    def show(self, picture: Picture) -> None:
        """Draw it."""
        self.last = picture
        self._draw()

    def tell(self, line: str) -> None:
        """Show a line until the next one."""
        self._told = Text(line)
        self._draw()

    def action_ask(self, verb: str) -> None:
        """Ask for the reason of a verb."""
        named = Verb(verb)
        asked = Asked(verb=named, does=DOES[named], grave=named in GRAVE)
        self.query_one(Question).ask(asked)

    def action_manual(self) -> None:
        """Show the manual in place of the evidence, or leave it."""
        self._reading = not self._reading
        self.query_one("#body", VerticalScroll).scroll_home(animate=False)
        self._draw()

    def action_leave(self) -> None:
        """Stop watching."""
        self.exit()

    def action_scroll(self, way: str) -> None:
        """Move what does not fit."""
        body = self.query_one("#body", VerticalScroll)
        getattr(body, f"scroll_{way}")(animate=False)

    def on_question_answered(self, event: Question.Answered) -> None:
        """Send it, beside the picture."""
        self.run_worker(self._order(event.asked.verb, event.reason), exit_on_error=True)

    async def _order(self, verb: Verb, reason: str) -> None:
        self._told = Text(f"{verb}: sent, waiting for the answer", style="dim")
        self._draw()
        try:
            self._told = Text.assemble(("accepted: ", "green"), await self._send(verb, reason))
        except Refused as error:
            why = str(error).removeprefix(f"{verb} was refused: ")
            self._told = Text.assemble((f"{verb} was refused: ", "red"), why)
        except RampartError as error:
            self._told = Text.assemble((f"{verb} was not done: ", "red"), str(error))
        self._draw()

    def _draw(self) -> None:
        width, now = self.size.width, datetime.now(UTC)
        told = panes.silence(self.last, since=self._begun, now=now) or self._told
        head: RenderableType = Text("looking …", style="dim")
        body: RenderableType = ""
        if self.last is not None:
            head = panes.head(self.last, width=width)
            body = panes.body(self.last, width=width)
        parts = {
            "#head": head,
            "#sight": panes.manual() if self._reading else body,
            "#said": told or "",
            "#keys": panes.keys(width=width),
        }
        for place, drawn in parts.items():
            self.query_one(place, Static).update(Harmless(drawn))
