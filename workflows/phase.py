"""What a rollout is doing."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # which asks what it is doing
    from workflows.state import State


class Phase(StrEnum):
    """What a rollout is doing now; guardrails are judged in all from baking to approval."""

    SCHEDULED = "scheduled"
    OPENING = "opening"
    RAMPING = "ramping"
    BAKING = "baking"
    PAUSED = "paused"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    WAITING_FOR_WINDOW = "waiting_for_window"  # all else is done
    FINAL_BAKE = "final_bake"
    ROLLING_BACK = "rolling_back"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"  # before it was opened


def phase_of(state: "State", *, now: datetime) -> Phase:
    """Return what the rollout is doing."""
    calendar = state.calendar
    if state.ending is not None:
        return state.ending
    if state.rollout is None:
        return Phase.SCHEDULED if calendar.awaits_start(now) else Phase.OPENING
    if state.pause is not None:
        return Phase.PAUSED
    if state.stage == 0:
        return Phase.WAITING_FOR_WINDOW if calendar.shut(now) else Phase.RAMPING
    if state.wants_approval(now):
        return Phase.WAITING_FOR_APPROVAL
    if calendar.shut(now) and state.ready(now):
        return Phase.WAITING_FOR_WINDOW
    return Phase.FINAL_BAKE if state.final else Phase.BAKING
