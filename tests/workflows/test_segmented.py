"""SegmentedRolloutWorkflow with the real activities, on a server that skips time."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import JsonValue
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.rollouts import Check
from activities.segments import OpenedRings, SegmentActivities
from domain.database import Database
from domain.guardrail import Guardrail
from domain.judge import Verdict
from domain.plan import RolloutPlan, Stage
from domain.record import RolloutStatus
from domain.segments.lanes import SegmentManager
from domain.segments.plan import SegmentedPlan, SegmentedRequest
from tests.crowd import Crowd
from tests.house import House
from tests.workflows.conftest import A_MOMENT, DAY
from worker import build_worker
from workflows.rings.page import RingsOutcome, RingsProgress
from workflows.rings.report import RingPhase, RingsPhase
from workflows.rings.state import Rings
from workflows.rings.workflow import SegmentedRolloutWorkflow

HOUR = timedelta(hours=1)
PROMPT = ("greeting", "system")
SEGMENTS = ("internal", "beta")
LANES = ("greeting_internal", "greeting_beta")
PLAN = RolloutPlan(
    stages=(Stage(percent=10, bake=HOUR), Stage(percent=100, bake=HOUR)),
    guardrails=(
        Guardrail.model_validate(
            {"metric": "success", "floor": 0.8, "target": 0.95, "min_events": 100}
        ),
    ),
    check_min=HOUR,
    check_max=HOUR,
    final_bake=HOUR,
)
STAGES = (Stage(percent=10, approval=True), Stage(percent=100))
GATED = PLAN.model_copy(update={"stages": STAGES}).model_dump(mode="json")  # waits for a person
HELD = ["internal", {"segment": "beta", "plan": GATED}]
Handle = WorkflowHandle[SegmentedRolloutWorkflow, RingsOutcome]


class Lanes(Crowd):
    """A crowd for every lane.

    Attributes:
        bad: The prompt whose users the candidate fails.
        meanwhile: What somebody does during the first check there.
    """

    bad = ""
    meanwhile: Callable[[], Awaitable[None]] | None = None

    @activity.defn
    async def check(self, order: Check) -> Verdict:
        rollout = await self._rollouts.get(order.rollout_id)
        self.house = House(self.house.database, name=rollout.name)
        self.bad_from = 1 if rollout.name == self.bad else 10**9
        if rollout.name == self.bad and self.meanwhile:
            await self.meanwhile()
            self.meanwhile = None
        return await super().check(order)


class Tour:
    """Segmented rollouts of 1.1.0 over 1.0.0: `internal`, `beta`, then everybody."""

    def __init__(self, env: WorkflowEnvironment, database: Database) -> None:
        self.env = env
        self.house = House(database)
        self.crowd = Lanes(self.house)
        self.segments = SegmentManager(database)
        self.queue = f"queue-{uuid4()}"

    async def start(self, **plan: Any) -> Handle:
        whole = {"segments": [*SEGMENTS], "plan": PLAN.model_dump(mode="json"), **plan}
        return await self.start_raw(
            {"name": "greeting", "prompt_type": "system", "candidate": "1.1.0", "plan": whole}
        )

    async def start_raw(self, given: JsonValue) -> Handle:
        return await self.env.client.start_workflow(
            SegmentedRolloutWorkflow.run, given, id=f"segments/{uuid4()}", task_queue=self.queue
        )

    async def progress(self, handle: Handle) -> RingsProgress:
        return await handle.query(SegmentedRolloutWorkflow.progress)

    async def until(self, handle: Handle, reached: Callable[[RingsProgress], bool]) -> None:
        for _ in range(200):
            if reached(await self.progress(handle)):
                return
            await self.env.sleep(HOUR / 4)
        raise AssertionError(f"never reached: {await self.progress(handle)}")

    async def in_production(self) -> list[str]:
        """Return the production version of each lane, and of the prompt."""
        found = [
            await self.house.versions.production(name, "system") for name in (*LANES, "greeting")
        ]
        return [each.version if each else "" for each in found]


@pytest.fixture
async def tour(skipping: WorkflowEnvironment, sqlite: Database) -> AsyncIterator[Tour]:
    tour = Tour(skipping, sqlite)
    await tour.house.furnish()
    await tour.segments.define(*PROMPT, "internal", 'mail.endsWith("@example.com")')
    await tour.segments.define(*PROMPT, "beta", '"beta" in groups')
    hands = SegmentActivities(tour.segments, search_attributes=True)
    async with build_worker(skipping.client, tour.crowd, hands, task_queue=tour.queue):
        yield tour


def phases(found: RingsOutcome | RingsProgress) -> list[str]:
    return [ring.phase.value for ring in found.rings]


async def test_every_ring_is_promoted_in_order_with_a_pause_between(tour: Tour) -> None:
    handle = await tour.start(pause_between="12h")

    outcome = await handle.result()

    assert outcome.outcome is RingsPhase.PROMOTED
    assert [(ring.title, ring.phase) for ring in outcome.rings] == [
        ("internal", RingPhase.PROMOTED),
        ("beta", RingPhase.PROMOTED),
        ("everybody", RingPhase.PROMOTED),
    ]
    assert await tour.in_production() == ["1.1.0"] * 3
    opened = [await tour.house.rollouts.get(ring.rollout_id) for ring in outcome.rings]
    assert [rollout.name for rollout in opened] == [*LANES, "greeting"]
    assert opened[0].reason == "ring 1 of 3, internal"
    assert sorted(opened, key=lambda rollout: rollout.opened_at) == opened
    described = await handle.describe()
    assert described.close_time
    took = described.close_time - described.start_time
    assert 3 * 3 * HOUR + 2 * 12 * HOUR <= took < 45 * HOUR


async def test_a_failure_stops_there_and_promoted_rings_stay(tour: Tour) -> None:
    tour.crowd.bad = "greeting_beta"

    outcome = await (await tour.start()).result()

    assert (outcome.outcome, outcome.by) == (RingsPhase.STOPPED, "guardrails")
    assert outcome.reason.startswith("beta: success")
    assert phases(outcome) == ["promoted", "rolled_back", "waiting"]
    assert await tour.in_production() == ["1.1.0", "1.0.0", "1.0.0"]


async def test_a_failure_returns_every_ring_to_what_it_had(tour: Tour) -> None:
    tour.crowd.bad = "greeting"

    outcome = await (await tour.start(on_failure="roll_back_all")).result()

    assert outcome.outcome is RingsPhase.ROLLED_BACK
    assert phases(outcome) == ["reverted", "reverted", "rolled_back"]
    assert await tour.in_production() == ["1.0.0"] * 3
    for ring in outcome.rings:
        rollout = await tour.house.rollouts.get(ring.rollout_id)
        assert rollout.status is RolloutStatus.ROLLED_BACK
        assert await tour.house.rollouts.differences(ring.rollout_id) == []
    ended = [await tour.house.rollouts.get(ring.rollout_id) for ring in outcome.rings]
    assert sorted(ended, key=lambda rollout: str(rollout.concluded_at), reverse=True) == ended


async def test_a_ring_whose_production_moved_on_is_told_and_left(tour: Tour) -> None:
    async def move_on() -> None:
        versions = tour.house.versions
        await versions.create_version(
            "greeting_internal", "system", "!", "2.0.0", tags=["production"]
        )

    tour.crowd.bad, tour.crowd.meanwhile = "greeting_beta", move_on

    outcome = await (await tour.start(on_failure="roll_back_all")).result()

    assert outcome.outcome is RingsPhase.ROLLBACK_INCOMPLETE
    assert phases(outcome) == ["not_reverted", "rolled_back", "waiting"]
    assert "production has moved on since" in outcome.rings[0].reason
    assert await tour.in_production() == ["2.0.0", "1.0.0", "1.0.0"]


async def test_a_ring_that_has_the_candidate_is_passed_over_and_never_reverted(
    tour: Tour,
) -> None:
    tour.crowd.bad = "greeting_beta"
    await (await tour.start()).result()

    tour.crowd.bad = "greeting"
    outcome = await (await tour.start(on_failure="roll_back_all")).result()

    assert phases(outcome) == ["already", "reverted", "rolled_back"]
    assert await tour.in_production() == ["1.1.0", "1.0.0", "1.0.0"]


async def test_a_pause_holds_the_running_ring_and_those_after(tour: Tour) -> None:
    handle = await tour.start()
    await tour.until(handle, lambda seen: seen.phase is RingsPhase.RUNNING)

    answer = await handle.execute_update("pause", {"by": "ana", "reason": "lunch"})
    await tour.env.sleep(DAY / 4)
    held = await tour.progress(handle)
    await handle.signal("resume")
    outcome = await handle.result()

    assert answer["said"] == ("paused: no further ring starts; told to greeting_internal.system")
    assert (held.phase, held.ring) == (RingsPhase.PAUSED, 1)
    assert phases(held) == ["running", "waiting", "waiting"]
    assert outcome.outcome is RingsPhase.PROMOTED
    first = await tour.house.rollouts.decisions(outcome.rings[0].rollout_id)
    assert {"paused", "resumed"} <= {line.kind.value for line in first}


async def test_a_command_to_rings_counts_once_for_each_key(tour: Tour) -> None:
    handle = await tour.start(segments=HELD)
    await tour.until(handle, lambda seen: seen.phase is RingsPhase.RUNNING)

    answers = [await handle.execute_update("pause", {"by": "ana", "key": "k"}) for _ in range(2)]
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("resume", {"key": "k"})
    await tour.env.sleep(A_MOMENT)
    await handle.signal("rollback")
    await handle.result()

    assert answers[0] == answers[1]
    assert "key 'k' was used for pause already" in str(refused.value.cause)


@pytest.mark.parametrize(("policy", "left"), [("stop", "1.1.0"), ("roll_back_all", "1.0.0")])
async def test_a_person_rolls_back_the_running_ring_and_the_others_by_policy(
    tour: Tour, policy: str, left: str
) -> None:
    handle = await tour.start(segments=HELD, on_failure=policy)
    await tour.until(handle, lambda seen: phases(seen)[1:2] == ["running"])

    await handle.execute_update("rollback", {"by": "ana", "reason": "enough"})
    outcome = await handle.result()

    assert (outcome.by, outcome.reason) == ("ana", "enough")
    assert outcome.rings[1].phase is RingPhase.ROLLED_BACK
    assert await tour.in_production() == [left, "1.0.0", "1.0.0"]


async def test_a_cancellation_rolls_back_and_shows_as_canceled(tour: Tour) -> None:
    handle = await tour.start(segments=HELD, on_failure="roll_back_all")
    await tour.until(handle, lambda seen: phases(seen)[1:2] == ["running"])

    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, CancelledError)
    assert await tour.in_production() == ["1.0.0"] * 3
    assert phases(await tour.progress(handle)) == ["reverted", "rolled_back", "waiting"]


async def test_a_fresh_history_goes_on_with_the_next_ring(tour: Tour) -> None:
    plan = SegmentedPlan.model_validate({"segments": [*SEGMENTS], "plan": PLAN})
    request = SegmentedRequest(name="greeting", prompt_type="system", candidate="1.1.0", plan=plan)
    carried = Rings()
    carried.open(OpenedRings(opening=await tour.segments.open(request), search_attributes=True))
    carried.start()
    carried.end(RingPhase.PROMOTED, rollout_id="r-1")
    carried.rest(datetime.now(UTC))

    handle = await tour.start_raw({"carried": carried.model_dump(mode="json")})
    outcome = await handle.result()

    assert outcome.outcome is RingsPhase.PROMOTED
    assert outcome.rings[0].rollout_id == "r-1"
    assert await tour.in_production() == ["1.0.0", "1.1.0", "1.1.0"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"carried": 7}, "request: unknown field 'carried': allowed are name, prompt_type, "),
        (None, "request must be an object like {"),
        (
            {"name": "greeting", "prompt_type": "system", "candidate": "1.1.0", "plan": "swift"},
            "request: plan.plan: unknown plan 'swift': give one of ",
        ),
        (
            {
                "name": "greeting",
                "prompt_type": "system",
                "candidate": "1.1.0",
                "plan": {"segments": ["gold"]},
            },
            "segment 'gold' of greeting.system is not defined: defined are internal, beta",
        ),
    ],
)
async def test_a_wrong_request_fails_with_a_sentence(
    tour: Tour, given: JsonValue, why: str
) -> None:
    with pytest.raises(WorkflowFailureError) as failure:
        await (await tour.start_raw(given)).result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.message.startswith(why)
    assert await tour.in_production() == ["", "", "1.0.0"]
