"""The pages as the site has them: those of the repository with their links turned, and the made."""

import os.path
import re
import shutil
from pathlib import Path

from docs.site.navigation import DOCS, HOME, PLACES, ROOT, place, sources
from docs.site.reference.shelf import SHELF

SITE = Path(__file__).parent
LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<to>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)"
)
LIST = re.compile(r"^((?![*-] |\d+\. |\s|\|).+)\n(?=(?:[*-]|1\.) )", re.M)  # as a forge reads it
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
ELSEWHERE = ("http://", "https://", "mailto:")
BESIDE = (".png", ".svg", ".json")  # published as they are


def write(directory: Path) -> None:
    """Write all pages, pictures and assets into a directory."""
    readme = ROOT / "README.md"
    _put(directory / HOME, turned(home(readme.read_text()), source=readme))
    for source in sources():
        text = source.read_text()
        if place(source) == PLACES["docs/README.md"]:
            text = _with_reference(text)
        _put(directory / place(source), turned(text, source=source))
    for name, made in SHELF.items():
        _put(directory / "reference" / name, made.page())
        for file, content in made.files().items():
            _put(directory / "reference" / file, content)
    for beside in DOCS.rglob("*"):
        if beside.suffix in BESIDE and SITE not in beside.parents:
            _put(directory / beside.relative_to(DOCS), beside.read_bytes())
    shutil.copytree(SITE / "assets", directory / "assets", dirs_exist_ok=True)


def home(readme: str) -> str:
    """Return the first page: the README's first screen, and the ways on from there."""
    opening, *sections = re.split(r"^(?=## )", readme, flags=re.M)
    see = next((section for section in sections if section.startswith("## See")), "")
    title, _, opening = opening.partition("\n")
    promises = re.search(r"(?:^\* .+\n(?: .*\n)*)+", opening, re.M)
    if promises:
        cards = f'<div class="grid cards" markdown>\n\n{_bullets(promises[0])}\n</div>\n'
        opening = opening.replace(promises[0], cards)
    words = opening.strip().split("\n\n", 1)
    return (SITE / "home.md").read_text().format(
        title=title.lstrip("# "), pitch=" ".join(words[0].split()), opening=words[1], see=see
    )  # fmt: skip


def turned(text: str, *, source: Path) -> str:
    """Return a page as the site needs it: its links turned, its lists apart from paragraphs."""
    parts = FENCE.split(text)
    return "".join(
        part
        if part.startswith("```")
        else LINK.sub(lambda one: _turn(one, source), LIST.sub(r"\1\n\n", part))
        for part in parts
    )


def _turn(found: re.Match[str], source: Path) -> str:
    to, anchor = found["to"], found["anchor"] or ""
    if not to or to.startswith(ELSEWHERE):
        return found[0]
    target = Path(os.path.normpath(source.parent / to))
    name = target.relative_to(ROOT).as_posix() if target.is_relative_to(ROOT) else to
    if target in sources() or (target.suffix in BESIDE and DOCS in target.parents):
        there = place(target) if target.suffix == ".md" else name.removeprefix("docs/")
        relative = os.path.relpath(there, Path(place(source)).parent)
        return f"{found['image']}[{found['text']}]({relative}{anchor})"
    if target.exists():  # source code, which the site does not hold
        shown = found["text"].strip("`")
        return f"`{name}`" if shown in (name, target.name) else f"{found['text']} (`{name}`)"
    return found[0]


def _bullets(text: str) -> str:
    return re.sub(r"\n(?! {2,}|$)", "\n\n", text.strip()).replace("* **", "- **") + "\n"


def _with_reference(contents: str) -> str:
    """List the pages that are made, which the repository does not hold."""
    rows = "".join(
        f"| [{made.title}](reference/{name}) | {made.about} |\n" for name, made in SHELF.items()
    )
    before, heading, after = contents.partition("\n## Explanation\n")
    return f"{before}\n| | for |\n|---|---|\n{rows}{heading}{after}"


def _put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
