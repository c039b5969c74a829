"""Records the histories that `test_replay.py` replays: real rollouts on a real dev server.

Run by `make record`, once per release that changes what a rollout does, under a new release name;
older folders stay for ever, because rollouts that began under them may still be running.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import JsonValue
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from control.payloads import data_converter
from domain.database import Database
from domain.plan import RolloutPlan, Stage
from tests.crowd import Crowd
from tests.house import House
from tests.replay.tales import TALES, Tale, tell
from worker import build_worker, register_search_attributes
from workflows.progress import Outcome, Progress
from workflows.rollout import RolloutWorkflow
from workflows.state import Phase

HISTORIES = Path(__file__).parent / "histories"
TICK = timedelta(seconds=0.5)
PLAN = RolloutPlan(
    stages=(Stage(percent=10, bake=TICK, approval=True), Stage(percent=100)),
    check_min=TICK,
    check_max=2 * TICK,
    final_bake=TICK,
)
SHORT = "limit.historyCount.suggestContinueAsNew=120"  # so that a recorded history is small
Handle = WorkflowHandle[RolloutWorkflow, Outcome]


async def promoted(handle: Handle, _crowd: Crowd) -> None:
    """Paused, resumed, refused, approved, promoted."""
    await handle.signal("pause", {"by": "ana", "reason": "lunch"})
    await _until(handle, lambda seen: seen.phase is Phase.PAUSED)
    await handle.signal("pause", 42)
    await handle.execute_update("resume", {"by": "ana"})
    await _until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
    await handle.execute_update("approve", {"by": "bo"})


async def rolled_back_by_guardrail(handle: Handle, crowd: Crowd) -> None:
    """Harmed while it waits for an approval."""
    await _until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
    crowd.bad_from = 1


async def rolled_back_by_signal(handle: Handle, _crowd: Crowd) -> None:
    """Rolled back by a person, from Temporal's UI."""
    await _until(handle, lambda seen: seen.checks > 0)
    await handle.signal("rollback", "complaints")


async def cancelled(handle: Handle, _crowd: Crowd) -> None:
    """Cancelled while it bakes."""
    await _until(handle, lambda seen: seen.checks > 0)
    await handle.cancel()


async def continued_as_new(handle: Handle, _crowd: Crowd) -> None:
    """Left waiting for an approval until its history is too long; then approved."""
    while (await handle.describe()).run_id == handle.first_execution_run_id:
        await asyncio.sleep(TICK.total_seconds())
    await handle.execute_update("approve")


STORIES = (
    promoted,
    rolled_back_by_guardrail,
    rolled_back_by_signal,
    cancelled,
    continued_as_new,
)


async def record(client: Client, story: Callable[[Handle, Crowd], Awaitable[None]]) -> list[str]:
    """Play one story; return the history of each of its runs as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Database(f"sqlite:///{folder}/rampart.db"))
        await house.furnish()
        crowd = Crowd(house)
        async with build_worker(client, crowd, task_queue=story.__name__):
            given: JsonValue = {
                "name": "greeting",
                "prompt_type": "system",
                "candidate": "1.1.0",
                "plan": PLAN.model_dump(mode="json"),
            }
            handle = await client.start_workflow(
                RolloutWorkflow.run,
                given,
                id=f"rollout/greeting.system/{uuid4()}",
                task_queue=story.__name__,
            )
            await story(handle, crowd)
            with suppress(WorkflowFailureError):
                await handle.result()
        await house.database.dispose()
    runs = {handle.first_execution_run_id, (await handle.describe()).run_id}
    handles = [client.get_workflow_handle(handle.id, run_id=run) for run in sorted(map(str, runs))]
    return [(await found.fetch_history()).to_json() for found in handles]


async def tell_once(client: Client, tale: Tale) -> str:
    """Tell a tale in a house of its own; return its history as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        house = House(Database(f"sqlite:///{folder}/rampart.db"))
        await house.furnish()
        try:
            return await tell(client, tale, house)
        finally:
            await house.database.dispose()


async def _until(handle: Handle, reached: Callable[[Progress], bool]) -> None:
    while not reached(await handle.query(RolloutWorkflow.progress)):
        await asyncio.sleep(TICK.total_seconds() / 5)


async def main(release: str) -> None:
    """Record every story into the folder of the release."""
    folder = HISTORIES / release
    folder.mkdir(parents=True)
    async with await WorkflowEnvironment.start_local(
        data_converter=data_converter(),
        dev_server_existing_path=shutil.which("temporal", path=str(Path(sys.executable).parent)),
        dev_server_extra_args=["--dynamic-config-value", SHORT],
    ) as env:
        await register_search_attributes(env.client)
        for story in STORIES:
            for number, history in enumerate(await record(env.client, story), 1):
                (folder / f"{story.__name__}.{number}.json").write_text(history)
        for tale in TALES:
            (folder / f"{tale.name}.1.json").write_text(await tell_once(env.client, tale))
    await asyncio.sleep(0.05)  # leaving at once can crash the interpreter: sdk-python#300


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "0.4.0"))
