"""The parts of a rollout's page: each is rendered alone, and sent again when it has changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from markupsafe import Markup

from control.rollouts import Verb
from domain.errors import RampartError
from domain.plan import PRESETS
from gateway.dashboard.demo import Played
from gateway.dashboard.pages import Pages
from gateway.dashboard.rollouts import wording
from gateway.dashboard.rollouts.drawings import Drawing
from gateway.dashboard.rollouts.sheet import Sheet

NAMES = ("headline", "orders", "arms", "guardrails", "pictures", "journal", "plan")
KEY = "idempotency-key-of-who-looks"  # stands where each page has its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """What somebody sent that was not followed: it stays in its form.

    Attributes:
        wrong: Why it was not.
        changes: What an amendment would change, a line for each value; None if that was not asked.
    """

    verb: Verb
    reason: str = ""
    plan: str = ""
    longer: str = ""
    to: str = ""
    wrong: str = ""
    changes: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A rollout's page at one moment: its parts, and what is said to who does not see them."""

    parts: Mapping[str, str]
    said: str
    title: str
    over: bool

    @property
    def marks(self) -> dict[str, str]:
        """By which a browser knows what it shows already."""
        return {name: mark(text) for name, text in self.parts.items()}


def render(
    pages: Pages,
    sheet: Sheet,
    drawings: tuple[Drawing, ...],
    *,
    typed: Typed | None = None,
    demo: Played | None = None,
) -> Frame:
    """Return the page of a rollout."""
    names = (*NAMES, "demo") if demo else NAMES
    values = {
        "sheet": sheet,
        "picture": sheet.picture,
        "shown": sheet.picture.progress,
        "now": sheet.picture.at,
        "drawings": drawings,
        "typed": typed,
        "demo": demo,
        "word": wording,
        "verbs": Verb,
        "key": KEY,
        "presets": tuple(PRESETS),
    }
    said = wording.announcement(sheet)
    return Frame(
        parts={name: pages.render(f"rollout/{name}.html", **values) for name in names},
        said=said,
        title=f"{said} · rampart",
        over=sheet.picture.ended,
    )


def own(text: str, key: str) -> Markup:
    """Return a part as one viewer gets it: with a key that is this viewer's alone."""
    return Markup(text.replace(KEY, key))  # noqa: S704  # what the templates have escaped


def mark(text: str) -> str:
    """Return by what a text is known again."""
    return blake2b(text.encode(), digest_size=6).hexdigest()


def trouble(error: RampartError) -> str:
    """Return why nothing new can be told."""
    return f"nothing new can be read: {str(error).splitlines()[0]}"
