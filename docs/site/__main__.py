"""`python -m docs.site`: writes the pages, has Zensical build them, checks what came of it."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from docs.site import pages
from docs.site.checking import Site
from docs.site.navigation import ROOT, Unfindable, navigation

BUILT = ROOT / "site"
COLOUR = re.compile(r"\x1b\[[\d;]*m")
WARNING = re.compile(r"^Warning: (.+)\n.*\[ (\S+) \]$", re.M)
ZENSICAL = Path(sys.executable).with_name("zensical")


def build(destination: Path) -> list[str]:
    """Build the site; return what is wrong with it, one line each.

    Raises:
        Unfindable: A page is in no section.
    """
    with TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        config = (pages.SITE / "mkdocs.yml").read_text()
        nav = yaml.safe_dump({"nav": navigation()}, allow_unicode=True, sort_keys=False)
        (place / "mkdocs.yml").write_text(f"{config}\n{nav}")
        pages.write(place / "pages")
        done = subprocess.run(
            [ZENSICAL, "build", "--strict"], cwd=place, capture_output=True, text=True, check=False
        )
        if done.returncode:
            return [*_complaints(done.stdout + done.stderr)]
        shutil.rmtree(destination, ignore_errors=True)
        shutil.copytree(place / "built", destination)
    return Site(destination).faults()


def _complaints(printed: str) -> Iterator[str]:
    """Return what Zensical complains of, a line each; all that it printed where that is nothing."""
    text = COLOUR.sub("", printed)
    found = [f"{where}: {what}" for what, where in WARNING.findall(text)]
    yield from found or [f"zensical: {text}"]


def main() -> int:
    """Build the site into `site/`."""
    try:
        faults = build(BUILT)
    except Unfindable as error:
        faults = [str(error)]
    for fault in faults:
        print(f"docs: {fault}", file=sys.stderr)
    if not faults:
        count = len([*BUILT.rglob("*.html")])
        print(f"docs: {count} pages, every link leads somewhere: {BUILT / 'index.html'}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
