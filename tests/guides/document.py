"""What a guide holds: fenced blocks, and in its consoles commands with what they print."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs" / "guides"
EXPLANATION = ROOT / "docs" / "explanation"
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "docs" / "README.md",
    *sorted(GUIDES.glob("*.md")),
    *sorted(EXPLANATION.glob("*.md")),
)
RUN = ("python", "yaml", "json", "console")
SHOWN = "text"  # what is printed, and pictures

FENCED = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n\n)?```(?P<language>[^\n]*)\n(?P<source>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
NAMED = re.compile(r"# (?P<name>[\w-]+\.(py|yaml))\n")
PROMPT = "$ "
ANYTHING = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        where: What an editor opens: the document and the line.
        why: Why it is not run; empty if nothing is said.
    """

    where: str
    language: str
    source: str
    why: str = ""

    @property
    def file(self) -> str:
        """The file that the reader is to save it in, when its first line names one."""
        found = NAMED.match(self.source)
        return found["name"] if found else ""


@dataclass(frozen=True)
class Command:
    """A line of a console, and what is shown beneath it."""

    typed: str
    shown: str


def blocks(document: Path) -> Iterator[Block]:
    """Return the blocks of a document, in order."""
    text = document.read_text()
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        where = f"{document.relative_to(ROOT)}:{line}"
        yield Block(where, found["language"], found["source"], found["why"] or "")


def title(document: Path) -> str:
    """Return what a story about it is called."""
    return str(document.relative_to(ROOT))


def blocks_in(language: str) -> list[Block]:
    """Return the blocks of every document that are in one language."""
    found = [block for document in DOCUMENTS for block in blocks(document)]
    return [block for block in found if block.language == language]


def commands(block: Block) -> Iterator[Command]:
    """Return the commands of a console; a backslash ends a line that goes on."""
    joined = block.source.replace("\\\n", " ")
    for part in joined.removeprefix(PROMPT).split(f"\n{PROMPT}"):
        typed, _, shown = part.partition("\n")
        yield Command(typed, shown)


def shows(shown: str, printed: str) -> bool:
    """Say whether a command printed what its guide shows.

    Spacing is free; `...` is anything within a line, and alone on its line any number of lines.
    """
    pattern = "".join(_pattern(line) for line in _even(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _even(printed))) is not None


def _pattern(line: str) -> str:
    if line == ANYTHING:
        return r"(?:[^\n]*\n)*"
    return "[^\n]*".join(re.escape(part) for part in line.split(ANYTHING)) + r"\n"


def _even(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line]
