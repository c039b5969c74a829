"""What of a rollout goes by the calendar: its appointment, its windows, its deadline.

Pure. Whether a window is open was asked by activities: here are their answers.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.appointments import Appointment
from domain.instants import clock
from domain.plan import RolloutPlan
from domain.windows.deadline import instant_of
from domain.windows.opening import Closed


class Calendar(BaseModel):
    """Carried with the rollout's state.

    Attributes:
        appointment: When it is to be opened; None when that was to be at once.
        begun: When it was opened.
        closed: The latest answer; it holds until its `until`.
        told: The latest answer that people were told of.
    """

    appointment: Appointment | None = None
    begun: datetime | None = None
    closed: Closed | None = None
    told: Closed | None = None

    def shut(self, now: datetime) -> Closed | None:
        """Return why nothing may advance now; None when it may, as far as is known."""
        closed = self.closed
        return closed if closed and (closed.until is None or now < closed.until) else None

    def but(self, now: datetime) -> str:
        """Return what is to be added to the answer that it goes on; mostly nothing."""
        shut = self.shut(now)
        return f"; but {shut}" if shut else ""

    def __str__(self) -> str:
        """Say when it is to be opened."""
        return f"its start at {clock(self.appointment.start_at)}" if self.appointment else ""

    def awaits_start(self, now: datetime) -> bool:
        """Say whether it is yet to be opened."""
        return self.appointment is not None and now < self.appointment.start_at

    def deadline(self, plan: RolloutPlan) -> datetime | None:
        """Return by when it has to be promoted."""
        return instant_of(plan.deadline, begun=self.begun)

    def late(self, plan: RolloutPlan, now: datetime) -> bool:
        """Say whether the deadline has passed."""
        deadline = self.deadline(plan)
        return deadline is not None and now >= deadline

    def sooner(self, wait: timedelta, plan: RolloutPlan, *, now: datetime) -> timedelta:
        """Return how long to wait at most: until something opens, or the deadline."""
        shut = self.shut(now)
        ends = [shut.until if shut else None, self.deadline(plan)]
        return min([wait, *(end - now for end in ends if end and end > now)])

    def news(self, now: datetime) -> str:
        """Return why nothing may advance, once."""
        shut = self.shut(now)
        if shut is None or shut == self.told:
            return ""
        self.told = shut
        return shut.why
