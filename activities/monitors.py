"""Monitor activities: open, look, tell. Each calls one manager method, or the notifier."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue
from temporalio import activity

from activities.refusals import final_refusals
from domain.monitors.alerts import Look, Notice, Subject
from domain.monitors.manager import MonitorManager
from domain.monitors.marks import Mark
from domain.monitors.plan import MonitorPlan

logger = logging.getLogger(__name__)


class Notifier(Protocol):
    """Tells people, wherever they are."""

    async def notify(self, notice: Notice) -> None:
        """Deliver a notice, or raise; it may come again, with the same key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """Result of `open_monitor`: the plan as it was read, and the versions."""

    plan: MonitorPlan
    subjects: tuple[Subject, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LookOrder:
    """Input of `look_at_versions`.

    Attributes:
        at: The monitor's instant.
        base: What was counted when the window began. before: At the look before.
        open: Keys of the alerts that are not over.
    """

    plan: MonitorPlan
    subjects: tuple[Subject, ...]
    at: datetime
    base: Mark | None = None
    before: Mark | None = None
    open: tuple[str, ...] = ()


class MonitorActivities:
    """The monitor's eyes and voice. Without a notifier, notices are logged only."""

    def __init__(self, monitors: MonitorManager, *, notifier: Notifier | None = None) -> None:
        self._monitors = monitors
        self._notifier = notifier

    @activity.defn
    async def open_monitor(self, given: JsonValue) -> Watch:
        """Read the plan as it was sent, so that wrong ones are refused here."""
        with final_refusals():
            plan = MonitorPlan.parse(given)
            return Watch(plan=plan, subjects=await self._monitors.open(plan))

    @activity.defn
    async def look_at_versions(self, order: LookOrder) -> Look:
        """Judge every condition of every version."""
        with final_refusals():
            return await self._monitors.look(
                order.plan,
                order.subjects,
                order.at,
                base=order.base,
                before=order.before,
                open_=frozenset(order.open),
            )

    @activity.defn
    async def tell(self, notices: list[Notice]) -> None:
        """Log the notices and deliver them; a retry delivers all of them again."""
        for notice in notices:
            logger.log(logging.INFO if notice.cleared else logging.WARNING, "%s", notice)
            if self._notifier is not None:
                await self._notifier.notify(notice)
