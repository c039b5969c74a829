"""One look of a monitor: what was counted in, which alerts are raised and which are cleared. Pure.

A condition is raised once, and not again until a look finds it kept. What cannot be decided, for
want of events say, raises nothing and clears nothing.
"""

from collections.abc import Iterable, Sequence, Set
from datetime import datetime, timedelta
from typing import Self

from domain.duration import spell
from domain.monitors.marks import Mark, Sighting, Tally
from domain.monitors.plan import IDLE, Condition, MonitorPlan, written
from domain.value import Frozen

KEPT = 1000  # alerts of one monitor; of more, the oldest cleared ones are counted only
MEASURABLE = "measurable"  # the condition that is raised when nothing can be read


class Subject(Frozen):
    """A version that is watched, as people know it; inside an experiment, or wherever it is used.

    Attributes:
        label: `greeting.system 1.1.0`; the id where the version is not registered.
        experiment_id: Empty: all that the version does.
    """

    version_id: str
    label: str
    experiment_id: str = ""


class Reading(Frozen):
    """What a look found about one condition of one version.

    Attributes:
        breached: None: undecided; no data is neither good nor bad.
        value: The figure, in the unit of its metric; None without events.
    """

    version_id: str
    condition: str
    breached: bool | None
    value: float | None
    said: str


class Alert(Frozen):
    """A condition that was raised.

    Attributes:
        version_id: Empty where it is not about one version.
        value: The figure when it was raised.
        cleared_at: When a look found it kept again; None: it has not been yet.
    """

    at: datetime
    version_id: str
    condition: str
    value: float | None
    message: str
    cleared_at: datetime | None = None

    @property
    def key(self) -> str:
        """Names the condition; at most one alert of a key is open at a time."""
        return f"{self.version_id}|{self.condition}"


class Look(Frozen):
    """One look: what was counted, what it means, and the news.

    Attributes:
        base: Of the first look only: what was counted before its window began.
        raised: New alerts.
        cleared: Keys of the open ones that are over.
    """

    mark: Mark
    base: Mark | None = None
    readings: tuple[Reading, ...] = ()
    raised: tuple[Alert, ...] = ()
    cleared: tuple[str, ...] = ()


class Notice(Frozen):
    """What people are told: an alert was raised, or is over.

    Attributes:
        monitor: Its workflow id.
        key: The same whenever the same notice is sent again.
    """

    monitor: str
    alert: Alert

    @property
    def cleared(self) -> bool:
        """Whether the alert is over."""
        return self.alert.cleared_at is not None

    @property
    def key(self) -> str:
        """Names the notice."""
        state = "cleared" if self.cleared else "raised"
        return f"{self.monitor}|{self.alert.key}|{self.alert.at.isoformat()}|{state}"

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.monitor}: {'cleared: ' if self.cleared else ''}{self.alert.message}"


class Book(Frozen):
    """The alerts of a monitor, oldest first; `dropped` counts those no longer in it."""

    alerts: tuple[Alert, ...] = ()
    dropped: int = 0

    @property
    def open(self) -> dict[str, Alert]:
        """The alerts that are not over, by their keys."""
        return {alert.key: alert for alert in self.alerts if alert.cleared_at is None}

    def with_news(self, raised: Iterable[Alert], cleared: Iterable[str], at: datetime) -> Self:
        """Return the book after a look; an open alert is never dropped."""
        over = set(cleared)
        kept = [
            alert.model_copy(update={"cleared_at": at})
            if alert.cleared_at is None and alert.key in over
            else alert
            for alert in self.alerts
        ] + list(raised)
        old = [index for index, alert in enumerate(kept) if alert.cleared_at]
        drop = set(old[: max(len(kept) - KEPT, 0)])
        left = tuple(alert for index, alert in enumerate(kept) if index not in drop)
        return type(self)(alerts=left, dropped=self.dropped + len(drop))


def blind(at: datetime, why: str) -> Alert:
    """Return the alert of a look that could not be taken."""
    message = f"cannot be measured: {why}"
    return Alert(at=at, version_id="", condition=MEASURABLE, value=None, message=message)


def judge(
    plan: MonitorPlan,
    subjects: Sequence[Subject],
    mark: Mark,
    *,
    base: Mark | None,
    before: Mark | None,
    open_: Set[str],
) -> Look:
    """Return the look: every condition of every version, and what is new about it.

    Args:
        plan: What is watched, and when it alerts.
        subjects: The versions.
        mark: What is counted now.
        base: What was counted when the window began; None: nothing.
        before: The mark of the look before this one, None at the first.
        open_: Keys of the alerts that are not over.
    """
    now = mark.alive(before)
    read = [
        (subject, _read(subject, condition, now, base))
        for subject in subjects
        for condition in plan.judged
    ]
    alerts = [(_alert(subject, reading, now.at), reading.breached) for subject, reading in read]
    seen_again = {blind(now.at, "").key} & open_
    return Look(
        mark=now,
        readings=tuple(reading for _, reading in read),
        raised=tuple(a for a, breached in alerts if breached and a.key not in open_),
        cleared=(*seen_again, *(a.key for a, b in alerts if b is False and a.key in open_)),
    )


def _alert(subject: Subject, reading: Reading, at: datetime) -> Alert:
    return Alert(
        at=at,
        version_id=reading.version_id,
        condition=reading.condition,
        value=reading.value,
        message=f"{subject.label}: {reading.said}",
    )


def _read(subject: Subject, condition: Condition, now: Mark, base: Mark | None) -> Reading:
    seen = now.of.get(subject.version_id, Sighting())
    if condition.metric == IDLE:
        value: float | None = (now.at - (seen.active_at or now.at)).total_seconds()
        counted, enough = "since its latest event", True
    else:
        was = base.of.get(subject.version_id, Sighting()) if base else Sighting()
        source = condition.source
        tally = seen.tallies.get(source, Tally()).since(was.tallies.get(source))
        value, enough = tally.figure(condition.metric), tally.n >= condition.min_events
        counted = f"{tally.n} events {f'in {_rounded(now.at - base.at)}' if base else 'in all'}"
        counted += "" if enough else f", {condition.min_events} needed"
    breached = condition.breached(value) if enough and value is not None else None
    shown = "unknown" if value is None else written(condition.metric, value)
    beyond = f", {condition.side} {written(condition.metric, condition.limit)}" if breached else ""
    return Reading(
        version_id=subject.version_id,
        condition=str(condition),
        breached=breached,
        value=value,
        said=f"{condition.metric} {shown} ({counted}){beyond}",
    )


def _rounded(span: timedelta) -> str:
    """Return how long it was, truly but not to the millisecond: no window ends on the dot."""
    grain = timedelta(minutes=1) if span >= timedelta(minutes=10) else timedelta(seconds=0.1)
    return spell(grain * round(span / grain))
