"""Idempotency keys, seen from outside: the same key counts once and is answered as it was."""

from collections.abc import Mapping
from hashlib import sha256

from pydantic import BaseModel, JsonValue
from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from control.connection import Refused, unreachable
from domain.amendment import Amendment
from domain.errors import InvalidValue
from workflows.commands import KEY_LENGTH, Change, Verb, read, update_id

LATEST = 20  # runs of a prompt that are looked through for a key


def identity(verb: Verb, given: dict[str, JsonValue]) -> str | None:
    """Read what is to be sent as the workflow will; return the update's id, None without a key.

    Raises:
        InvalidValue: It cannot be read.
    """
    try:
        command = read(verb, given)
        if isinstance(command, Change):
            Amendment.parse(command.wish)
    except ValueError as error:
        raise InvalidValue(f"{verb}: {error}") from error
    return update_id(verb, command)


def start_memo(request: BaseModel, key: str) -> dict[str, str]:
    """Return by what is known again what was started with the key.

    Raises:
        InvalidValue: The key is too long.
    """
    if len(key) > KEY_LENGTH:
        raise InvalidValue(f"key must be at most {KEY_LENGTH} characters, got {len(key)}")
    asked = request.model_dump_json(exclude={"by", "reason"})
    return {"key": key, "asked": sha256(asked.encode()).hexdigest()[:12]} if key else {}


async def started(client: Client, workflow_id: str, memo: Mapping[str, str]) -> str | None:
    """Return the run that was started with this key; None if there is none, or no key.

    Raises:
        Refused: The key started something else.
        Unreachable: Temporal does not answer.
    """
    if not memo:
        return None
    try:
        latest = await client.get_workflow_handle(workflow_id).describe()
        if await _known(latest, memo):
            return latest.run_id
        quoted = workflow_id.replace("'", "''")
        async for earlier in client.list_workflows(f"WorkflowId = '{quoted}'", limit=LATEST):
            if await _known(earlier, memo):
                return earlier.run_id
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise unreachable(error) from error
    return None


async def _known(run: WorkflowExecution, memo: Mapping[str, str]) -> bool:
    found = await run.memo()
    if found.get("key") != memo["key"]:
        return False
    if found.get("asked") != memo["asked"]:
        raise Refused(f"key {memo['key']!r} started something else already: {run.id}")
    return True
