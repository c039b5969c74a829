"""`rampart demo --play`: somebody opens the page it names, breaks the candidate, and rolls on."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import httpx

from settings import child_environment

WITHIN_S = 60.0


async def test_a_candidate_broken_by_a_button_is_rolled_back_and_the_next_one_rolled_out(
    tmp_path: Path,
) -> None:
    play = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "rampart"),
        "demo",
        "--play",
        cwd=tmp_path,
        env=child_environment(PYTHONUNBUFFERED="1"),
        stdout=PIPE,
        stderr=STDOUT,
    )
    lines: list[str] = []
    assert play.stdout is not None
    reading = asyncio.create_task(read(play.stdout, lines))
    try:
        page = await shown(lines, r"(http://\S+)(/ui/rollouts/\S+)")
        async with httpx.AsyncClient(base_url=page[1], follow_redirects=True) as browser:
            await until(browser, page[2], 'state baking"')
            await browser.post("/ui/demo/break")
            broken = await until(browser, page[2], 'state rolled_back"')
            again = await browser.post("/ui/demo/again")
    finally:
        os.kill(play.pid, signal.SIGINT)
        await asyncio.wait_for(reading, WITHIN_S)

    assert "evidence of harm" in broken
    assert "1.0.0 → 1.2.0" in again.text
    assert await play.wait() == 0, "\n".join(lines)
    assert any("1.1.0 was rolled back at 10 %" in line for line in lines)
    assert lines[-1] == "stopping …"


async def read(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode().rstrip())


async def shown(lines: list[str], pattern: str) -> re.Match[str]:
    """Return the first line that says it."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            for line in lines:
                if found := re.search(pattern, line):
                    return found
            await asyncio.sleep(0.1)


async def until(browser: httpx.AsyncClient, path: str, wanted: str) -> str:
    """Return the page once it shows what is wanted."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            answer = await browser.get(path)
            if wanted in answer.text:
                return answer.text
            await asyncio.sleep(0.2)
