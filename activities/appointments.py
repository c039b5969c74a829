"""What is agreed on when a rollout is to be opened later."""

from datetime import datetime

from domain.value import Frozen


class Appointment(Frozen):
    """A rollout that was read and found right, and has not been opened yet.

    Attributes:
        baseline: The version in production when it was read.
        search_attributes: Whether the server knows ours; `phase_attribute`, and that of 0.4.
    """

    start_at: datetime
    prompt: str
    baseline: str
    candidate: str
    plan: str
    stages: tuple[float, ...] = ()
    search_attributes: bool = False
    phase_attribute: bool = False
