"""A stage of days, by the real workflow on Temporal's server that skips time: what it costs.

Checks are answered at once: what is counted is how often the workflow asks, and by which commands.
"""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from temporalio import activity
from temporalio.api.history.v1 import HistoryEvent
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.testing import WorkflowEnvironment

from activities.rollouts import Check, RolloutActivities
from benchmarks.fleet.crowd import Crowd
from benchmarks.fleet.histories import actions, all_runs, scheduled
from control.payloads import data_converter
from control.rollouts import workflow_id
from domain.database import Database
from domain.judge import Action, Verdict
from domain.plan import RolloutPlan, Stage
from domain.rollouts import RolloutManager
from worker import build_worker, register_search_attributes
from workflows.rollout import RolloutWorkflow

QUEUE = "week"
SERVER = "temporal-test-server"
EACH_MINUTE = 2  # a timer and an activity: the least that a loop can do


@dataclass(frozen=True)
class Week:
    """What one stage cost.

    Attributes:
        actions: That Temporal Cloud would bill, by kind.
        fixed: What a bare loop of one timer and one activity each 60 s would cost.
        runs: How often it continued as new, and once.
    """

    days: float
    checks: int
    events: int
    runs: int
    actions: dict[str, int]
    fixed: int

    @property
    def over_fixed(self) -> float:
        """Ours over the bare loop's."""
        return sum(self.actions.values()) / self.fixed


class Agreeable(RolloutActivities):
    """The real activities, but that every check is content at once."""

    @activity.defn
    async def check(self, order: Check) -> Verdict:  # noqa: ARG002
        """Find nothing wrong."""
        return Verdict(action=Action.ADVANCE, reason="nothing is wrong")


async def stage_of(days: float) -> Week:
    """Run one stage of the default cadence and count what it did."""
    long = Stage(percent=5, bake=timedelta(days=days))
    plan = RolloutPlan(stages=(long, Stage(percent=100)), final_bake=timedelta(0))
    events = await _lived(plan)
    stage = list(_first_stage(events))
    return Week(
        days=days,
        checks=sum(scheduled(event) == "check" for event in stage),
        events=len(stage),
        runs=sum(event.HasField("workflow_execution_started_event_attributes") for event in stage),
        actions=actions(stage),
        fixed=round(days * 24 * 60) * EACH_MINUTE,
    )


async def _lived(plan: RolloutPlan) -> list[HistoryEvent]:
    """Return the history of one rollout, from its start to its end."""
    with TemporaryDirectory(prefix="rampart-") as directory:
        database = Database(f"sqlite:///{directory}/rampart.db")
        async with await WorkflowEnvironment.start_time_skipping(
            data_converter=data_converter(),
            test_server_existing_path=shutil.which(SERVER, path=Path(sys.executable).parent),
            runtime=_quiet(),
        ) as env:
            known = await register_search_attributes(env.client)
            crowd = Crowd(database, size=1)
            await crowd.furnish()
            hands = Agreeable(RolloutManager(database), search_attributes=known)
            async with build_worker(env.client, hands, task_queue=QUEUE):
                (request,) = crowd.requests(plan)
                handle = await env.client.start_workflow(
                    RolloutWorkflow.run,
                    request.model_dump(mode="json"),
                    id=workflow_id(request.name, request.prompt_type),
                    task_queue=QUEUE,
                )
                await handle.result()
                first = handle.first_execution_run_id or ""
                events = await all_runs(env.client, handle.id, first)
        await database.dispose()
    return events


def _first_stage(events: list[HistoryEvent]) -> Iterator[HistoryEvent]:
    """Yield what happened before the second ramp."""
    ramps = 0
    for event in events:
        ramps += scheduled(event) == "ramp"
        if ramps == 2:
            return
        yield event


def _quiet() -> Runtime:
    """Keep the SDK from warning that the server that skips time is no real one."""
    errors = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors)))
