"""What an experiment may be doing."""

from enum import StrEnum


class Phase(StrEnum):
    """What an experiment is doing now; arms are guarded in all from running to waiting."""

    OPENING = "opening"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING_FOR_DECISION = "waiting_for_decision"
    ENDING = "ending"
    ROLLING_OUT = "rolling_out"
    DEPLOYED = "deployed"
    KEPT = "kept"
    STOPPED = "stopped"
    ROLLED_BACK = "rolled_back"  # its winner was rolled out, and rolled back
