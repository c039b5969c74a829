"""Where a text speaks the language of templates, for people who read it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import TemplateError

from domain.templates.language import LANGUAGE

ENDS = ("variable_end", "block_end", "comment_end")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some of a text: said as it is, or a variable, a block or a comment of the language."""

    text: str
    spoken: bool


def marked(text: str) -> list[Stretch]:
    """Return the whole text, in stretches; as one where it is not of the language."""
    try:
        return list(_stretches(text))
    except TemplateError:
        return [Stretch(text, spoken=False)]


def _stretches(text: str) -> Iterator[Stretch]:
    said = ""
    for _, kind, value in LANGUAGE.lex(text):
        if kind == "data":
            yield Stretch(value, spoken=False)
            continue
        said += value
        if kind in ENDS:
            yield Stretch(said, spoken=True)
            said = ""
    if said:
        yield Stretch(said, spoken=True)
