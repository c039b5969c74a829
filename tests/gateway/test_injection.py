"""What a gateway and Temporal's lists are asked by name finds that name, whatever it says."""

import asyncio
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from control.connection import NoRollout
from control.rollouts import Control
from domain.tokens import Role
from tests.gateway.entrance import Entrance
from workflows.commands import Verb
from workflows.publication import PROMPT

FREE = [
    "\\' OR StartTime > 0 -- ",
    "\\' OR RampartPercent is null # ",
    "' OR 'a'='a",
    "\\",
    "%",
    "*",
]
NAMED = ["it's", "a\\b", "a\\n'c", 'say "so"', "per%cent_", "x' --", "'"]


async def live(temporal: Client, prompt: str) -> str:
    """Start a rollout of the prompt under an id that somebody chose; nobody works on it."""
    attributes = TypedSearchAttributes([SearchAttributePair(PROMPT, prompt)])
    flow = f"chosen-{uuid4()}"
    await temporal.start_workflow(
        "RolloutWorkflow", id=flow, task_queue="none", search_attributes=attributes
    )
    return flow


async def test_a_name_finds_no_rollout_of_another_prompt(temporal: Client) -> None:
    control, salt = Control(temporal, task_queue="none"), uuid4().hex[:8]
    victim = await live(temporal, f"victim-{salt}.system")
    await found(control, f"victim-{salt}.system")

    for name in FREE:
        assert await control._search(f"{salt}{name}.system") is None, name
        with pytest.raises(NoRollout):
            await control.order(Verb.ROLLBACK, f"{salt}{name}", "system", reason="x", by="eve")

    await temporal.get_workflow_handle(victim).terminate()


async def test_a_name_of_odd_characters_finds_its_own_rollout(temporal: Client) -> None:
    control, salt = Control(temporal, task_queue="none"), uuid4().hex[:8]
    flows = {name: await live(temporal, f"{salt}{name}.system") for name in NAMED}

    assert {name: await found(control, f"{salt}{name}.system") for name in NAMED} == flows

    for flow in flows.values():
        await temporal.get_workflow_handle(flow).terminate()


async def found(control: Control, prompt: str) -> str:
    """Return the id of the prompt's rollout; lists know it a little later."""
    async with asyncio.timeout(20):
        while (handle := await control._search(prompt)) is None:
            await asyncio.sleep(0.1)
    return handle.id


async def test_no_text_of_a_request_gets_into_the_headers_of_an_answer(way_in: Entrance) -> None:
    split = "x\r\nset-cookie: a=b"
    for path, body in (
        ("/v1/rollouts", {"flag": split, "candidate": split, "plan": split, "reason": split}),
        ("/v1/prompts/greeting.system/tags", {"version": "1.1.0", "tag": split}),
        ("/v1/tokens", {"name": split, "roles": ["ingest"]}),
        (f"/ofrep/v1/evaluate/flags/{'x%0d%0aset-cookie:%20a=b'}", {"context": {}}),
    ):
        answer = await way_in.ask("POST", path, role=Role.ADMIN, json=body)

        assert answer.status_code in (400, 404, 422), path
        assert "set-cookie" not in answer.headers
        assert not [value for value in answer.headers.values() if "a=b" in value]
