"""What the calendar makes of a plan: the earliest it can end, and whether that is in time."""

from datetime import datetime, timedelta

from domain.instants import clock
from domain.plan import RolloutPlan
from domain.windows.deadline import instant_of
from domain.windows.opening import closed_at


def earliest_promotion(plan: RolloutPlan, start: datetime) -> datetime | None:
    """Return when a rollout that begins at `start` is promoted if nothing holds it but the plan.

    None when its windows never open again.
    """
    at: datetime | None = start
    for bake in (timedelta(0), *(stage.bake for stage in plan.stages)):
        if at is not None:
            at = _opening(plan, at + bake)
    return at


def out_of_time(plan: RolloutPlan, start: datetime) -> list[str]:
    """Return why a rollout that begins at `start` could never advance, or not in time."""
    earliest, deadline = earliest_promotion(plan, start), instant_of(plan.deadline, begun=start)
    if earliest is None:
        return ["its windows never open: it would never advance"]
    if deadline is None or earliest < deadline:
        return []
    return [
        f"begun at {clock(start)} it is promoted at {clock(earliest)} at the earliest,"
        f" after its deadline, {clock(deadline)}: it could only be {_end(plan)}"
    ]


def _opening(plan: RolloutPlan, at: datetime) -> datetime | None:
    closed = closed_at(plan.windows, at)
    return closed.until if closed else at


def _end(plan: RolloutPlan) -> str:
    return "rolled back" if plan.when_late == "roll_back" else "held"
