"""What cannot be followed is refused with the reason, and changes nothing.

On the real dev server: the one that skips time loses its clock when an update is refused while an
activity runs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from domain.plan import RolloutPlan, Stage
from tests.workflows.conftest import Handle, Rehearsal, in_real_time
from workflows.state import Phase

TICK = timedelta(seconds=0.5)
PLAN = RolloutPlan(
    stages=(Stage(percent=10, bake=timedelta(hours=1)), Stage(percent=100)),
    check_min=TICK,
    check_max=TICK,
)
GATED = PLAN.model_copy(update={"stages": (Stage(percent=10, approval=True), Stage(percent=100))})


@pytest_asyncio.fixture(scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with in_real_time() as env:
        yield env


async def refusal(handle: Handle, verb: str, given: JsonValue = None) -> str:
    """Return why the update was refused."""
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await handle.execute_update(verb, given)
    assert isinstance(failure.value.cause, ApplicationError)
    return failure.value.cause.message


async def ramping(live: Rehearsal) -> Handle:
    live.crowd.failing = {"ramp": 10**6}
    handle = await live.start(PLAN)
    await live.until(handle, lambda seen: seen.phase is Phase.RAMPING)
    return handle


async def baking(live: Rehearsal) -> Handle:
    handle = await live.start(PLAN)
    await live.until(handle, lambda seen: seen.checks > 0)
    return handle


async def paused(live: Rehearsal) -> Handle:
    handle = await baking(live)
    await handle.execute_update("pause", {"by": "ana", "reason": "lunch"})
    return handle


async def at_the_gate(live: Rehearsal) -> Handle:
    handle = await live.start(GATED)
    await live.until(handle, lambda seen: seen.phase is Phase.WAITING_FOR_APPROVAL)
    return handle


async def incompletely_rolled_back(live: Rehearsal) -> Handle:
    live.crowd.failing = {"read_back": 10**6}
    handle = await baking(live)
    await handle.signal("rollback")
    await live.until(handle, lambda seen: seen.phase is Phase.ROLLBACK_INCOMPLETE)
    return handle


@pytest.mark.guarantee(13)
@pytest.mark.parametrize(
    ("reach", "verb", "why"),
    [
        (ramping, "promote", "promote was refused: it is still ramping"),
        (ramping, "approve", "approve was refused: it is not waiting for an approval: it is ram"),
        (baking, "resume", "resume was refused: it is not paused: it is baking"),
        (baking, "approve", "approve was refused: it is not waiting for an approval: it is bak"),
        (paused, "pause", "pause was refused: it is paused already by ana: lunch"),
        (paused, "promote", "promote was refused: it is paused by ana: lunch; resume it first"),
        (at_the_gate, "promote", "promote was refused: it waits for an approval; approve it"),
        (at_the_gate, "resume", "resume was refused: it is not paused: it is waiting_for_approval"),
        (incompletely_rolled_back, "promote", "promote was refused: it is rollback_incomplete"),
        (incompletely_rolled_back, "rollback", "rollback was refused: it is rollback_incomplete"),
    ],
)
async def test_an_update_that_cannot_be_followed_is_refused_with_the_reason(
    live: Rehearsal,
    reach: Callable[[Rehearsal], Awaitable[Handle]],
    verb: str,
    why: str,
) -> None:
    handle = await reach(live)
    before = await live.progress(handle)

    assert (await refusal(handle, verb)).startswith(why)

    after = await live.progress(handle)
    assert (after.phase, after.stage) == (before.phase, before.stage)


async def test_a_garbled_update_is_refused_with_what_is_allowed(live: Rehearsal) -> None:
    handle = await baking(live)

    why = await refusal(handle, "pause", {"reson": "typo"})

    assert why == (
        'pause was refused: it takes nothing, a text, or {"reason": "…", "by": "…"},'
        ' got {"reson": "typo"}'
    )
