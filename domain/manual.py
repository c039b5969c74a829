"""What docstrings say of fields, as data: for schemas, for pages, for whoever asks. Pure."""

import inspect
import re

SECTION = re.compile(r"^(?P<name>Args|Attributes|Returns|Yields|Raises|Note|Example):$", re.M)
ENTRY = re.compile(r"^    (?P<name>[A-Za-z_][\w., ]*): (?P<text>.*(?:\n {8,}.*|\n(?= {8}))*)", re.M)


def prose(thing: object) -> str:
    """Return what a docstring says before its first section; empty without a docstring."""
    said = inspect.getdoc(thing) or ""
    return SECTION.split(said)[0].strip()


def summary(thing: object) -> str:
    """Return the first paragraph of a docstring, in one line."""
    return " ".join(prose(thing).partition("\n\n")[0].split())


def entries(thing: object, *, section: str = "Attributes") -> dict[str, str]:
    """Return what one section of a docstring says, by name, each in one line."""
    _, *parts = SECTION.split(inspect.getdoc(thing) or "")
    body = dict(zip(parts[::2], parts[1::2], strict=True)).get(section, "")
    return {found["name"]: " ".join(found["text"].split()) for found in ENTRY.finditer(body)}


def fields(kind: type) -> dict[str, str]:
    """Return what a class and those above it say of its attributes."""
    above = reversed(kind.__mro__)
    return {name: text for cls in above if cls.__doc__ for name, text in entries(cls).items()}
