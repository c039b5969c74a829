"""`rampart demo --play`: a rollout and users who go on coming, for somebody to break it.

Nothing here decides how a rollout ends; who presses which button does, and the guardrails.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

from rich.console import Console

from control.picture import Viewer
from control.rollouts import Control
from dev import Stack
from domain.database import Database
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.plan import RolloutPlan, RolloutRequest
from domain.prompts import VersionStatus
from domain.routing import Router
from domain.stage import Stage
from domain.versions import VersionManager
from embedded.switch import FIRST, PROMPT, WELL, State, Switch
from embedded.traffic import PER_SECOND, Traffic
from settings import Settings
from terminal import screen
from terminal.watch import Lines, follow

FLAG = ".".join(PROMPT)
BASELINE = "1.0.0"
BY = "rampart demo"
POLL = timedelta(seconds=0.25)  # how soon users meet what was switched
MINUTE = timedelta(minutes=1)
PLAN = RolloutPlan(
    name="play",
    stages=(
        Stage(percent=10, bake=MINUTE),
        Stage(percent=50, bake=MINUTE),
        Stage(percent=100, bake=MINUTE / 2),
    ),
    check_min=timedelta(seconds=1),
    check_max=timedelta(seconds=2),
    final_bake=MINUTE / 2,
)


class Playground:
    """Has users come and rolls out one version after the other, until it is cancelled."""

    def __init__(
        self, console: Console, switch: Switch, *, seed: int, ready: Callable[[], None]
    ) -> None:
        """Take where to tell of it; the switch is worked by the page.

        `ready` is called once there is something to see.
        """
        self._ready = ready
        self._show = Lines(console)
        self._switch = switch
        self._seed = seed
        self._success = {BASELINE: WELL}

    def tell(self, line: str) -> None:
        """Tell a line."""
        self._show.tell(line)

    async def play(self, stack: Stack) -> None:
        """Play on a stack that is up."""
        database = Database(stack.database_url)
        try:
            await self._make(database, BASELINE)
            async with AsyncExitStack() as scene:
                router = await scene.enter_async_context(Router(database, poll=POLL))
                collector, experiments = MetricsCollector(database), ABTestManager(database)
                users = Traffic(
                    router,
                    collector,
                    experiments,
                    prompt=PROMPT,
                    health=self._success,
                    seed=self._seed,
                )
                await scene.enter_async_context(users)
                await self._go_on(stack, database)
        finally:
            await database.dispose()

    async def _go_on(self, stack: Stack, database: Database) -> None:
        begun, watched = 0, asyncio.Event()
        watched.set()
        async with asyncio.TaskGroup() as watching:
            while True:
                state = self._switch.read()
                self._success[state.candidate] = state.success
                if state.wanted > begun and watched.is_set():
                    begun = state.wanted
                    watched.clear()
                    await self._roll_out(f"1.{begun}.0", state, stack, database)
                    watching.create_task(self._watch(stack, database, told=watched))
                await asyncio.sleep(POLL.total_seconds())

    async def _roll_out(
        self, candidate: str, state: State, stack: Stack, database: Database
    ) -> None:
        if candidate != state.candidate:
            state = self._switch.change(candidate=candidate, broken=False)
        self._success[candidate] = state.success
        await self._make(database, candidate)
        self.tell("")
        self.tell(f"Rolling out {candidate} to {PER_SECOND} users a second.")
        request = RolloutRequest(
            name=PROMPT[0],
            prompt_type=PROMPT[1],
            candidate=candidate,
            plan=PLAN,
            by=BY,
            reason="to be broken by you",
        )
        queue = Settings.from_env().task_queue
        await Control(await stack.connect(), task_queue=queue).start(request)
        if candidate == FIRST:
            self._ready()

    async def _watch(self, stack: Stack, database: Database, *, told: asyncio.Event) -> None:
        """Tell of a rollout to its end."""
        queue = Settings.from_env().task_queue
        viewer = Viewer(await stack.connect(), database, queue=queue, ui=stack.ui)
        self.tell(f"{FLAG} {screen.ending(await follow(viewer, *PROMPT, show=self._show))}")
        told.set()

    async def _make(self, database: Database, number: str) -> None:
        first = number == BASELINE
        await VersionManager(database).create_version(
            *PROMPT,
            f"You are a friendly assistant, release {number}. Greet {{{{user}}}}.",
            number,
            created_by=BY,
            tags=["production"] if first else [],
            status=VersionStatus.PRODUCTION if first else VersionStatus.ACTIVE,
        )
