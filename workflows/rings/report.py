"""What becomes of the rings of a segmented rollout, in words. Pure."""

from enum import StrEnum

from domain.value import Frozen


class RingPhase(StrEnum):
    """What has become of one ring."""

    WAITING = "waiting"
    RUNNING = "running"
    ALREADY = "already"  # the candidate was in production there before
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    REFUSED = "refused"  # its rollout never opened, or ended without a word
    REVERTED = "reverted"  # promoted, then returned to what it had, because of another ring
    NOT_REVERTED = "not_reverted"  # should be, but production has moved on since


class RingsPhase(StrEnum):
    """What a segmented rollout is doing; the last four are its ends."""

    OPENING = "opening"
    RUNNING = "running"
    BETWEEN_RINGS = "between_rings"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    PROMOTED = "promoted"
    STOPPED = "stopped"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"


class RingReport(Frozen):
    """One ring. `prompt` is the flag key of what serves it; `segment` is empty for everybody."""

    segment: str
    prompt: str
    phase: RingPhase = RingPhase.WAITING
    rollout_id: str = ""
    reason: str = ""

    @property
    def title(self) -> str:
        """The segment, or `everybody`."""
        return self.segment or "everybody"


ENDS = (
    RingsPhase.ROLLING_BACK,  # nothing but an end follows
    RingsPhase.PROMOTED,
    RingsPhase.STOPPED,
    RingsPhase.ROLLED_BACK,
    RingsPhase.ROLLBACK_INCOMPLETE,
)
