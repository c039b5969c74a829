"""How a rollout is opened: the request is read by an activity, at once or when it is due."""

from collections.abc import Callable
from datetime import timedelta

from pydantic import JsonValue
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from activities.rollouts import Open, RolloutActivities
from workflows import execution
from workflows.execution import Method, Result
from workflows.state import State


async def take(state: State, given: JsonValue, publish: Callable[[], None]) -> None:
    """Open the rollout: take its prompt."""
    publish()
    opened = await read(RolloutActivities.open_rollout, given, summary="take the prompt")
    state.open(opened, now=workflow.now())


async def read(method: Method[Open, Result], given: JsonValue, *, summary: str) -> Result:
    """Have an activity read the request; what it refuses fails the workflow in a sentence."""
    info = workflow.info()
    order = Open(request=given, key=info.first_execution_run_id, workflow_id=info.workflow_id)
    try:
        return await execution.execute(method, order, summary=summary)
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        kind = getattr(error.cause, "type", None)
        raise ApplicationError(execution.cause(error), type=kind, non_retryable=True) from error


async def keep_appointment(state: State, given: JsonValue, publish: Callable[[], None]) -> bool:
    """Wait until the rollout is to be opened, if not at once; False if it was withdrawn."""
    if not (isinstance(given, dict) and given.get("start_at")):
        return True
    found = await read(RolloutActivities.appoint, given, summary="read the request")
    state.calendar.appointment = found
    state.search_attributes, state.phase_attribute = found.search_attributes, found.phase_attribute
    publish()
    left = found.start_at - workflow.now()
    if left <= timedelta(0):
        return state.rollback is None
    try:
        await workflow.wait_condition(
            lambda: state.rollback is not None, timeout=left, timeout_summary="its start"
        )
    except TimeoutError:
        return True
    return False
