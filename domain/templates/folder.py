"""A folder of template files: which file is which prompt's, and what it says.

`greeting.system.md` and `greeting/system.md` are both the prompt `greeting.system`; `.txt` and
`.j2` do as well as `.md`. A README, and what begins with a dot, is nobody's.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import InvalidValue
from domain.fields import check_prompt
from domain.templates.document import Document

SUFFIXES = (".j2", ".md", ".txt")
FILE_LIMIT = 1_000_000  # bytes


@dataclass(frozen=True)
class Draft:
    """A version to be, of the file whose name within the folder is given."""

    file: str
    name: str
    prompt_type: str
    document: Document

    @property
    def prompt(self) -> str:
        """Its flag key."""
        return f"{self.name}.{self.prompt_type}"


def read(folder: Path) -> list[Draft]:
    """Return the drafts of a folder, by name and type.

    Raises:
        InvalidValue: There is none, two are of one prompt, or one is wrong. One line that begins
            with the file, and the line where there is one.
    """
    if not folder.is_dir():
        raise InvalidValue(f"{folder}: there is no such folder")
    drafts: dict[str, Draft] = {}
    for path in _paths(folder, depth=0):
        file = path.relative_to(folder).as_posix()
        try:
            draft = _draft(path, folder, file=file)
            if before := drafts.get(draft.prompt):
                raise InvalidValue(f"{before.file} is of {draft.prompt} already: keep one of them")
        except OSError as error:
            raise InvalidValue(f"{file}: cannot be read: {error.strerror}") from error
        except InvalidValue as error:
            raise InvalidValue(f"{file}: {error}") from error
        drafts[draft.prompt] = draft
    if not drafts:
        raise InvalidValue(f"{folder}: there is no template: name one <name>.<prompt_type>.md")
    return [drafts[prompt] for prompt in sorted(drafts)]


def _paths(folder: Path, *, depth: int) -> Iterator[Path]:
    """Yield files that may be templates, a level of folders deep; what lies deeper is told."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.stem.upper() == "README":
            continue
        if depth == 0 and path.is_dir():
            yield from _paths(path, depth=1)
        elif path.suffix in SUFFIXES or path.is_dir():
            yield path


def _draft(path: Path, folder: Path, *, file: str) -> Draft:
    stem = path.name
    while stem.endswith(SUFFIXES):
        stem = stem.rpartition(".")[0]
    name, _, prompt_type = stem.rpartition(".")
    if path.parent != folder:
        name, prompt_type = path.parent.name, stem
    if not name:
        raise InvalidValue("name it <name>.<prompt_type>.md, or <name>/<prompt_type>.md")
    check_prompt(name, prompt_type)
    return Draft(file, name, prompt_type, Document.parse(_text(path, folder)))


def _text(path: Path, folder: Path) -> str:
    """Return what a file holds; links may lead to files of the folder alone."""
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(folder)):
        raise InvalidValue(f"it is a link that leads out of {folder}")
    if path.is_dir():
        raise InvalidValue("folders within folders hold no prompts: use <name>/<prompt_type>.md")
    if not target.is_file():
        raise InvalidValue("it is not a file")
    if (length := target.stat().st_size) > FILE_LIMIT:
        raise InvalidValue(f"must have at most {FILE_LIMIT} bytes, has {length}")
    try:
        return target.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise InvalidValue(f"line {line}: not UTF-8 text") from error
