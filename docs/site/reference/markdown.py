"""Markdown, as far as pages that are made from code need it."""

import re
from collections.abc import Iterable, Sequence

MADE = "<!-- Made from the code by `python -m docs.site`; edit the docstring, not this. -->\n\n"


def cell(text: object) -> str:
    """Return a text as one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Return a text as code, which may be part of a cell; nothing for nothing."""
    shown = str(text)
    return (f"`` {shown} ``" if "`" in shown else f"`{shown}`") if shown else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; nothing where it has no rows. A column that is empty is left out."""
    lines = [[cell(each) for each in row] for row in rows]
    kept = [n for n in range(len(head)) if any(line[n] for line in lines)]
    shown = [[row[n] for n in kept] for row in [[*head], ["---"] * len(head), *lines]]
    return "".join(f"| {' | '.join(row)} |\n" for row in shown) + "\n" if lines else ""


def plain(text: str) -> str:
    """Return a docstring's words as Markdown: a class in angle brackets is no tag."""
    parts = re.split(r"(`[^`]*`)", text)
    escaped = (
        p if p.startswith("`") else p.replace("<", "&lt;").replace("*", "\\*") for p in parts
    )
    return "".join(escaped)
