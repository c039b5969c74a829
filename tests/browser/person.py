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
MOST_TABS = 60
HEAVIEST = 300_000  # bytes of a page with all that it loads
WEIGHT = """
[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .reduce((sum, each) => sum + each.decodedBodySize, 0)
"""
WIDER = """
(() => {
  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return [];
  return [...document.querySelectorAll("main *, header *")]
    .filter((each) => each.getBoundingClientRect().right > room + 1)
    .map((each) => "too wide: " + each.outerHTML.slice(0, 120));
})()
"""
Scheme = Literal["light", "dark"]


class Person:
    """A browser window of our pages.

    Attributes:
        page: What is open in it.
        elsewhere: Requests that went to another origin than that of our pages.
        complaints: What the page's scripts, or its policy, complained of.
        loads: How often a page was loaded as a whole.
    """

    def __init__(self, page: Page, home: str, axe: str) -> None:
        self.page = page
        self.home = home
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.loads = 0
        self._axe = axe
        page.on("load", self._note_load)
        page.on("request", self._note_request)
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    async def go(self, path: str = "/ui") -> None:
        """Open one of our pages."""
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

    async def state(self, said: str) -> None:
        """Wait until the rollout's page says that this is what it is doing."""
        shown = self.page.locator("#headline .state", has_text=said)
        await shown.first.wait_for(timeout=PATIENCE_S * 1000)

    async def step(self, said: str) -> None:
        """Wait until this is the step of the ramp that it is at."""
        shown = self.page.locator("[aria-current=step]", has_text=said)
        await shown.wait_for(timeout=PATIENCE_S * 1000)

    async def keep(self, link: Locator) -> None:
        """Save what it leads to, and look at that: as served, no script may run in a report."""
        address = await link.get_attribute("href")
        answer = await self.page.request.get(f"{self.home}{address}")
        await self.page.goto("about:blank")
        await self.page.set_content(await answer.text())

    async def tab_to(self, name: str) -> None:
        """Press Tab until what is called so, or has it as its id, has the focus."""
        for _ in range(MOST_TABS):
            await self.page.keyboard.press("Tab")
            focused: str = await self.page.evaluate(
                "[document.activeElement.id, document.activeElement.textContent.trim()].join('|')"
            )
            if name in focused.split("|"):
                return
        raise AssertionError(f"{name} cannot be reached by Tab")

    async def violations(self) -> list[str]:
        """Return what axe finds, one line each."""
        await self.page.evaluate(self._axe)
        found: dict[str, Any] = await self.page.evaluate("axe.run(document)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]

    async def overflows(self) -> list[str]:
        """Return what makes the page wider than its window: a phone then scrolls sideways."""
        found: list[str] = await self.page.evaluate(WIDER)
        return found

    async def weight(self) -> int:
        """Return the bytes of the page and of all that it has loaded, unzipped."""
        found: int = await self.page.evaluate(WEIGHT)
        return found

    async def open_all(self) -> None:
        """Open what is folded, so that it is looked at, too."""
        await self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")

    def _note_load(self, _page: Page) -> None:
        self.loads += 1

    def _note_request(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme != "data" and f"{url.scheme}://{url.netloc}" != self.home:
            self.elsewhere.append(request.url)

    def _note_console(self, message: Any) -> None:
        # That a page was refused is told of the page itself, as is a stream that its page left.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.complaints.append(message.text)


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
