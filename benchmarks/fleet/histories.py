"""What a workflow's history tells: checks and when they were due, billable actions, answers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle

# What Temporal Cloud bills (docs.temporal.io/cloud/actions), as events of a history; an activity
# once an attempt. A memo's update is not on that page, but counted by the server's own metric
# `action` (common/rpc/interceptor/telemetry.go): so it is counted here too. Continuing as new is
# the start of the next run.
BILLED = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: "workflow started",
    EventType.EVENT_TYPE_TIMER_STARTED: "timer started",
    EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED: "activity started",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: "signal sent",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: "update received",
    EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES: "search attributes upserted",
    EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED: "memo upserted",
    EventType.EVENT_TYPE_MARKER_RECORDED: "marker recorded",
}
ACTED = {"note", "return_traffic"}  # the activities in which a signal shows first


@dataclass(frozen=True)
class Due:
    """A check that a timer called for: the rollout's `number`-th, so long after the one before."""

    number: int
    at: datetime
    interval: timedelta


def dues(events: Iterable[HistoryEvent]) -> Iterator[Due]:
    """Yield the checks that were due by a timer; those that a message brought about are not."""
    timers: dict[int, Due] = {}
    fired: Due | None = None
    number = 0
    for event in events:
        if event.HasField("timer_started_event_attributes"):
            interval = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
            timers[event.event_id] = Due(0, at(event) + interval, interval)
        elif event.HasField("timer_fired_event_attributes"):
            fired = timers[event.timer_fired_event_attributes.started_event_id]
        elif scheduled(event) == "check":
            number += 1
            if fired is not None:
                yield Due(number, fired.at, fired.interval)
            fired = None


def actions(events: Iterable[HistoryEvent]) -> dict[str, int]:
    """Count the billable actions by their kind."""
    found = dict.fromkeys(BILLED.values(), 0)
    for event in events:
        if kind := BILLED.get(event.event_type):
            attempts = event.activity_task_started_event_attributes.attempt or 1
            found[kind] += attempts
    return found


def acted(events: Iterable[HistoryEvent]) -> datetime | None:
    """Return when the server knew that the first signal had been acted on."""
    signalled, acting = False, 0
    for event in events:
        if event.HasField("workflow_execution_signaled_event_attributes"):
            signalled = True
        elif signalled and not acting and scheduled(event) in ACTED:
            acting = event.event_id
        elif acting:
            done = event.activity_task_completed_event_attributes
            if done.scheduled_event_id == acting:
                return at(event)
    return None


def ramped(events: Iterable[HistoryEvent]) -> datetime | None:
    """Return when the server knew that the first ramp was done."""
    ramping = 0
    for event in events:
        if not ramping and scheduled(event) == "ramp":
            ramping = event.event_id
        elif ramping:
            done = event.activity_task_completed_event_attributes
            if done.scheduled_event_id == ramping:
                return at(event)
    return None


def at(event: HistoryEvent) -> datetime:
    """Return when the server wrote the event."""
    return event.event_time.ToDatetime(UTC)


def scheduled(event: HistoryEvent) -> str:
    """Return the type of the activity that the event schedules, else nothing."""
    return event.activity_task_scheduled_event_attributes.activity_type.name


async def events_of(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    """Return the events of the present run, or of the one the handle names."""
    return list((await handle.fetch_history()).events)


async def all_runs(client: Client, workflow_id: str, first: str) -> list[HistoryEvent]:
    """Return the events of a run and of all that it continued as, in order."""
    run_id, found = first, list[HistoryEvent]()
    while run_id:
        events = await events_of(client.get_workflow_handle(workflow_id, run_id=run_id))
        found += events
        went_on = events[-1].workflow_execution_continued_as_new_event_attributes
        run_id = went_on.new_execution_run_id
    return found
