"""Where a monitor's progress is published: the page in Temporal's UI, and its describe."""

from datetime import datetime

from temporalio import workflow

from domain.duration import spell
from workflows.markdown import CAPTION, block, listed, literal, signals
from workflows.monitors.state import MonitorProgress, Phase, Vigil
from workflows.progress import clock
from workflows.publication import MEMO_AGE

SHOWN = 10  # lines of alerts, and of readings: the page is for a glance
STOP = [("stop", "end it now; it returns the alerts it has")]


class Bulletin:
    """Keeps the page fresh at every look, and the memo when something changed.

    No search attributes: those find the rollout of a prompt, and a monitor is none.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._at: datetime | None = None

    def publish(self, vigil: Vigil) -> None:
        """Show where the monitor stands."""
        now, progress = workflow.now(), vigil.progress()
        workflow.set_current_details(details(progress))
        key = (progress.phase, progress.alerts, len(progress.open), progress.untold)
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.plan and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))


def details(progress: MonitorProgress) -> str:
    """Return the page in Temporal's UI (tab User Metadata): Markdown that it renders."""
    if progress.plan is None or progress.until is None:
        return f"**{progress.phase}**: waiting for the database to name what is to be watched"
    rows = [
        ("looks", f"{progress.looks}, every {spell(progress.plan.interval)}"),
        ("until", clock(progress.until)),
        ("alerts", f"{progress.alerts}, of which {len(progress.open)} are open"),
    ]
    if progress.next_look_at:
        rows.append(("next look", clock(progress.next_look_at)))
    if progress.untold:
        rows.append(("not told", f"{progress.untold} notices: {progress.untold_why}"))
    rows += listed("open", [alert.message for alert in progress.open], most=SHOWN)
    labels = {subject.version_id: subject.label for subject in progress.subjects}
    latest = [f"{labels[one.version_id]}: {one.said}" for one in progress.readings]
    rows += listed("latest", latest, most=SHOWN)
    act = STOP if progress.phase is Phase.WATCHING else []
    head = f"**{literal(watched(progress))}**: **{progress.phase}**"
    return f"{head}\n\n{block(rows)}\n\n{signals(act)}"


def caption(vigil: Vigil) -> str:
    """Return what the timeline says of the wait for the next look: what the last one found."""
    first, *more = [alert.message for alert in vigil.book.open.values()] or ["nothing is wrong"]
    others = f" and {len(more)} more" if more else ""
    return literal(f"look {vigil.looks}: {first}"[: CAPTION - len(others)] + others)


def memo(progress: MonitorProgress) -> dict[str, object]:
    """Return what `temporal workflow describe` shows, also when no worker is alive."""
    return {
        "watched": watched(progress),
        "phase": progress.phase.value,
        "looks": progress.looks,
        "alerts": progress.alerts,
        "open": [alert.message for alert in progress.open[:SHOWN]],
        "until": clock(progress.until) if progress.until else "",
    }


def watched(progress: MonitorProgress) -> str:
    """Return what is watched, in a few words."""
    labels = [subject.label for subject in progress.subjects]
    more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    return f"{', '.join(labels[:3])}{more}"
