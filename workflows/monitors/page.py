"""Where a monitor's progress is published: the page in Temporal's UI, and its describe."""

from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap

from temporalio import workflow

from domain.duration import spell
from workflows.markdown import literal
from workflows.monitors.state import MonitorProgress, Vigil
from workflows.progress import clock
from workflows.publication import MEMO_AGE, WIDTH

SHOWN = 10  # lines of alerts, and of readings: the page is for a glance
HELP = (
    "More Actions → Send a Signal: `stop` ends it and returns its alerts;"
    ' input is optional: `{"reason": "…", "by": "…"}`.'
)


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
    rows += _listed("open", [alert.message for alert in progress.open])
    labels = {subject.version_id: subject.label for subject in progress.subjects}
    rows += _listed("latest", [f"{labels[r.version_id]}: {r.said}" for r in progress.readings])
    table = "\n".join(_row(name, value) for name, value in rows)
    return f"**{literal(watched(progress))}**: **{progress.phase}**\n\n```\n{table}\n```\n\n{HELP}"


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


def _listed(name: str, lines: Sequence[str]) -> list[tuple[str, str]]:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    shown = [*lines[:SHOWN], *more]
    return [(name if index == 0 else "", line) for index, line in enumerate(shown)]


def _row(name: str, value: str) -> str:
    """Return an aligned line; a long value goes on below itself, as the page does not wrap."""
    first, *more = wrap(value.replace("`", "'"), WIDTH) or [""]
    return "\n".join([f"{name:<11} {first}", *(f"{'':<11} {line}" for line in more)])
