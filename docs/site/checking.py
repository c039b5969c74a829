"""Whether a built site holds: links and anchors lead somewhere, nothing comes from elsewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OUTSIDE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.I)
IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"),
          ("object", "data"), ("video", "src"), ("audio", "src"), ("embed", "src")}  # fmt: skip
KINDS = {"canonical", "prev", "next", "alternate", "describedby"}  # of <link>: none is loaded


@dataclass
class Page(HTMLParser):
    """What one page names, and what it points to."""

    path: Path
    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read it."""
        super().__init__()
        self.feed(self.path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what matters of an element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.bare.append(given.get("src", ""))
        if given.get("rel") not in KINDS:
            self.loads += [given[name] for at, name in LOADED if at == tag and name in given]


class Site:
    """A site in a directory."""

    def __init__(self, directory: Path) -> None:
        """Take where it is."""
        self._directory = directory

    @cached_property
    def pages(self) -> dict[Path, Page]:
        """Every page, by its path."""
        return {path: Page(path) for path in sorted(self._directory.rglob("*.html"))}

    def faults(self) -> list[str]:
        """Return what is wrong, one line each; empty when nothing is."""
        found = [*self._stylesheets()]
        for page in self.pages.values():
            where = page.path.relative_to(self._directory)
            found += [
                f"{where}: loads {each} from elsewhere"
                for each in page.loads
                if OUTSIDE.match(each)
            ]
            found += [
                f"{where}: picture {each} says nothing to who cannot see it" for each in page.bare
            ]
            inside = [each for each in page.loads if not OUTSIDE.match(each)]
            for each in [*inside, *page.links]:
                found += [f"{where}: {each} {why}" for why in self._broken(each, page)]
        return found

    def _broken(self, link: str, page: Page) -> Iterator[str]:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or page.path.name == "404.html":
            return
        target = page.path if not parts.path else (page.path.parent / unquote(parts.path)).resolve()
        target = target / "index.html" if target.is_dir() else target
        if not target.exists():
            yield "leads nowhere"
        elif parts.fragment and target.suffix == ".html":
            known = self.pages[target].anchors if target in self.pages else set()
            if unquote(parts.fragment) not in known:
                yield "names no heading"

    def _stylesheets(self) -> Iterator[str]:
        for sheet in sorted(self._directory.rglob("*.css")):
            for url in IN_CSS.findall(sheet.read_text()):
                yield f"{sheet.relative_to(self._directory)}: loads {url} from elsewhere"
