"""What was typed and cannot be meant, told in our words: the option, the value, what is allowed."""

import re
import sys
from itertools import pairwise

from typer.exceptions import TyperException

# How typer, and pydantic within it, say what we say otherwise.
PHRASES = {
    "Input should be": "must be",
    "Value error, ": "",
    ", unable to parse string as .*": "",
    r"[Gg]ot unexpected extra arguments? ?(?:\(s\))? \((.*)\)": r"one word too many: '\1'",
}


def mistyped(error: TyperException) -> str:
    """Return what was wrong with what was typed, and where to read how it is typed."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "rampart"
    message = error.format_message().rstrip(".")
    for pattern, ours in PHRASES.items():
        message = re.sub(pattern, ours, message)
    return f"{message[:1].lower()}{message[1:]}{_given(error)} (see `{command} --help`)"


def _given(error: TyperException) -> str:
    """Return what an option was given, which typer does not repeat."""
    names = getattr(getattr(error, "param", None), "opts", ())
    if not error.format_message().startswith("Invalid"):
        return ""
    for name, value in pairwise([*sys.argv, ""]):
        if name in names:
            return f", got {value!r}"
        if name.partition("=")[0] in names:
            return f", got {name.partition('=')[2]!r}"
    return ""
