"""The question under the picture of `rampart watch`: why, and where it matters whether at all."""

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Key
from textual.message import Message
from textual.widgets import Input, Static

from workflows.commands import Verb

REASON = "reason, kept in the journal; Enter sends, Esc leaves it"
CONFIRM = "y does it; any other key leaves it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a key stands for.

    Attributes:
        does: What follows, in a sentence.
        grave: Whether it is asked for twice.
    """

    verb: Verb
    does: str
    grave: bool = False


class Question(Vertical, can_focus=True):
    """Asks one thing at a time; hidden until then. The picture above it goes on."""

    DEFAULT_CSS: ClassVar[str] = """
    Question { height: auto; display: none; border-top: solid ansi_cyan; }
    Question Input { background: ansi_default; }
    """

    class Answered(Message):
        """Somebody has said why, and that it is meant."""

        def __init__(self, asked: Asked, reason: str) -> None:
            super().__init__()
            self.asked = asked
            self.reason = reason

    def __init__(self) -> None:
        super().__init__()
        self._title, self._input, self._hint = Static(), Input(compact=True), Static()
        self._asked: Asked | None = None
        self._confirming = False

    def compose(self) -> ComposeResult:
        """Put title, line and hint below each other."""
        yield self._title
        yield self._input
        yield self._hint

    def ask(self, asked: Asked) -> None:
        """Ask for the reason."""
        self._asked, self._confirming = asked, False
        self._title.update(Text.assemble((f"{asked.verb}: ", "bold"), asked.does))
        self._hint.update(Text(REASON, style="dim"))
        self._input.value, self._input.display, self.display = "", True, True
        self._input.focus()

    def close(self) -> None:
        """Leave it."""
        self._asked, self.display = None, False
        self.screen.set_focus(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the reason; of what is grave, ask once more."""
        event.stop()
        if self._asked is None:
            return
        if not self._asked.grave:
            self._answer(self._asked)
            return
        self._confirming = True
        said = self._input.value.strip() or "no reason given"
        does = f"{self._asked.does} ({said})"
        self._title.update(Text.assemble((f"{self._asked.verb}? ", "bold red"), does))
        self._hint.update(Text(CONFIRM, style="bold"))
        self._input.display = False
        self.focus()

    def on_key(self, event: Key) -> None:
        """Take yes or no; nothing that is pressed here means anything else."""
        if self._asked is None or not (self._confirming or event.key == "escape"):
            return
        event.stop()
        if self._confirming and event.character == "y":
            self._answer(self._asked)
        else:
            self.close()

    def _answer(self, asked: Asked) -> None:
        self.post_message(self.Answered(asked, self._input.value.strip()))
        self.close()
