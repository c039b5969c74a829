"""A whole rampart for a session of stories: the embedded stack, and a gateway that asks who one is.

Each story has a prompt of its own, with users who come all the time.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from httpx import AsyncClient, HTTPError

from control.rollouts import Control
from dev import GATEWAY, Stack
from domain.database import Database
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.plan import RolloutPlan, RolloutRequest
from domain.routing import Router
from domain.tokens import Role, TokenManager
from embedded.child import Child
from embedded.ports import HOST, free_port
from embedded.traffic import Traffic
from settings import Settings, child_environment
from tests.house import House

OPERATOR, ONLOOKER = "ann", "eve"
POLL = timedelta(milliseconds=250)
USERS = 100  # a second
PLAN = {
    "name": "watched",
    "stages": [
        {"percent": 10, "bake": "4s", "approval": True},
        {"percent": 50, "bake": "5m"},
        {"percent": 100},
    ],
    "guardrails": [{"metric": "success", "min_events": 50}],
    "check_min": "500ms",
    "check_max": "1s",
    "final_bake": "2s",
}


class Prompt:
    """A prompt whose users come all the time; `health` may be changed under them.

    Attributes:
        health: By version, how many of its uses succeed, 0 to 1.
    """

    def __init__(self, house: House, control: Control) -> None:
        self.house = house
        self.control = control
        self.flag = f"{house.name}.system"
        self.health = {"1.0.0": 0.97, "1.1.0": 0.98}

    async def start(self, **change: object) -> None:
        """Start a rollout of 1.1.0."""
        request = RolloutRequest(
            name=self.house.name,
            prompt_type="system",
            candidate="1.1.0",
            plan=RolloutPlan.model_validate(PLAN | change),
            by=OPERATOR,
            reason="greets people by name",
        )
        await self.control.start(request)

    async def until(self, phase: str) -> None:
        """Wait until this is what the rollout is doing."""
        async with asyncio.timeout(60):
            while True:
                found = await self.control.describe(self.house.name, "system")
                if found.progress and found.progress.phase == phase:
                    return
                await asyncio.sleep(0.2)

    def worsen(self) -> None:
        """Have the candidate fail most of its users from now on."""
        self.health["1.1.0"] = 0.2


class Place:
    """Where the stories happen. `gateway` asks for a token; that of the stack does not."""

    def __init__(self, stack: Stack, gateway: str, tokens: dict[str, str]) -> None:
        self.stack = stack
        self.gateway = gateway
        self.tokens = tokens
        self.database = Database(stack.database_url)

    @asynccontextmanager
    async def prompt(self, name: str = "") -> AsyncIterator[Prompt]:
        """Make a prompt, and let its users come."""
        house = House(self.database, name=name or f"greeting-{uuid4().hex[:8]}")
        await house.furnish()
        client, queue = await self.stack.connect(), Settings.from_env().task_queue
        found = Prompt(house, Control(client, task_queue=queue))
        async with Router(self.database, poll=POLL) as router:
            users = Traffic(
                router,
                MetricsCollector(self.database),
                ABTestManager(self.database),
                prompt=(house.name, "system"),
                health=found.health,
                seed=hash(house.name),
                per_second=USERS,
            )
            async with users:
                yield found

    def workflow(self, identity: str) -> str:
        """Return the address of a workflow's page in Temporal's UI."""
        quoted = identity.replace("/", "%2F")
        return f"{self.stack.ui}/namespaces/default/workflows/{quoted}"


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Place]:
    """Start everything."""
    stack = Stack(directory, port=free_port(), gateway_port=free_port(), any_port=True)
    async with AsyncExitStack() as undo:
        await undo.enter_async_context(stack)
        gateway = await undo.enter_async_context(serving(stack, directory))
        database = Database(stack.database_url)
        undo.push_async_callback(database.dispose)
        manager, roles = TokenManager(database), {OPERATOR: Role.OPERATE, ONLOOKER: Role.EVALUATE}
        tokens = {name: (await manager.create(name, [role])).text for name, role in roles.items()}
        place = Place(stack, gateway, tokens)
        undo.push_async_callback(place.database.dispose)
        yield place


@asynccontextmanager
async def serving(stack: Stack, directory: Path, **variables: str) -> AsyncIterator[str]:
    """Serve the stack's database by a gateway that lets nobody in without a token."""
    port = free_port()
    options = f"{GATEWAY.removesuffix(' --open')} --host {HOST} --port {port}"
    child = Child(
        f"gateway-{port}",
        [sys.executable, *options.split()],
        directory=directory,
        environment=child_environment(**(stack.variables() | variables)),
        tell=lambda _: None,
    )
    await child.start()
    try:
        async with asyncio.timeout(60), AsyncClient() as client:
            while not await _answers(client, f"http://{HOST}:{port}/readyz"):
                await asyncio.sleep(0.1)
        yield f"http://{HOST}:{port}"
    finally:
        await child.stop()


async def _answers(client: AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except HTTPError:
        return False
