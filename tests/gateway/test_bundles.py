"""Several prompts as one rollout, over HTTP."""

from typing import Any

from domain.tokens import Role
from tests.gateway.entrance import Entrance
from tests.gateway.test_operating import STARTED, look, operate
from tests.house import House

ALONG = {"flag": "farewell.system", "candidate": "1.1.0"}
BUNDLE: dict[str, Any] = STARTED | {"companions": [ALONG]}


async def test_a_bundle_is_started_and_steered_by_any_of_its_prompts(operated: Entrance) -> None:
    farewell = House(operated.house.database, name="farewell")
    await farewell.furnish()

    started = await operate(operated, "rollouts", BUNDLE)
    described = await look(operated, "rollouts/farewell.system")
    paused = await operate(operated, "rollouts/farewell.system/pause", {"reason": "lunch"})
    rolled_back = await operate(operated, "rollouts/farewell.system/rollback")
    journals = [
        await look(operated, f"rollouts/{name}.system/decisions")
        for name in ("greeting", "farewell")
    ]

    assert started[0] == 201, started
    assert described[1]["workflow_id"] == "rollout/greeting.system"
    assert [each["prompt"] for each in described[1]["progress"]["bundle"]] == [
        "greeting.system",
        "farewell.system",
    ]
    assert paused[1]["said"].endswith("(greeting.system + farewell.system)")
    said = "rolling back (greeting.system + farewell.system)"
    assert rolled_back == (200, {"said": said, "changes": []})
    assert journals[0][1][0] == journals[1][1][0]


async def test_a_bundle_that_cannot_be_meant_is_refused(way_in: Entrance) -> None:
    for companions, told in (
        ([{"flag": "greeting.system", "candidate": "1.0.0"}], "names greeting.system again"),
        ([ALONG, ALONG], "companions.1 names farewell.system again"),
        ([{"flag": "farewell", "candidate": "1.0.0"}], "a flag is <name>.<prompt_type>"),
        ([ALONG | {"plan": "demo"}], "plan"),
        ([ALONG | {"flag": f"p{number}.x"} for number in range(21)], "at most 20 items"),
    ):
        status, problem = await operate(way_in, "rollouts", STARTED | {"companions": companions})

        assert status == 422, problem
        assert told in str(problem)
        assert (
            await way_in.ask("GET", "/v1/rollouts/greeting.system/decisions")
        ).status_code == 404


async def test_a_viewer_may_not_start_a_bundle(operated: Entrance) -> None:
    refused = await operated.ask("POST", "/v1/rollouts", role=Role.EVALUATE, json=BUNDLE)

    assert refused.status_code == 403
