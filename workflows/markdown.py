"""What Temporal's UI renders of a workflow's page: Markdown, and blocks of aligned lines in it.

Blocks, because its renderer shows neither pipe tables nor emoji, and does not wrap code.
"""

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap

SPECIAL = re.compile(r"([\\`*\[\]<>!|])")
LABEL = 11  # characters before a value
WIDTH = 44  # characters of a value: what a block of the page shows on a small laptop
CAPTION = 120  # characters of a timer's or an activity's: the timeline has one line for it
OPTIONAL = '`{"reason": "…", "by": "…"}`'

Row = tuple[str, str]


def literal(text: str) -> str:
    """Return Markdown that shows the text as it is: no link, no picture, no HTML comes of it."""
    return SPECIAL.sub(r"\\\1", text)


def words(name: str) -> str:
    """Return `waiting for approval` for `waiting_for_approval`."""
    return str(name).replace("_", " ")


def block(rows: Iterable[Row]) -> str:
    """Return rows as a block of code; a long value goes on below itself."""
    return "```\n" + "\n".join(_row(*each) for each in rows) + "\n```"


def listed(name: str, values: Sequence[str], *, most: int = 20) -> list[Row]:
    """Return a row for each value, the first of them named; of many, how many more there are."""
    more = [f"and {len(values) - most} more"] if len(values) > most else []
    shown = [*values[:most], *more]
    return [("" if index else name, value) for index, value in enumerate(shown)]


def signals(rows: Sequence[Row]) -> str:
    """Return how to act from the page: what would be followed now, with the input it takes."""
    if not rows:
        return "Nothing can be sent to it any more."
    lead = "**To act**, *More Actions → Send a Signal*. Now it would follow these."
    return f"{lead} Input is optional; all take {OPTIONAL}.\n\n{block(rows)}"


def _row(name: str, value: str) -> str:
    # An example of JSON stays on its line: it is there to be copied.
    lines = [value] if value.startswith("{") else wrap(value, WIDTH)
    first, *more = [line.replace("`", "'") for line in lines] or [""]
    aligned = [f"{name:<{LABEL}} {first}", *(f"{'':<{LABEL}} {line}" for line in more)]
    return "\n".join(line.rstrip() for line in aligned)
