"""The example application, a small server of OpenAI's protocol, and a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from openai import APIConnectionError, AsyncOpenAI, InternalServerError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from domain.database import Database
from domain.errors import InvalidValue, NotFound
from domain.experiments import ABTestManager
from domain.metrics import MetricsCollector
from domain.plan import RolloutPlan, RolloutRequest
from domain.record import Rollout
from domain.rollouts import RolloutManager
from domain.templates.folder import read
from domain.templates.importing import VersionImporter
from domain.versions import VersionManager
from embedded.ports import free_port
from examples.llm_app.app import PROMPT, Writer, writer

PROMPTS = Path(__file__).parents[2] / "examples" / "llm_app" / "prompts"
SHORTER = "Write a subject line about {{topic}}, five words at most."
USERS = [f"user-{n}" for n in range(40)]
PLAN = RolloutPlan.parse("stages: [{percent: 30}, {percent: 70}, {percent: 100}]")


class Model:
    """A model that says which prompt it was given, and fails where the prompt says `broken`."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.keys: set[str] = set()
        routes = [Route("/v1/chat/completions", self._complete, methods=["POST"])]
        self.app = Starlette(routes=routes)

    async def _complete(self, request: Request) -> JSONResponse:
        asked = await request.json()
        prompt = asked["messages"][-1]["content"]
        self.prompts.append(prompt)
        self.keys.add(request.headers["authorization"])
        if "broken" in prompt:
            return JSONResponse({"error": {"message": "the model is broken"}}, 500)
        message = {"role": "assistant", "content": f"Re: {prompt.splitlines()[0]}"}
        usage = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        answer: dict[str, Any] = {"id": "c-1", "object": "chat.completion", "created": 1}
        return JSONResponse(answer | {"model": asked["model"], "choices": [choice], "usage": usage})


@asynccontextmanager
async def serving(model: Model) -> AsyncIterator[str]:
    """Serve the model in this event loop; yield its base URL."""
    port = free_port()
    config = uvicorn.Config(
        model.app, host="127.0.0.1", port=port, log_level="error", lifespan="off"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(30):
            while not server.started:
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        await task


def client(url: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=url, api_key="none", max_retries=0)


@pytest_asyncio.fixture
async def model() -> Model:
    return Model()


@pytest_asyncio.fixture
async def llm(model: Model) -> AsyncIterator[AsyncOpenAI]:
    async with serving(model) as url, client(url) as ours:
        yield ours


@pytest_asyncio.fixture
async def stored(database: Database) -> Database:
    """A database into which the example's prompts were imported."""
    await VersionImporter(database).take_in(read(PROMPTS))
    return database


async def versions_given(ours: Writer) -> dict[str, str]:
    given = {}
    for user in USERS:
        async with ours.write(user, topic="tea") as draft:
            given[user] = draft.version
    return given


async def open_rollout(database: Database, template: str) -> Rollout:
    """Open a rollout of a new version, as its workflow would."""
    await VersionManager(database).create_version(*PROMPT, template)
    name, prompt_type = PROMPT
    request = RolloutRequest(name=name, prompt_type=prompt_type, candidate="1.0.1", plan=PLAN)
    return await RolloutManager(database).open(request, key="run-1")


async def test_a_draft_is_written_with_the_version_in_production_and_counted_with_its_rating(
    llm: AsyncOpenAI, model: Model, stored: Database
) -> None:
    async with writer(llm, stored) as ours, ours.write("ada", topic="tea") as draft:
        draft.rating = 5

    assert draft.text == "Re: Write one email subject line about tea."
    assert model.prompts[0].endswith("Answer with the subject line alone.")
    assert "friendly tone" in model.prompts[0]
    in_production = await VersionManager(stored).production(*PROMPT)
    assert in_production is not None
    found = await MetricsCollector(stored).get_metrics(in_production.version_id)
    assert (found.total_uses, found.success_count) == (1, 1)
    assert (found.avg_tokens, found.avg_rating) == (42, 5)
    assert found.avg_response_time > 0


async def test_a_model_that_fails_is_counted_as_a_failure_of_the_version(
    llm: AsyncOpenAI, stored: Database
) -> None:
    async with writer(llm, stored) as ours:
        with pytest.raises(InternalServerError, match="the model is broken"):
            async with ours.write("ada", topic="something broken"):
                raise AssertionError("there is no draft")

    in_production = await VersionManager(stored).production(*PROMPT)
    assert in_production is not None
    found = await MetricsCollector(stored).get_metrics(in_production.version_id)
    assert (found.total_uses, found.error_count, found.total_tokens) == (1, 1, 0)


async def test_a_model_that_is_not_there_is_a_failure_too(stored: Database) -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    async with client(url) as llm, writer(llm, stored) as ours:
        with pytest.raises(APIConnectionError):
            async with ours.write("ada", topic="tea"):
                raise AssertionError("there is no draft")

    in_production = await VersionManager(stored).production(*PROMPT)
    assert in_production is not None
    found = await MetricsCollector(stored).get_metrics(in_production.version_id)
    assert found.error_count == 1


async def test_a_version_that_wants_what_the_application_does_not_give_fails_visibly(
    llm: AsyncOpenAI, stored: Database
) -> None:
    version = await VersionManager(stored).create_version(
        *PROMPT, "About {{topic}} for {{audience}}", tags=["production"]
    )

    async with writer(llm, stored) as ours:
        with pytest.raises(InvalidValue, match="'audience' has no value"):
            async with ours.write("ada", topic="tea"):
                raise AssertionError("there is no draft")

    found = await MetricsCollector(stored).get_metrics(version.version_id)
    assert (found.total_uses, found.error_count) == (1, 1)


async def test_before_anything_was_imported_nothing_is_written(
    llm: AsyncOpenAI, database: Database
) -> None:
    async with writer(llm, database) as ours:
        with pytest.raises(NotFound, match=r"no version of email_subject\.user is served"):
            async with ours.write("ada", topic="tea"):
                raise AssertionError("there is no draft")


async def test_a_rollout_changes_who_gets_what_and_moves_nobody_back(
    llm: AsyncOpenAI, model: Model, stored: Database
) -> None:
    rollouts, rollout = RolloutManager(stored), await open_rollout(stored, SHORTER)
    epoch, given = rollout.epoch, []

    async with writer(llm, stored) as ours:
        given.append(await versions_given(ours))
    for stage in (1, 2):
        epoch = await rollouts.ramp(rollout.id, stage=stage, epoch=epoch)
        async with writer(llm, stored) as ours:
            given.append(await versions_given(ours))

    treated = [{user for user, version in by.items() if version == "1.0.1"} for by in given]
    assert treated[0] == set()
    assert set() < treated[1] < treated[2] < set(USERS)
    assert {prompt for prompt in model.prompts if "five words" in prompt} == {
        "Write a subject line about tea, five words at most."
    }
    experiment = (await ABTestManager(stored).list_experiments(*PROMPT))[0].experiment_id
    seen = await ABTestManager(stored).get_experiment_assignments(experiment)
    assert seen == given[2]
    cells = {
        version.version: (await MetricsCollector(stored).get_metrics(version.version_id)).total_uses
        for version in await VersionManager(stored).list_versions(*PROMPT)
    }
    assert cells == {
        "1.0.0": 3 * len(USERS) - len(treated[1]) - len(treated[2]),
        "1.0.1": len(treated[1]) + len(treated[2]),
    }
