"""How a rollout starts from whatever a person typed: it opens, or fails with a sentence."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from domain import VersionStatus
from domain.database import Database
from tests.crowd import Crowd
from tests.house import House
from tests.workflows.conftest import Rehearsal, in_no_time
from worker import build_worker
from workflows.publication import ATTRIBUTES, PERCENT, PHASE, PROMPT, STAGE, VERDICT
from workflows.state import Phase

GOOD: dict[str, JsonValue] = {
    "name": "greeting",
    "prompt_type": "system",
    "candidate": "1.1.0",
    "plan": "standard",
}
A_MINUTE = timedelta(minutes=1)
ROLLING = {"stages": [{"percent": 10, "bake": "1h"}, {"percent": 100}]}


@pytest_asyncio.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rehearsal]:
    """Where requests are refused; one for all, for they leave nothing behind."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('desk')}/rampart.db")
    house = House(database)
    await house.furnish()
    await house.version("1.2.0", VersionStatus.ARCHIVED)
    await house.version("1.3.0", VersionStatus.DEPRECATED)
    async with in_no_time() as env:
        desk = Rehearsal(env, house, Crowd(house))
        async with build_worker(env.client, desk.crowd, task_queue=desk.queue):
            yield desk
    await database.dispose()


async def test_the_small_json_starts_a_rollout_that_lists_and_describe_show(
    rehearsal: Rehearsal,
) -> None:
    rehearsal.step = A_MINUTE
    handle = await rehearsal.start_raw(GOOD)
    await rehearsal.until(handle, lambda seen: seen.checks > 1)

    described = await handle.describe()
    columns = {key.name: described.typed_search_attributes.get(key) for key in ATTRIBUTES}
    assert columns == {PROMPT.name: "greeting.system", STAGE.name: 1, PERCENT.name: 5.0} | {
        VERDICT.name: "advance",
        PHASE.name: "baking",
    }
    memo = await described.memo()
    assert (memo["phase"], memo["stage"]) == ("baking", "1 of 4: [5 %] → 25 % → 50 % → 100 %")
    assert memo["reason"].startswith("success: 100.0% of")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"plan": "slow"}, "unknown plan 'slow': give one of conservative, standard, aggressive"),
        ({"plan": None}, "request: plan: must be a valid dictionary"),
        ({"plan": {"stages": []}}, "request: plan.stages: must name at least one stage"),
        (
            {"plan": {"stages": [{"percent": 50}, {"percent": 10}, {"percent": 100}]}},
            "percents must rise from stage to stage, got 50, 10, 100",
        ),
        (
            {"plan": {"stages": [{"percent": 50}, {"percent": 50}, {"percent": 100}]}},
            "percents must rise from stage to stage, got 50, 50, 100",
        ),
        ({"plan": {"stages": [{"percent": 0}]}}, "plan.stages.0.percent: must be greater than 0"),
        ({"plan": {"stages": [{"percent": 101}]}}, "must be less than or equal to 100, got 101"),
        ({"plan": {"stages": [{"percent": 90}]}}, "the last stage must be 100 percent, got 90"),
        ({"plan": {"stages": [{"percent": 100, "bake": -1}]}}, "bake: must be between 0s and 365d"),
        ({"plan": {"stages": [{"percent": 100, "bake": "soon"}]}}, "bake: must be a duration such"),
        ({"plan": {"stages": [{"percent": 100, "bkae": 1}]}}, "unknown field 'bkae': allowed are"),
        ({"plan": ROLLING | {"guardrails": []}}, "guardrails: must name at least one guardrail"),
        (
            {"plan": ROLLING | {"guardrails": [{"metric": "latency"}]}},
            "guardrails.0: metric 'latency' is none of success, user_rating, response_time",
        ),
        ({"plan": ROLLING | {"check_min": 0}}, "check_min: must be at least 500ms, got 0s"),
        ({"candidate": "9.9.9"}, "candidate '9.9.9' of greeting.system does not exist: known are"),
        ({"candidate": "1.0.0"}, "candidate 1.0.0 of greeting.system is in production already"),
        ({"candidate": "1.2.0"}, "candidate 1.2.0 of greeting.system is archived"),
        ({"candidate": "1.3.0"}, "candidate 1.3.0 of greeting.system is deprecated"),
        ({"name": "farewell"}, "farewell.system has no production version"),
        ({"name": ""}, "request: name: String should have at least 1 character"),
        ({"candidat": "1.1.0"}, "unknown field 'candidat': allowed are name, prompt_type"),
        ({"carried": {"stage": 3}}, "unknown field 'carried'"),
        ({"carried": {"stage": "x"}}, "unknown field 'carried'"),
    ],
)
async def test_a_wrong_request_fails_with_a_sentence_and_writes_nothing(
    desk: Rehearsal, change: dict[str, JsonValue], why: str
) -> None:
    before = await desk.house.facts()

    assert why in await failure(desk, GOOD | change)

    assert await desk.house.facts() == before
    assert await desk.house.rollouts.list() == []


@pytest.mark.parametrize("given", [None, 42, "greeting", ["greeting"], {}, {"carried": None}])
async def test_something_else_than_a_request_fails_with_a_sentence(
    desk: Rehearsal, given: JsonValue
) -> None:
    assert (await failure(desk, given)).startswith("request")


async def test_a_prompt_without_a_production_version_is_refused(rehearsal: Rehearsal) -> None:
    await rehearsal.house.versions.create_version("farewell", "system", "Bye", "1.1.0")

    why = await failure(rehearsal, GOOD | {"name": "farewell"})

    assert "has no production version: there is nothing to roll out over, or back to" in why


async def test_a_second_rollout_of_a_prompt_is_refused_under_any_id(rehearsal: Rehearsal) -> None:
    rehearsal.step = A_MINUTE
    first = await rehearsal.start_raw(GOOD)
    await rehearsal.until(first, lambda seen: seen.phase is Phase.BAKING)

    assert "a rollout of greeting.system is live already" in await failure(rehearsal, GOOD)

    assert (await rehearsal.progress(first)).phase is Phase.BAKING


async def failure(rehearsal: Rehearsal, given: JsonValue) -> str:
    """Return why the workflow failed."""
    with pytest.raises(WorkflowFailureError) as failed:
        await (await rehearsal.start_raw(given)).result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause.message
