"""Where a monitor stands: all that continue-as-new carries, and what is told of it.

New fields need defaults, because running monitors carry the old ones.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from activities.monitors import LookOrder, Watch
from domain.monitors.alerts import Alert, Book, Look, Notice, Reading, Subject, blind
from domain.monitors.marks import Marks
from domain.monitors.plan import MonitorPlan
from workflows.commands import Command


class Phase(StrEnum):
    """What a monitor is doing."""

    OPENING = "opening"
    WATCHING = "watching"
    COMPLETED = "completed"
    STOPPED = "stopped"


class MonitorProgress(BaseModel):
    """Where a monitor stands; the answer to the query `progress`.

    Attributes:
        alerts: How many were raised so far, those that are over included.
        open: Those that are not over.
        untold: Notices that could not be delivered; `untold_why` is the latest reason.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase = Phase.OPENING
    plan: MonitorPlan | None = None
    subjects: tuple[Subject, ...] = ()
    started_at: datetime | None = None
    until: datetime | None = None
    next_look_at: datetime | None = None
    looks: int = 0
    alerts: int = 0
    open: tuple[Alert, ...] = ()
    readings: tuple[Reading, ...] = ()
    untold: int = 0
    untold_why: str = ""


class MonitorOutcome(BaseModel):
    """What a monitor found; the result of its workflow.

    Attributes:
        outcome: Completed after its duration, or stopped, `by` whom and why.
        alerts: Oldest first; at most 1 000. dropped: How many more there were.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Phase
    started_at: datetime
    ended_at: datetime
    looks: int
    alerts: tuple[Alert, ...] = ()
    dropped: int = 0
    untold: int = 0
    by: str = ""
    reason: str = ""


class Vigil(BaseModel):
    """All that is known of a monitor inside its workflow.

    Attributes:
        outbox: Notices that were not delivered yet, oldest first.
        stop: Ordered by a person.
    """

    watch: Watch | None = None
    started_at: datetime | None = None
    next_look_at: datetime | None = None
    looks: int = 0
    marks: Marks = Marks()
    book: Book = Book()
    readings: tuple[Reading, ...] = ()
    outbox: list[Notice] = []
    untold: int = 0
    untold_why: str = ""
    stop: Command | None = None
    ending: Phase | None = None

    @property
    def plan(self) -> MonitorPlan:
        """The plan; only once the monitor is open."""
        return self._watch.plan

    @property
    def until(self) -> datetime:
        """When it ends by itself."""
        return self._since + self.plan.duration

    @property
    def _since(self) -> datetime:
        if self.started_at is None:
            raise ValueError("the monitor is not open yet")
        return self.started_at

    @property
    def _watch(self) -> Watch:
        if self.watch is None:
            raise ValueError("the monitor is not open yet")
        return self.watch

    def order(self, now: datetime) -> LookOrder:
        """Return the order of the next look."""
        return LookOrder(
            plan=self.plan,
            subjects=self._watch.subjects,
            at=now,
            base=self.marks.base(now, self.plan.window),
            before=self.marks.latest,
            open=tuple(self.book.open),
        )

    def take(self, look: Look, *, monitor: str) -> None:
        """Keep what a look found."""
        self.looks += 1
        self.marks = self.marks.with_look(look.mark, look.base, self.plan.window)
        self.readings = look.readings
        self._note(look.raised, look.cleared, at=look.mark.at, monitor=monitor)

    def miss(self, why: str, *, at: datetime, monitor: str) -> None:
        """Keep that a look could not be taken; the first of several in a row raises an alert."""
        self.looks += 1
        alert = blind(at, why)
        if alert.key not in self.book.open:
            self._note((alert,), (), at=at, monitor=monitor)

    def _note(
        self, raised: tuple[Alert, ...], cleared: tuple[str, ...], *, at: datetime, monitor: str
    ) -> None:
        over = [self.book.open[key].model_copy(update={"cleared_at": at}) for key in cleared]
        self.book = self.book.with_news(raised, cleared, at)
        self.outbox += [Notice(monitor=monitor, alert=alert) for alert in (*raised, *over)]

    def outcome(self, now: datetime) -> MonitorOutcome:
        """End, and return what was found."""
        self.ending = Phase.STOPPED if self.stop else Phase.COMPLETED
        told = self.stop or Command()
        return MonitorOutcome(
            outcome=self.ending,
            started_at=self._since,
            ended_at=now,
            looks=self.looks,
            alerts=self.book.alerts,
            dropped=self.book.dropped,
            untold=self.untold,
            by=told.by,
            reason=told.reason,
        )

    def progress(self) -> MonitorProgress:
        """Return where it stands."""
        if self.watch is None:
            return MonitorProgress()
        return MonitorProgress(
            phase=self.ending or Phase.WATCHING,
            plan=self.plan,
            subjects=self.watch.subjects,
            started_at=self.started_at,
            until=self.until,
            next_look_at=None if self.ending else self.next_look_at,
            looks=self.looks,
            alerts=len(self.book.alerts) + self.book.dropped,
            open=tuple(self.book.open.values()),
            readings=self.readings,
            untold=self.untold,
            untold_why=self.untold_why,
        )
