"""More stories: of the workflows beside the rollout, and of rollouts that are steered.

`test_replay.py` asks of the newest release for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from pydantic import JsonValue
from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from activities.monitors import MonitorActivities
from activities.notifications import NotificationActivities
from activities.reconciliation import ReconciliationActivities
from activities.retention import RetentionActivities
from activities.segments import SegmentActivities
from control.courier import queue_of
from domain.monitors.manager import MonitorManager
from domain.notifications.outbox import Outbox
from domain.notifications.post import Post
from domain.notifications.targets import Directory, Target
from domain.reconciliation import Reconciler
from domain.retention.manager import RetentionManager
from domain.segments.lanes import SegmentManager
from tests.crowd import Crowd
from tests.house import House
from tests.mailbox import mailbox
from tests.visitors import Visitors
from worker import build_notifier, build_worker
from workflows.experiments.workflow import ExperimentWorkflow
from workflows.monitors.workflow import MonitorWorkflow
from workflows.notifications.workflow import NotificationWorkflow
from workflows.reconciliation import ReconcileWorkflow
from workflows.retention.workflow import RetentionWorkflow
from workflows.rings.workflow import SegmentedRolloutWorkflow
from workflows.rollout import RolloutWorkflow

Handle = WorkflowHandle[Any, Any]
TICK_S = 0.5
REQUEST: dict[str, JsonValue] = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
}
PLAN: dict[str, JsonValue] = {
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


async def _slow(_house: House) -> JsonValue:
    plan: JsonValue = {
        "stages": [{"percent": percent, "bake": "1h"} for percent in (10, 25, 50, 100)],
        "check_min": "500ms",
        "check_max": "1s",
        "final_bake": "1h",
    }
    return REQUEST | {"plan": plan}


async def _steer(handle: Handle) -> None:
    """Extended, amended, skipped, promoted in full; a key sent twice, and a wrong plan refused."""
    await _checked(handle)
    for _ in range(2):
        await handle.execute_update("extend", {"longer": "1s", "by": "ana", "key": "longer"})
    await handle.execute_update("amend", {"set": {"final_bake": "500ms"}, "by": "ana"})
    with suppress(WorkflowUpdateFailedError):
        await handle.execute_update("amend", {"set": {"alpha": 2}, "by": "ana"})
    await handle.execute_update("skip", {"to": 3, "by": "bo"})
    await handle.execute_update("promote", {"full": True, "by": "bo", "reason": "enough"})


async def _couple(house: House) -> JsonValue:
    await House(house.database, name="farewell").furnish()
    along: JsonValue = {"name": "farewell", "prompt_type": "system", "candidate": "1.1.0"}
    return {**REQUEST, "plan": PLAN, "companions": [along]}


async def _part(handle: Handle) -> None:
    """All of the bundle rolled back by a person."""
    await _checked(handle)
    await handle.execute_update("rollback", {"by": "ana", "reason": "farewell is rude"})


async def _later(_house: House) -> JsonValue:
    now = datetime.now(UTC)
    start, until = (str(now + timedelta(seconds=seconds)) for seconds in (3, 6))
    freeze: JsonValue = {"from": start, "until": until, "reason": "holidays"}
    plan: JsonValue = {**PLAN, "windows": {"freezes": [freeze]}}
    return {**REQUEST, "plan": plan, "start_at": start}


async def _orphaned(house: House) -> JsonValue:
    await house.ramped(1)
    lost = text("UPDATE rollout SET lease_until = NULL, workflow_id = 'rollout/greeting.system'")
    async with house.database.transaction() as session:
        await (await session.connection()).execute(lost)
    return None


async def _told(house: House) -> JsonValue:
    await house.ramped(1)
    (first, *_) = await Outbox(house.database).waiting()
    return first


async def _checked(handle: Handle) -> None:
    while not (await handle.query("progress"))["checks"]:
        await asyncio.sleep(TICK_S)


TALES = (
    Tale("experiment_deployed", ExperimentWorkflow.run, _experiment, _deploy),
    Tale("rings_rolled_back", SegmentedRolloutWorkflow.run, _rings, _roll_back),
    Tale("monitor_stopped", MonitorWorkflow.run, _monitor, _stop),
    Tale("retention_swept", RetentionWorkflow.run, _swept, _wait),
    Tale("steered", RolloutWorkflow.run, _slow, _steer),
    Tale("bundle_rolled_back", RolloutWorkflow.run, _couple, _part),
    Tale("frozen", RolloutWorkflow.run, _later, _wait),
    Tale("reconciled", ReconcileWorkflow.run, _orphaned, _wait),
    Tale("notification_sent", NotificationWorkflow.run, _told, _wait),
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
        ReconciliationActivities(Reconciler(house.database)),
    )
    with mailbox() as box:
        target = Target.model_validate({"name": "ops", "url": f"json://localhost:{box.port}/"})
        post = NotificationActivities(Outbox(house.database), Post(Directory(targets=(target,))))
        worker = build_worker(client, Crowd(house), *hands, task_queue=tale.name)
        async with worker, build_notifier(client, post, task_queue=tale.name):
            return await _told_to_its_end(client, tale, house)


async def _told_to_its_end(client: Client, tale: Tale, house: House) -> str:
    notifies = tale.workflow is NotificationWorkflow.run
    handle: Handle = await client.start_workflow(
        tale.workflow,
        await tale.given(house),
        id=f"{tale.name}/{uuid4()}",
        task_queue=queue_of(tale.name) if notifies else tale.name,
    )
    await tale.play(handle)
    await handle.result()
    return (await handle.fetch_history()).to_json()
