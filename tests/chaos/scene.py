"""One rollout with all that runs around it: what a cell of the matrix plays in."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import JsonValue
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from domain.database import Database
from domain.errors import Unavailable
from domain.guardrail import Guardrail, GuardrailKind
from domain.plan import RolloutPlan, Stage
from domain.record import Decision, Kind, Rollout, RolloutStatus
from tests.chaos import verdicts
from tests.chaos.people import NAME, NEW, TYPE, People
from tests.chaos.place import Place
from tests.chaos.processes import Strike, WorkerProcess
from tests.chaos.sentry import Sentry
from tests.chaos.victims import ROOT, GatewayProcess
from tests.house import House
from workflows.progress import Outcome
from workflows.rollout import RolloutWorkflow

ALIVE_S = 120.0  # until a thing that has to happen, happened
WATCHED = Guardrail(
    kind=GuardrailKind.THRESHOLD,
    min_events=10,
    when_blind="roll_back",  # so that a clock that is wrong, or an outage, might roll back
    when_no_traffic="roll_back",
)
QUICK = RolloutPlan(
    stages=(Stage(percent=50, bake=timedelta(seconds=0.5)), Stage(percent=100)),
    guardrails=(WATCHED,),
    blind_after=timedelta(minutes=30),
    no_traffic_after=timedelta(minutes=30),
    check_min=timedelta(seconds=0.5),
    check_max=timedelta(seconds=0.5),
    final_bake=timedelta(seconds=0.5),
)


def baking(bake: timedelta) -> RolloutPlan:
    """Return the plan with another bake of the first stage."""
    first, last = QUICK.stages
    stages = (first.model_copy(update={"bake": bake}), last)
    return QUICK.model_copy(update={"stages": stages})


SLOW = baking(timedelta(seconds=4))
ENDLESS = baking(timedelta(hours=1))
PROMOTED = (Kind.OPENED, Kind.RAMPED, Kind.RAMPED, Kind.PROMOTED, Kind.COMPLETED)
ROLLED_BACK = (Kind.OPENED, Kind.RAMPED, Kind.ROLLING_BACK, Kind.ROLLED_BACK)
AT_ONCE = (Kind.OPENED, Kind.RAMPED, Kind.ROLLED_BACK)  # as the release before told it
Handle = WorkflowHandle[RolloutWorkflow, Outcome]


class Scene:
    """The gateway, the people, the sentry, and whatever workers the play starts."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.redis = place.redis
        self.database = Database(place.database_url)
        self.house = House(self.database, name=NAME)
        self.gateway = GatewayProcess(
            place.folder, database_url=place.database_url, redis_url=place.redis.url
        )
        self.people = People(self.database, self.gateway, redis_url=place.redis.url)
        self.sentry = Sentry(self.database)
        self.workers: list[WorkerProcess] = []
        self.lost: frozenset[str] = frozenset()
        self._handle: Handle | None = None
        self._undo = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.database.dispose)
            undo.callback(self._end_workers)
            await undo.enter_async_context(self.gateway)
            self._undo = undo.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._undo.aclose()

    async def come_alive(self) -> None:
        """Let users come, and the sentry look."""
        await self.gateway.start()
        await self._undo.enter_async_context(self.people)
        await self._undo.enter_async_context(self.sentry)

    def work(self, strike: Strike | None = None, *, code: Path = ROOT) -> WorkerProcess:
        """Start one more worker; of another release, with the code in that folder."""
        log = self.place.folder / f"worker-{len(self.workers)}.log"
        worker = WorkerProcess(log, self.place.environment, code=code)
        worker.start(strike)
        self.workers.append(worker)
        return worker

    def strike(self, activity: str, moment: str, *, deed: str) -> Strike:
        marker = self.place.folder / "struck"
        return Strike(activity=activity, moment=moment, deed=deed, marker=marker)

    async def start(self, plan: RolloutPlan = QUICK, **more: JsonValue) -> Handle:
        """Start the rollout."""
        given: JsonValue = {
            "name": NAME,
            "prompt_type": TYPE,
            "candidate": NEW,
            "plan": plan.model_dump(mode="json", exclude_defaults=True),  # as any release reads it
            **more,
        }
        self._handle = await self.place.client.start_workflow(
            RolloutWorkflow.run,
            given,
            id=f"rollout/{self.place.queue}",
            task_queue=self.place.queue,
        )
        return self._handle

    @property
    def handle(self) -> Handle:
        assert self._handle, "the rollout is not started"
        return self._handle

    async def until(self, reached: Callable[[Rollout, Sequence[Decision]], bool]) -> None:
        """Wait until the rollout and its journal are as wanted, by the database."""
        async with asyncio.timeout(ALIVE_S):
            while not await self._now(reached):
                await asyncio.sleep(0.05)

    async def until_checked(self) -> None:
        """Wait until the first stage has been judged."""
        await self.until(lambda _, lines: any(line.kind is Kind.CHECKED for line in lines))

    async def _now(self, reached: Callable[[Rollout, Sequence[Decision]], bool]) -> bool:
        with suppress(Unavailable):
            for rollout in await self.house.rollouts.list(NAME, TYPE):
                return reached(rollout, await self.house.rollouts.decisions(rollout.id))
        return False

    async def closed(self) -> WorkflowExecutionStatus:
        """Wait until the workflow has ended, whatever becomes of its server meanwhile."""
        try:
            return await asyncio.wait_for(self._closing(), ALIVE_S)
        except TimeoutError:
            raise AssertionError(f"it does not end: {await self._last_line()}") from None

    async def _last_line(self) -> str:
        for rollout in await self.house.rollouts.list(NAME, TYPE):
            for line in (await self.house.rollouts.decisions(rollout.id))[-1:]:
                return f"stage {line.stage}, {line.kind} at {line.at:%H:%M:%S}: {line.reason}"
        return "it was never opened"

    async def _closing(self) -> WorkflowExecutionStatus:
        while True:
            with suppress(RPCError):
                found = (await self.handle.describe()).status
                if found and found is not WorkflowExecutionStatus.RUNNING:
                    return found
            await asyncio.sleep(0.1)

    async def ended(self, ending: RolloutStatus, *, story: Sequence[Kind]) -> None:
        """Raise `AssertionError` unless all is as the ending has it."""
        await self._workflow_says(ending)
        await verdicts.serving_is_right(self.people, self.gateway, ending)
        await self.people.stay_away()
        await verdicts.state_is_right(self.house, ending)
        await verdicts.journal_is_right(self.database, story)
        await verdicts.events_are_right(
            self.database, self.people, redis_url=self.redis.url, lost=self.lost
        )
        seen = "; ".join(f"{what} ({count} times)" for what, count in self.sentry.seen.items())
        assert not seen, f"the sentry saw: {seen}"
        assert self.sentry.looks >= 5, f"the sentry looked {self.sentry.looks} times only"
        assert any(worker.alive for worker in self.workers), "no worker is alive at the end"

    async def _workflow_says(self, ending: RolloutStatus) -> None:
        status = await self.closed()
        if status is WorkflowExecutionStatus.CANCELED and ending == RolloutStatus.ROLLED_BACK:
            return
        try:
            outcome = await self.handle.result()
        except WorkflowFailureError as error:
            raise AssertionError(f"the workflow is {status.name}: {error.cause}") from error
        assert outcome.outcome.value == ending.value, (
            f"the workflow says {outcome.outcome}: {outcome.reason}"
        )

    def _end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
