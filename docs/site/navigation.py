"""Which pages there are and how they are found: docs/README.md, read as the site's navigation."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from docs.site.reference.shelf import SHELF

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONTENTS = DOCS / "README.md"
HOME, REFERENCE, DECISIONS = "index.md", "Reference", "adr/README.md"
PLACES = {  # of pages that are elsewhere in the site than in the repository
    "README.md": "overview.md",
    "docs/README.md": "contents.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/llm_app/README.md": "guides/example-application.md",
}
LINE = re.compile(
    r"^(?P<level>##+) (?P<heading>.+)|^\| *\[(?P<title>[^\]]+)\]\((?P<link>[^)#]+)\)", re.M
)
Nav = list[dict[str, "str | Nav"]]


class Unfindable(Exception):
    """A page is in no section."""


class Entry(NamedTuple):
    """A page, under its headings."""

    under: tuple[str, ...]
    title: str
    source: Path


def entries() -> Iterator[Entry]:
    """Return the pages that docs/README.md lists, in its order."""
    under: tuple[str, ...] = ()
    for found in LINE.finditer(CONTENTS.read_text()):
        if heading := found["heading"]:
            under = (*under[: len(found["level"]) - 2], heading)
        else:
            yield Entry(under, found["title"], (DOCS / found["link"]).resolve())


def place(source: Path) -> str:
    """Return where a page of the repository is in the site."""
    name = source.relative_to(ROOT).as_posix()
    return PLACES.get(name, name.removeprefix("docs/"))


def sources() -> list[Path]:
    """Return every page of the repository that is one of the site."""
    written = (path for path in sorted(DOCS.rglob("*.md")) if "site" not in path.parts)
    return [*written, *(ROOT / name for name in PLACES if not name.startswith("docs/"))]


def navigation() -> Nav:
    """Return the navigation.

    Raises:
        Unfindable: docs/README.md does not list a page that there is.
    """
    if unlisted := lost(sources()):
        names = ", ".join(page.relative_to(ROOT).as_posix() for page in unlisted)
        raise Unfindable(f"{names}: in no section of docs/README.md, which is the navigation")
    nav: Nav = [{"Home": [HOME, {"Everything": "contents.md"}, {"README": "overview.md"}]}]  # type: ignore[list-item]
    for under, title, source in entries():
        _section(nav, under).append({title: _page(source)})
    made: Nav = [{one.title: f"reference/{name}"} for name, one in SHELF.items()]
    nav.insert(_before_explanation(nav), {REFERENCE: made})
    return nav


def lost(pages: Iterable[Path]) -> list[Path]:
    """Return those that docs/README.md does not list; decisions are listed by their own page."""
    listed = {entry.source for entry in entries()} | {CONTENTS, ROOT / "README.md"}
    return [page for page in pages if page not in listed and page.parent.name != "adr"]


def _section(nav: Nav, under: tuple[str, ...]) -> Nav:
    for heading in under:
        found = next((entry[heading] for entry in nav if heading in entry), None)
        if not isinstance(found, list):
            found = []
            nav.append({heading: found})
        nav = found
    return nav


def _page(source: Path) -> "str | Nav":
    if place(source) != DECISIONS:
        return place(source)
    pages = sorted(path for path in source.parent.glob("[0-9]*.md"))
    titles = (path.read_text().partition("\n")[0].lstrip("# ") for path in pages)
    each: Nav = [{title: place(path)} for title, path in zip(titles, pages, strict=True)]
    return [DECISIONS, *each]  # type: ignore[list-item]


def _before_explanation(nav: Nav) -> int:
    return next((n for n, entry in enumerate(nav) if "Explanation" in entry), len(nav))
