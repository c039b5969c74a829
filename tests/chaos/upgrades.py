r"""Plays with the worker of the release before: it goes on under this one, or beside it.

The old release is its own code, as its last commit had it, run by today's interpreter and
libraries. It is kept as an archive, because a checkout need not have all of its history:

    git archive COMMIT activities domain workflows control settings.py worker.py pyproject.toml \
        tests/house.py tests/chaos | gzip -9n > tests/chaos/releases/RELEASE.tar.gz
"""

import asyncio
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from signal import SIGKILL

from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from domain.plan import RolloutPlan
from settings import child_environment
from tests.chaos import mortal
from tests.chaos.processes import Strike, WorkerProcess
from tests.chaos.scene import ALIVE_S, ENDLESS, Scene, baking
from tests.chaos.victims import ROOT
from workflows.rollout import RolloutWorkflow

LONGER = baking(timedelta(seconds=12))
RELEASE = "0.3.0"
RELEASES = Path(__file__).parent / "releases"
FURNISH = """
import asyncio, os
from domain.database import Database
from tests.house import House

async def furnish():
    database = Database(os.environ["RAMPART_DATABASE_URL"])
    await House(database).furnish()
    await database.dispose()

asyncio.run(furnish())
"""


def old_release(folder: Path) -> Path:
    """Return a folder with the code of the release before."""
    with tarfile.open(RELEASES / f"{RELEASE}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    said = (folder / "pyproject.toml").read_text()
    assert f'version = "{RELEASE}"' in said, f"the archive is not of {RELEASE}"
    shutil.copy(Path(mortal.__file__), folder / "tests/chaos")
    return folder


async def begun_by_the_old(
    scene: Scene, plan: RolloutPlan = LONGER, *, strike: Strike | None = None
) -> WorkerProcess:
    """Have the old release make its tables and bake the first stage; return its worker.

    Then its tables become those of this release, under it, and users come.
    """
    code = old_release(scene.place.folder / "release")
    await _run(scene, "-c", FURNISH, code=code)
    old = scene.work(strike, code=code)
    await scene.start(plan)
    async with asyncio.timeout(ALIVE_S):
        checks = 0
        while checks < 1:
            with suppress(RPCError):  # a worker that is still starting answers nobody
                checks = (await scene.handle.query(RolloutWorkflow.progress)).checks
            await asyncio.sleep(0.1)
    await _run(scene, "-m", "cli", "db", "upgrade", code=ROOT)
    return old


async def taken_over(scene: Scene, plan: RolloutPlan = LONGER) -> None:
    """The old worker is stopped, the new one promotes."""
    old = await begun_by_the_old(scene, plan)
    old.terminate()
    await old.died()
    scene.work()
    await scene.come_alive()


async def taken_back(scene: Scene) -> None:
    """The old worker is stopped, the new one rolls back."""
    await taken_over(scene, ENDLESS)
    await scene.handle.signal("rollback", "complaints")


def killed_in_the_old(activity: str, moment: str) -> Callable[[Scene], Awaitable[None]]:
    """The old worker is killed in its own rollback, and the new one finishes it."""

    async def play(scene: Scene) -> None:
        strike = scene.strike(activity, moment, deed="die")
        old = await begun_by_the_old(scene, ENDLESS, strike=strike)
        await scene.come_alive()
        await scene.handle.signal("rollback", "complaints")
        await strike.done()
        await old.died()
        assert old.code == -SIGKILL, f"the worker ended with {old.code}"
        scene.work()

    return play


async def both_at_once(scene: Scene) -> None:
    """Old and new work side by side, and it is promoted."""
    await _side_by_side(scene)
    await scene.closed()


async def both_roll_back(scene: Scene) -> None:
    """Old and new work side by side, and it is rolled back."""
    await _side_by_side(scene, ENDLESS)
    await scene.handle.signal("rollback", "complaints")
    await scene.closed()


async def _side_by_side(scene: Scene, plan: RolloutPlan = LONGER) -> None:
    """Have both releases look after it in turn, with both alive from then on.

    A workflow stays with the worker that has it: so the old one is killed, and comes back.
    """
    old = await begun_by_the_old(scene, plan)
    new = scene.work()
    await scene.come_alive()
    old.kill()
    scene.work(code=scene.place.folder / "release")
    (rollout,) = await scene.house.rollouts.list()
    checked = len(await scene.house.rollouts.decisions(rollout.id))
    await scene.until(lambda _, lines: len(lines) > checked + 1)
    await _both_worked(scene, old, new)


async def _both_worked(scene: Scene, *workers: WorkerProcess) -> None:
    seen = set()
    async for event in scene.handle.fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            seen.add(event.activity_task_started_event_attributes.identity)
    idle = [worker.identity for worker in workers if worker.identity not in seen]
    assert not idle, f"{idle} did nothing: only {seen} worked"


async def _run(scene: Scene, *words: str, code: Path) -> None:
    """Run Python in a folder with code, on the database of the scene."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=code,
        env=child_environment(**scene.place.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await running.communicate()
    assert running.returncode == 0, said.decode()
