"""Takes the pictures of the documentation, from a stack of its own.

`python -m tests.browser.screenshots`; needs chromium and tmux. What is shown happened: nothing is
drawn. Times are those of the day, and differ from run to run.
"""

import asyncio
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from io import StringIO
from pathlib import Path

from playwright.async_api import Browser, Page
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from control.rollouts import Verb
from tests.browser.person import PATIENCE_S, PHONE, WIDE, Scheme, chromium, sitting
from tests.browser.place import Place, Prompt, opened
from tests.browser.test_temporal_ui import opens

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
LARGEST = 200_000  # bytes of a picture
COLUMNS, LINES = 110, 30
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: {background}; color: {foreground}; }}
pre {{ margin: 0; padding: 20px 24px; font: 14px/1.35 "DejaVu Sans Mono", monospace; }}
{stylesheet}
</style><pre>{code}</pre>"""
PLAN = {
    "name": "careful",
    "stages": [
        {"percent": 10, "bake": "30s", "approval": True},
        {"percent": 50, "bake": "10m"},
        {"percent": 100},
    ],
    "guardrails": ["success", "response_time"],
    "check_min": "2s",
    "check_max": "4s",
}


class Album:
    """Takes pictures of a place."""

    def __init__(self, place: Place, browser: Browser) -> None:
        self._place = place
        self._browser = browser

    async def take(self) -> None:
        """Take all, in the order of the story."""
        async with AsyncExitStack() as town:
            prompts = [
                await town.enter_async_context(self._place.prompt(name))
                for name in ("greeting", "farewell", "summary")
            ]
            greeting, farewell, summary = prompts
            await greeting.start(**PLAN)
            await farewell.start(**PLAN)
            await summary.start(**PLAN)
            await greeting.until("waiting_for_approval")
            await summary.control.order(
                Verb.ROLLBACK, "summary", "system", by="bo", reason="too terse"
            )
            await self._temporal("temporal-ui", greeting, tab="user-metadata")
            await greeting.control.order(
                Verb.APPROVE, "greeting", "system", by="ann", reason="reads well"
            )
            await asyncio.sleep(40)  # for a curve that is worth a look
            await self._temporal("temporal-timeline", summary, tab="timeline")
            await self._page("dashboard", greeting)
            await self._page("dashboard-dark", greeting, scheme="dark")
            await self._page("dashboard-phone", greeting, size=PHONE)
            await self._list("rollouts")
            await self._terminal("terminal", greeting)

    async def _page(
        self,
        name: str,
        prompt: Prompt,
        *,
        scheme: Scheme = "light",
        size: tuple[int, int] = (WIDE[0], 950),
    ) -> None:
        async with sitting(
            self._browser, self._place.stack.gateway, scheme=scheme, size=size
        ) as person:
            await person.go(f"/ui/rollouts/{prompt.flag}")
            await person.sees("This page is live.")
            await self._keep(person.page, name)

    async def _list(self, name: str) -> None:
        async with sitting(self._browser, self._place.stack.gateway, size=(1280, 620)) as person:
            await person.go()
            await person.sees("Ended")
            await self._keep(person.page, name)

    async def _temporal(self, name: str, prompt: Prompt, *, tab: str) -> None:
        async with sitting(self._browser, self._place.stack.ui, size=(1360, 1060)) as person:
            await opens(person.page, self._place, f"rollout/{prompt.flag}", tab)
            if tab == "timeline":
                await person.sees("prove • is all as before?")
                await person.page.mouse.move(800, 800)
                await person.page.mouse.wheel(0, 560)
            else:
                shown = person.page.frame_locator("iframe >> nth=-1").locator("body")
                await shown.filter(has_text="Send a Signal").wait_for()
            await person.page.wait_for_timeout(1500)  # until it is drawn
            await self._keep(person.page, name)

    async def _terminal(self, name: str, prompt: Prompt) -> None:
        shown = await asyncio.to_thread(watched, prompt.flag, self._place.stack.variables())
        async with sitting(self._browser, self._place.stack.gateway, size=(980, 600)) as person:
            await person.page.set_content(shown)
            await person.page.locator("pre").screenshot(path=PICTURES / f"{name}.png")

    async def _keep(self, page: Page, name: str) -> None:
        await page.screenshot(path=PICTURES / f"{name}.png")


def watched(flag: str, variables: dict[str, str]) -> str:
    """Return what `rampart watch` shows in a terminal, as a page."""
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    command = f"env {settings} {sys.executable} -m cli watch {flag}"
    with terminal(command) as name:
        deadline, screen = time.monotonic() + PATIENCE_S, ""
        while "1.1.0" not in screen and time.monotonic() < deadline:
            time.sleep(0.5)
            screen = _tmux("capture-pane", "-e", "-p", "-t", name)
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text.from_ansi(f"$ rampart watch {flag}\n{screen.rstrip()}"))
    return console.export_html(theme=MONOKAI, code_format=TERMINAL)


@contextmanager
def terminal(command: str) -> Iterator[str]:
    """Run a command in a terminal; yield the terminal's name."""
    name = "rampart-picture"
    _tmux("new-session", "-d", "-s", name, "-x", str(COLUMNS), "-y", str(LINES), command)
    try:
        yield name
    finally:
        _tmux("kill-session", "-t", name)


def _tmux(*words: str) -> str:
    done = subprocess.run(["tmux", *words], capture_output=True, text=True, check=True)
    return done.stdout


async def main() -> int:
    """Take all; return how many are too large."""
    with tempfile.TemporaryDirectory(prefix="rampart-") as directory:
        async with opened(Path(directory)) as place, chromium() as browser:
            await Album(place, browser).take()
    large = [path for path in PICTURES.glob("*.png") if path.stat().st_size > LARGEST]
    for path in large:
        print(f"{path}: {path.stat().st_size} bytes", file=sys.stderr)  # noqa: T201
    return len(large)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
