"""`rampart demo`, whole, while its worker is killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from settings import child_environment


@pytest.mark.chaos
async def test_the_demo_ends_as_it_should_though_its_worker_is_killed_mid_bake(
    tmp_path: Path,
) -> None:
    demo = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "rampart"),
        "demo",
        cwd=tmp_path,
        env=child_environment(PYTHONUNBUFFERED="1"),
        stdout=PIPE,
        stderr=STDOUT,
    )
    lines: list[str] = []
    killed = 0
    assert demo.stdout is not None

    async with asyncio.timeout(90):
        async for line in demo.stdout:
            lines.append(line.decode().rstrip())
            if not killed and "10 % advance" in lines[-1]:
                killed = pid = int((tmp_path / ".rampart/demo/worker.pid").read_text())
                os.kill(pid, signal.SIGKILL)
        code = await demo.wait()

    assert code == 0, "\n".join(lines)
    assert any("was killed (SIGKILL): starting it again" in line for line in lines)
    assert lines[-1].startswith("demo: greeting.system 1.1.0 was promoted (10 % → 50 % → 100 %)")
    assert "1.2.0 was rolled back at 10 %" in lines[-1]
    assert lines[-1].endswith("production is 1.1.0 again")
