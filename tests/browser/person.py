"""Somebody at a browser: Debian's Chromium, which says afterwards what was not as it should be."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.async_api import Browser, Locator, Page, async_playwright

HERE = Path(__file__).parent
PATIENCE_S = 60.0  # of a person at a machine that does much else
WIDE, PHONE = (1280, 900), (360, 740)
HEAVIEST = 300_000  # bytes of a page with all that it loads
Scheme = Literal["light", "dark"]


class Person:
    """A browser window of our pages.

    Attributes:
        page: What is open in it.
        elsewhere: Requests that went to another origin than that of our pages.
        complaints: What the page's scripts, or its policy, complained of.
        bytes: Of bodies that were answered since the last `go`.
    """

    def __init__(self, page: Page, home: str, axe: str) -> None:
        self.page = page
        self.home = home
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.bytes = 0
        self._axe = axe
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfinished", self._weigh)

    async def go(self, path: str = "/ui") -> None:
        """Open one of our pages."""
        self.bytes = 0
        await self.page.goto(f"{self.home}{path}", wait_until="load")

    async def log_in(self, token: str) -> None:
        """Give the token to the page that asks for one."""
        await self.page.get_by_label("Token of an operator").fill(token)
        await self.page.get_by_role("button", name="Log in").click()

    def text(self, said: str) -> Locator:
        """Find what is shown."""
        return self.page.get_by_text(said).locator("visible=true").first

    async def sees(self, said: str, *, within_s: float = PATIENCE_S) -> None:
        """Wait until it is shown, without loading the page again."""
        await self.text(said).wait_for(timeout=within_s * 1000)

    async def violations(self) -> list[str]:
        """Return what axe finds, one line each."""
        await self.page.evaluate(self._axe)
        found: dict[str, Any] = await self.page.evaluate("axe.run(document)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def overflows(self) -> bool:
        """Say whether the page is wider than its window: a phone then scrolls sideways."""
        wide: bool = await self.page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        return wide

    def _note_request(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme != "data" and f"{url.scheme}://{url.netloc}" != self.home:
            self.elsewhere.append(request.url)

    def _note_console(self, message: Any) -> None:
        # That a page was refused is told of the page itself, as is a stream that its page left.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.complaints.append(message.text)

    async def _weigh(self, request: Any) -> None:
        sizes = await request.sizes()
        self.bytes += sizes["responseBodySize"]


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Open Debian's Chromium: Playwright's own would have to be downloaded from elsewhere."""
    found = shutil.which("chromium")
    assert found, "chromium is not here: apt-get install chromium"
    async with async_playwright() as playwright:
        # Its sandbox does not start for root, who runs CI; the pages are ours.
        browser = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def sitting(
    browser: Browser,
    home: str,
    *,
    axe: str = "",
    size: tuple[int, int] = WIDE,
    scheme: Scheme = "light",
) -> AsyncIterator[Person]:
    """Open a window that remembers nothing of earlier ones."""
    width, height = size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        locale="en-GB",
        timezone_id="UTC",
    )
    context.set_default_timeout(PATIENCE_S * 1000)
    try:
        yield Person(await context.new_page(), home, axe)
    finally:
        await context.close()


async def axe_source(directory: Path) -> str:
    """Return axe-core, as the lock file names it."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, directory)
    command = ("npm", "ci", "--no-audit", "--no-fund")
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (directory / "node_modules" / "axe-core" / "axe.min.js").read_text()
