"""Texts of people on pages that Temporal's UI renders as Markdown."""

import re

SPECIAL = re.compile(r"([\\`*\[\]<>!|])")


def literal(text: str) -> str:
    """Return Markdown that shows the text as it is: no link, no picture, no HTML comes of it."""
    return SPECIAL.sub(r"\\\1", text)
