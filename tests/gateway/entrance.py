"""A gateway over a furnished house, asked in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NoReturn

import httpx
import pytest
from opentelemetry.trace import TracerProvider

from control.connection import Unreachable
from control.experiments import ExperimentControl
from control.monitors import MonitorControl
from control.payloads import Codec
from control.picture import Viewer
from control.rollouts import Control
from control.segments import RingsControl
from domain.census import CensusManager
from domain.database import Database
from domain.errors import Unavailable
from domain.intake.direct import DirectIntake
from domain.intake.intake import Intake
from domain.metrics import MetricsCollector
from domain.prompts import PromptVariant
from domain.segments.audience import SegmentRouter
from domain.tokens import Keyring, Role, TokenManager
from gateway.app import Gateway, Services
from gateway.dashboard.demo import Demo
from gateway.limits import Limits
from gateway.vitals import Vitals
from reports.reporter import Reporter
from tests.house import House

POLL = timedelta(milliseconds=50)

# For pages, protocols and messages. What they read and write is on both kinds of database in
# `tests/unit`, `test_lists` (searching) and `test_who_and_why` (every verb).
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Away:
    """Temporal, when nobody answers there."""

    async def rollouts(self) -> Control:
        raise Unreachable("no Temporal server answers at localhost:7233")

    async def experiments(self) -> ExperimentControl:
        raise Unreachable("no Temporal server answers at localhost:7233")

    async def monitors(self) -> MonitorControl:
        raise Unreachable("no Temporal server answers at localhost:7233")

    async def rings(self) -> RingsControl:
        raise Unreachable("no Temporal server answers at localhost:7233")

    async def viewer(self) -> Viewer:
        raise Unreachable("no Temporal server answers at localhost:7233")


class Entrance:
    """The way into a gateway, with a token for each role; named as the role."""

    def __init__(
        self, gateway: Gateway, house: House, texts: dict[Role, str], *, tokens: TokenManager
    ) -> None:
        self.gateway = gateway
        self.house = house
        self.texts = texts
        self.tokens = tokens
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=gateway.app), base_url="http://gateway"
        )

    async def ask(
        self, method: str, path: str, *, role: Role | None = Role.ADMIN, **more: Any
    ) -> httpx.Response:
        """Send a request with the token of the role; without one if it is None."""
        headers = {"authorization": f"Bearer {self.texts[role]}"} if role else {}
        sent = headers | more.pop("headers", {})
        return await self.client.request(method, path, headers=sent, **more)

    async def enter(self, role: Role = Role.OPERATE) -> None:
        """Log in, as a browser does."""
        await self.client.post("/ui/login", data={"token": self.texts[role]})

    async def page(self, path: str = "", *, status: int = 200) -> str:
        """Return a page."""
        answer = await self.client.get(f"/ui{path}")
        assert answer.status_code == status, answer.text
        return answer.text

    async def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form, as a browser does, and go where that leads."""
        headers = {"sec-fetch-site": "same-origin"}
        answer = await self.client.post(f"/ui{path}", data=fields, headers=headers)
        return await self.client.get(answer.headers["location"]) if answer.is_redirect else answer

    async def report(self, body: Any, **more: Any) -> httpx.Response:
        """Send events."""
        return await self.ask("POST", "/v1/events", role=Role.INGEST, json=body, **more)

    async def send(self, content: bytes, *, kind: str = "application/json") -> httpx.Response:
        """Send a raw body of events."""
        headers = {"content-type": kind}
        return await self.ask(
            "POST", "/v1/events", role=Role.INGEST, content=content, headers=headers
        )

    async def evaluate(self, flag: str = "", **context: Any) -> httpx.Response:
        """Evaluate a flag, else all."""
        path = f"/ofrep/v1/evaluate/flags{f'/{flag}' if flag else ''}"
        return await self.ask("POST", path, role=Role.EVALUATE, json={"context": context})

    async def split(self, *numbers: str) -> str:
        """Divide users evenly among versions, and return the experiment."""
        variants = [PromptVariant(number, 1 / len(numbers)) for number in numbers]
        made = await self.house.experiments.create_experiment("greeting", "system", variants)
        return made.experiment_id

    async def split_ends(self) -> None:
        """Stop the experiment that splits."""
        (running,) = await self.house.experiments.list_experiments(status="running")
        await self.house.experiments.update_experiment_status(running.experiment_id, "stopped")

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Have the database not answer."""
        database = self.house.database

        async def away() -> NoReturn:
            raise Unavailable("database is unavailable: out of order")

        answers, database._engine = database._engine, away  # type: ignore[method-assign]
        try:
            yield
        finally:
            database._engine = answers  # type: ignore[method-assign]

    async def until(self, ask: Callable[[], Awaitable[object]], wanted: object) -> None:
        """Ask until the answer is the one that is wanted."""
        async with asyncio.timeout(30):
            while await ask() != wanted:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def entrance(
    database: Database,
    *,
    intake: Intake | None = None,
    operators: Any = None,
    limits: Limits | None = None,
    origins: tuple[str, ...] = (),
    spans: TracerProvider | None = None,
    codec: Codec | None = None,
    demo: Demo | None = None,
    open: bool = False,
) -> AsyncIterator[Entrance]:
    """Open a gateway: everything in it is the real thing, but for what is given."""
    house = House(database)
    if not await house.versions.list_prompts():
        await house.furnish()
    manager = TokenManager(database)
    texts = {role: (await manager.create(role.value, [role])).text for role in Role}
    router = SegmentRouter(database, poll=POLL)

    async def answers() -> str:
        try:
            await database.probe()
        except Unavailable as error:
            return str(error)
        return ""

    gateway = Gateway(
        Services(
            database=database,
            router=router,
            intake=intake or DirectIntake(MetricsCollector(database)),
            operators=operators or Away(),
            versions=house.versions,
            experiments=house.experiments,
            rollouts=house.rollouts,
            reporter=Reporter(database),
            tokens=manager,
            keyring=None if open else Keyring(manager, fresh=POLL),
            resources=(router,),
            checks={"database": answers},
            measures=(Vitals(CensusManager(database), fresh=timedelta(0)).measured,),
            codec=codec,
            demo=demo,
        ),
        limits=limits or Limits(flush=POLL),
        origins=origins,
        spans=spans,
    )
    async with gateway.running():
        found = Entrance(gateway, house, texts, tokens=manager)
        async with found.client:
            yield found
