"""What the list of rollouts costs with 1 000 of them: its size, the server's time, first paint.

The gateway is a process of its own, open, over SQLite, with no Temporal to answer; the browser is
a real Chromium, driven by Playwright, with nothing in its cache. Where there is none, the server's
half is measured alone. Medians. Exit code 1 when a target is missed.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from domain.database import Database
from domain.plan import RolloutRequest, preset
from domain.prompts import VersionStatus
from domain.rollouts import RolloutManager
from domain.versions import VersionManager
from embedded.ports import free_port

ROLLOUTS = 1_000
LIVE = 100  # of them
AT_ONCE = 50  # in one transaction
PAGES = {"list": "/ui", "search": "/ui?text=prompt-07&state=live", "rollout": ""}
MOST_BYTES, MOST_S = 300_000, 1.0

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"

Figures = dict[str, dict[str, float | None]]  # page -> what -> figure


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")
    parser.add_argument("--quick", action="store_true", help="100 rollouts; misses no target")
    parser.add_argument("--live", type=int, help=f"of the rollouts; default: {LIVE}, half at most")
    given = parser.parse_args()
    many, rounds = (100, 3) if given.quick else (ROLLOUTS, 9)
    live = min(LIVE, many // 2) if given.live is None else given.live
    if not 1 <= live <= many:
        parser.error(f"--live must be between 1 and {many}, got {live}")
    with tempfile.TemporaryDirectory(prefix="rampart-pages-") as folder:
        found, about = asyncio.run(measure(Path(folder), many=many, live=live, rounds=rounds))
    missed = [page for page, figures in found.items() if _misses(figures)]
    told = {"missed": missed, "targets": {"bytes": MOST_BYTES, "first_paint_s": MOST_S}}
    if given.json:
        print(json.dumps({**told, "pages": found, "about": about}, indent=1))
    else:
        _show(found, about)
    return 1 if missed and not given.quick else 0


async def measure(
    folder: Path, *, many: int, live: int, rounds: int
) -> tuple[Figures, dict[str, Any]]:
    """Return what each page costs, and what with."""
    url = f"sqlite:///{folder}/rampart.db"
    await _fill(url, many, live)
    port = free_port()
    command = [sys.executable, "-m", "cli", "gateway", "--open", "--port", str(port)]
    environment = os.environ | {
        "RAMPART_DATABASE_URL": url,
        "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    with (folder / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(  # noqa: S603, ASYNC220  # over before anything is measured
            command, env=environment, stdout=log, stderr=log
        )
        try:
            found = await _measure(f"http://127.0.0.1:{port}", many=many, rounds=rounds)
        finally:
            gateway.terminate()
            gateway.wait(30)
    return found[0], {"rollouts": many, "live": live, **found[1]}


async def _fill(url: str, many: int, live: int) -> None:
    """Open rollouts, the first of them ended; of the last one, a few checks."""
    database = Database(url)
    last = ""
    for start in range(0, many, AT_ONCE):
        async with database.transaction():
            for number in range(start, start + AT_ONCE):
                last = await _roll_out(database, number, ended=number < many - live)
    for check in range(1, 51):
        await RolloutManager(database).check(last, number=check)
    await database.dispose()


async def _roll_out(database: Database, number: int, *, ended: bool) -> str:
    versions, rollouts = VersionManager(database), RolloutManager(database)
    name = f"prompt-{number:04}"
    for version in ("1.0.0", "1.1.0"):
        first = version == "1.0.0"
        await versions.create_version(
            name,
            "system",
            f"Hello {version}",
            version,
            tags=["production"] if first else [],
            status=VersionStatus.PRODUCTION if first else VersionStatus.ACTIVE,
        )
    request = RolloutRequest(
        name=name,
        prompt_type="system",
        candidate="1.1.0",
        plan=preset("standard"),
        by="release-engineer",
        reason="greets people by their name",
    )
    opened = await rollouts.open(request, key=name)
    await rollouts.ramp(opened.id, stage=1, epoch=opened.epoch)
    if ended:
        await rollouts.roll_back(opened.id, reason="slow", by="guardrails")
    return opened.id


async def _measure(url: str, *, many: int, rounds: int) -> tuple[Figures, dict[str, Any]]:
    pages = PAGES | {"rollout": f"/ui/rollouts/prompt-{many - 1:04}.system"}
    found: Figures = {}
    async with httpx.AsyncClient(base_url=url) as client:
        await _until_ready(client)
        for name, path in pages.items():
            sizes, times = await _ask(client, path, rounds)
            found[name] = {"bytes": max(sizes), "server_s": _median(times)}
    browser, painted = await _painted(url, pages, rounds)
    for name, seconds in painted.items():
        found[name]["first_paint_s"] = seconds
    about = {"rounds": rounds, "browser": browser}
    return found, about | {"python": platform.python_version(), "load": os.getloadavg()[0]}


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(180):
        while True:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)


async def _ask(
    client: httpx.AsyncClient, path: str, rounds: int
) -> tuple[Sequence[int], Sequence[float]]:
    await client.get(path)  # the first one loads templates, and what draws
    sizes, times = [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        answer = (await client.get(path)).raise_for_status()
        times.append(time.perf_counter() - begun)
        sizes.append(len(answer.content))
    return sizes, times


async def _painted(
    url: str, pages: dict[str, str], rounds: int
) -> tuple[str, dict[str, float | None]]:
    """Return the browser, and each page's first contentful paint in seconds, cache empty."""
    nothing: dict[str, float | None] = dict.fromkeys(pages)
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        return "none: Playwright is not installed", nothing
    chromium = shutil.which("chromium")
    if chromium is None:
        return "none: Debian's chromium is not installed", nothing
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        version = f"Chromium {browser.version}"
        painted = {
            name: await _paint(browser, f"{url}{path}", rounds) for name, path in pages.items()
        }
        await browser.close()
    return version, painted


async def _paint(browser: Any, address: str, rounds: int) -> float | None:
    times = []
    for _ in range(rounds):
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        page = await context.new_page()
        await page.goto(address)
        while (painted := await page.evaluate(PAINT)) is None:  # noqa: ASYNC110  # no `eval` there
            await asyncio.sleep(0.02)
        times.append(painted / 1e3)
        await context.close()
    return _median(times)


def _median(times: Sequence[float]) -> float:
    return round(statistics.median(times), 4)


def _misses(figures: dict[str, float | None]) -> bool:
    too_large = (figures["bytes"] or 0) > MOST_BYTES
    return too_large or (figures.get("first_paint_s") or 0) > MOST_S


def _show(found: Figures, about: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"pages with {about['rollouts']:,} rollouts", title_justify="left")
    table.add_column("page")
    for name in ("kB", "server ms", "first paint ms"):
        table.add_column(name, justify="right")
    for page, figures in found.items():
        paint = figures.get("first_paint_s")
        table.add_row(
            page,
            f"{(figures['bytes'] or 0) / 1e3:.1f}",
            f"{(figures['server_s'] or 0) * 1e3:.0f}",
            "–" if paint is None else f"{paint * 1e3:.0f}",
        )
    console.print(table)
    console.print(f"targets: at most {MOST_BYTES / 1e3:.0f} kB, first paint within {MOST_S:g} s")
    console.print(about)


if __name__ == "__main__":
    sys.exit(main())
