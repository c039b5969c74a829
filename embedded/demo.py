"""`rampart demo`: one version that deserves production and one that does not, on a real stack.

Nothing here decides how it ends: the outcome is read from the database, and told if it is wrong.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from control.picture import Picture, Viewer
from control.rollouts import Control
from dev import Stack
from domain.database import Database
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.plan import RolloutRequest, preset
from domain.prompts import VersionStatus
from domain.record import RolloutStatus
from domain.rollouts import RolloutManager
from domain.routing import Router, RoutingManager
from domain.versions import VersionManager
from embedded.traffic import PER_SECOND, Traffic
from settings import Settings
from terminal import screen
from terminal.watch import Lines, Moving, Show, follow

DIRECTORY = Path(".rampart/demo")
NAME, PROMPT_TYPE = PROMPT = ("greeting", "system")
FLAG = f"{NAME}.{PROMPT_TYPE}"
FIRST, HEALTHY, BROKEN = "1.0.0", "1.1.0", "1.2.0"
HEALTH = {FIRST: 0.97, HEALTHY: 0.98, BROKEN: 0.60}
TEMPLATES = {
    FIRST: "You are a friendly assistant. Greet {{user}}.",
    HEALTHY: "You are a friendly assistant. Greet {{user}} by name, in their language.",
    BROKEN: "Greet.",
}
STORIES = {HEALTHY: "greets people by name", BROKEN: "shorter, hence cheaper"}
POLL = timedelta(seconds=0.25)  # how soon simulated servers follow a ramp
SEED = 1
BY = "rampart demo"
PATIENCE_S = 120.0  # of a rollout that takes 6 to 30 s
EXPECTED = {HEALTHY: RolloutStatus.PROMOTED, BROKEN: RolloutStatus.ROLLED_BACK}


class Demo:
    """Two rollouts of one prompt, as an operator sees them.

    Attributes:
        went_well: Whether the database says at the end what it should.
    """

    def __init__(self, console: Console, *, seed: int = SEED) -> None:
        """Take where to show it; the seed makes the users the same again."""
        self.went_well = False
        self._console = console
        self._seed = seed
        self._show: Show = Lines(console)

    def tell(self, line: str) -> None:
        """Show a line about the stack, inside the picture while there is one."""
        self._show.tell(line)

    async def play(self, stack: Stack) -> str:
        """Play on a stack that is up, and return what happened in one line."""
        database = Database(stack.database_url)
        self._introduce(stack)
        try:
            await _make_versions(VersionManager(database))
            async with AsyncExitStack() as scene:
                router = await scene.enter_async_context(Router(database, poll=POLL))
                users = Traffic(
                    router,
                    MetricsCollector(database),
                    ABTestManager(database),
                    prompt=PROMPT,
                    health=HEALTH,
                    seed=self._seed,
                )
                await scene.enter_async_context(users)
                ended = [await self._roll_out(number, stack, database) for number in EXPECTED]
            return await self._sum_up(ended, database)
        except TimeoutError:
            return f"demo: FAILED: no end after {PATIENCE_S:g} s; see {stack.directory}"
        finally:
            await database.dispose()

    def _introduce(self, stack: Stack) -> None:
        self._say(f"{FLAG} has {FIRST} in production; {PER_SECOND} simulated users a second.")
        self._say(f"dashboard    {stack.gateway}/ui, while this runs; to break one: --play")
        self._say(f"Temporal UI  {stack.ui}")
        self._say(f"worker       pid {stack.worker_pid}: kill -9 it if you like")

    async def _roll_out(self, candidate: str, stack: Stack, database: Database) -> Picture:
        client, queue = await stack.connect(), Settings.from_env().task_queue
        self._say("")
        self._say(f"Rolling out {candidate}: {HEALTH[candidate]:.0%} of its uses will succeed.")
        request = RolloutRequest(
            name=NAME,
            prompt_type=PROMPT_TYPE,
            candidate=candidate,
            plan=preset("demo"),
            by=BY,
            reason=STORIES[candidate],
        )
        async with asyncio.timeout(PATIENCE_S):
            await Control(client, task_queue=queue).start(request)
            viewer = Viewer(client, database, queue=queue, ui=stack.ui)
            return await self._watch(viewer)

    async def _watch(self, viewer: Viewer) -> Picture:
        if not self._console.is_terminal:
            return await follow(viewer, *PROMPT, show=self._show)
        lines = self._show
        with Moving(self._console) as moving:
            self._show = moving
            try:
                return await follow(viewer, *PROMPT, show=moving)
            finally:
                self._show = lines

    async def _sum_up(self, ended: list[Picture], database: Database) -> str:
        """Read back what is true now, whatever was seen on the way."""
        rollouts = await RolloutManager(database).list(*PROMPT)
        found = {rollout.candidate: rollout.status for rollout in rollouts}
        production = await VersionManager(database).production(*PROMPT)
        routed = await RoutingManager(database).snapshot(*PROMPT)
        serves = routed.default.version if routed and routed.default and not routed.splits else None
        version = production.version if production else None
        self.went_well = found == EXPECTED and version == serves == HEALTHY
        told = "; ".join(screen.ending(picture) for picture in ended)
        if self.went_well:
            return f"demo: {FLAG} {told}, production is {HEALTHY} again"
        wanted = ", ".join(f"{number} {status}" for number, status in EXPECTED.items())
        return (
            f"demo: FAILED: {FLAG} {told}; production is {version}, everybody is served {serves};"
            f" expected {wanted}, production {HEALTHY}"
        )

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


async def _make_versions(versions: VersionManager) -> None:
    for number, template in TEMPLATES.items():
        first = number == FIRST
        await versions.create_version(
            NAME,
            PROMPT_TYPE,
            template,
            number,
            created_by=BY,
            tags=["production"] if first else [],
            status=VersionStatus.PRODUCTION if first else VersionStatus.ACTIVE,
        )
