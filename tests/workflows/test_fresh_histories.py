"""What runs for long begins a fresh history, and forgets nothing.

On a real dev server that suggests one after a few events: on the one that skips time it takes
thousands.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest_asyncio
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from domain.database import Database
from domain.plan import RolloutPlan, Stage
from tests.workflows.conftest import Rehearsal, fresh_after, in_real_time
from tests.workflows.test_monitor import Post, manned
from workflows.state import Phase

TICK = timedelta(seconds=0.5)
PLAN = RolloutPlan(
    stages=(Stage(percent=10, bake=TICK), Stage(percent=100)),
    check_min=TICK,
    check_max=TICK,
    final_bake=TICK,
)


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with in_real_time(*fresh_after(40)) as env:
        yield env


@pytest_asyncio.fixture
async def post(server: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Post]:
    async with manned(server, sqlite) as post:
        yield post


async def begun_anew(env: WorkflowEnvironment, handle: WorkflowHandle[Any, Any]) -> None:
    while (await handle.describe()).run_id == handle.first_execution_run_id:
        await env.sleep(TICK / 2)


async def test_a_long_bake_goes_on_in_a_fresh_history(live: Rehearsal) -> None:
    live.crowd.silent = True
    handle = await live.start(PLAN)
    await handle.execute_update("pause", {"by": "ana", "reason": "holiday"})
    before = await live.until(handle, lambda seen: seen.checks > 1)
    await begun_anew(live.env, handle)

    progress = await live.progress(handle)

    assert progress.phase is Phase.PAUSED
    assert "ana: holiday" in progress.waiting_for
    assert progress.checks >= before.checks
    live.crowd.silent = False
    await handle.execute_update("resume")
    assert (await handle.result()).outcome is Phase.PROMOTED


async def test_a_rollback_that_stays_incomplete_goes_on_in_a_fresh_history(
    live: Rehearsal,
) -> None:
    before = await live.house.facts()
    live.crowd.failing = {"read_back": 10**6}
    handle = await live.start(PLAN)
    await handle.signal("rollback", {"by": "ana", "reason": "complaints"})
    await begun_anew(live.env, handle)

    progress = await live.progress(handle)
    live.crowd.failing = {}
    outcome = await handle.result()

    assert progress.phase is Phase.ROLLBACK_INCOMPLETE
    assert (outcome.outcome, outcome.by) == (Phase.ROLLED_BACK, "ana")
    assert await live.house.facts() == before


async def test_a_monitor_goes_on_in_a_fresh_history_with_alerts_marks_and_clock(
    post: Post,
) -> None:
    post.eyes.crowd = lambda look: (30, 0) if look == 1 else (0, 30)
    handle = await post.start(duration="10s", interval="500ms")
    await begun_anew(post.env, handle)
    seen = await post.progress(handle)

    outcome = await handle.result()

    assert seen.looks > 1
    assert outcome.looks > seen.looks
    assert outcome.looks == post.eyes.looks
    assert [alert.cleared_at is None for alert in outcome.alerts] == [True]
    assert post.phone.said == ["raised success_rate below 0.5"]
    assert await post.took(handle) >= timedelta(seconds=10)
