"""Stories of the workflows beside the rollout: an experiment, rings, a monitor, a sweep."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import JsonValue
from temporalio.client import Client, WorkflowHandle

from activities.monitors import MonitorActivities
from activities.retention import RetentionActivities
from activities.segments import SegmentActivities
from domain.monitors.manager import MonitorManager
from domain.retention.manager import RetentionManager
from domain.segments.lanes import SegmentManager
from tests.crowd import Crowd
from tests.house import House
from tests.visitors import Visitors
from worker import build_worker
from workflows.experiments.workflow import ExperimentWorkflow
from workflows.monitors.workflow import MonitorWorkflow
from workflows.retention.workflow import RetentionWorkflow
from workflows.rings.workflow import SegmentedRolloutWorkflow

Handle = WorkflowHandle[Any, Any]
TICK_S = 0.5
PLAN: JsonValue = {
    "stages": [{"percent": 10, "bake": "500ms"}, {"percent": 100}],
    "check_min": "500ms",
    "check_max": "1s",
    "final_bake": "500ms",
}


class Tale(NamedTuple):
    """What is started, and what somebody then does."""

    name: str
    workflow: Callable[..., Awaitable[Any]]
    given: Callable[[House], Awaitable[JsonValue]]
    play: Callable[[Handle], Awaitable[None]]


async def _experiment(_house: House) -> JsonValue:
    plan: JsonValue = {
        "variants": ["1.0.0", "1.1.0", "1.2.0"],
        "min_duration": "2s",
        "max_duration": "20s",
        "min_sample": 100,
        "check_min": "500ms",
        "check_max": "1s",
        "end": "ask",
    }
    return {"name": "greeting", "prompt_type": "system", "plan": plan}


async def _deploy(handle: Handle) -> None:
    """Paused, resumed, an arm stopped for harm, concluded by the plan, deployed by a person."""
    await handle.signal("pause", {"by": "ana"})
    await asyncio.sleep(TICK_S)
    await handle.execute_update("resume", {"by": "ana"})
    while str((await handle.query("progress"))["phase"]) != "waiting_for_decision":
        await asyncio.sleep(TICK_S)
    await handle.execute_update("deploy", {"by": "bo", "version": "1.1.0"})


async def _rings(house: House) -> JsonValue:
    segments = SegmentManager(house.database)
    await segments.define("greeting", "system", "internal", 'mail.endsWith("@example.com")')
    plan: JsonValue = {"segments": ["internal"], "plan": PLAN, "pause_between": "500ms"}
    return {"name": "greeting", "prompt_type": "system", "candidate": "1.1.0", "plan": plan}


async def _roll_back(handle: Handle) -> None:
    """Rolled back by a person while the first ring bakes."""
    await asyncio.sleep(4 * TICK_S)
    await handle.signal("rollback", {"by": "ana", "reason": "complaints"})


async def _monitor(house: House) -> JsonValue:
    version = await house.get("1.1.0")
    await house.events("1.1.0", good=0, bad=50)
    return {"versions": [version.version_id], "interval": "500ms", "duration": "1h"}


async def _stop(handle: Handle) -> None:
    """An alert, then stopped by a person."""
    await asyncio.sleep(4 * TICK_S)
    await handle.execute_update("stop", {"by": "ana"})


async def _swept(house: House) -> JsonValue:
    await house.events("1.1.0", good=1, bad=0)
    return {"events": "120d", "users": None}


async def _wait(_handle: Handle) -> None:
    """It ends by itself."""


TALES = (
    Tale("experiment_deployed", ExperimentWorkflow.run, _experiment, _deploy),
    Tale("rings_rolled_back", SegmentedRolloutWorkflow.run, _rings, _roll_back),
    Tale("monitor_stopped", MonitorWorkflow.run, _monitor, _stop),
    Tale("retention_swept", RetentionWorkflow.run, _swept, _wait),
)


async def tell(client: Client, tale: Tale, house: House) -> str:
    """Play a tale to its end; return its history as JSON."""
    await house.version("1.2.0")
    visitors = Visitors(house)
    visitors.rates = {"1.0.0": 0.9, "1.1.0": 0.97, "1.2.0": 0.4}
    hands = (
        visitors,
        SegmentActivities(SegmentManager(house.database), search_attributes=True),
        MonitorActivities(MonitorManager(house.database)),
        RetentionActivities(RetentionManager(house.database)),
    )
    async with build_worker(client, Crowd(house), *hands, task_queue=tale.name):
        given = await tale.given(house)
        handle: Handle = await client.start_workflow(
            tale.workflow, given, id=f"{tale.name}/{uuid4()}", task_queue=tale.name
        )
        await tale.play(handle)
        await handle.result()
    return (await handle.fetch_history()).to_json()
