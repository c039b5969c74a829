"""The orders of a rollout to its activities, in the name of whoever sent it on."""

from activities.rollouts import Promote, Ramp
from workflows.commands import Command
from workflows.state import State


def ramp(state: State, stage: int) -> Ramp:
    """Return the order to ramp to the stage."""
    sent = state.hurry or state.approval or Command()
    sent_by = {"by": sent.by, "reason": sent.reason}
    return Ramp(rollout_id=state.id, stage=stage, epoch=state.epoch, **sent_by)


def promote(state: State) -> Promote:
    """Return the order to promote."""
    sent = state.hurry or state.approval or Command()
    return Promote(rollout_id=state.id, epoch=state.epoch, by=sent.by, reason=sent.reason)
