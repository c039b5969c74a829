"""What is shown of a segmented rollout: queries, result, the page in Temporal's UI, its memo."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from domain.duration import spell
from workflows.commands import Command
from workflows.markdown import literal
from workflows.progress import clock
from workflows.publication import PERCENT, STAGE
from workflows.rings.report import RingPhase, RingReport, RingsPhase
from workflows.rings.state import Rings

DONE = (RingPhase.PROMOTED, RingPhase.ALREADY)
HELP = (
    "More Actions → Send a Signal: `pause`, `resume`, `promote`, `approve`, `rollback` go to the"
    ' running ring too; input is optional: `{"reason": "…", "by": "…"}`.'
)


class RingsProgress(BaseModel):
    """Where a segmented rollout stands; the answer to the query `progress`.

    Attributes:
        ring: The one whose turn it is, counted from 1; 0 before it is open.
        waiting_for: One sentence: what it waits for, and until when.
        ready_at: When the next ring may start, while none is running.
    """

    model_config = ConfigDict(frozen=True)

    phase: RingsPhase = RingsPhase.OPENING
    prompt: str = ""
    candidate: str = ""
    on_failure: str = ""
    ring: int = 0
    rings: tuple[RingReport, ...] = ()
    waiting_for: str = ""
    ready_at: datetime | None = None
    refused: str = ""

    @classmethod
    def of(cls, rings: Rings) -> "RingsProgress":
        """Read the state."""
        if rings.opening is None:
            return cls(phase=rings.phase(), waiting_for=waiting_for(rings), refused=rings.refused)
        resting = not rings.running and rings.ending is None
        return cls(
            phase=rings.phase(),
            prompt=f"{rings.opening.name}.{rings.opening.prompt_type}",
            candidate=rings.opening.candidate,
            on_failure=rings.opening.on_failure.value,
            ring=min(rings.at + 1, len(rings.reports)),
            rings=tuple(rings.reports),
            waiting_for=waiting_for(rings),
            ready_at=rings.ready_at if resting else None,
            refused=rings.refused,
        )

    @property
    def done(self) -> int:
        """How many rings have the candidate in production."""
        return sum(ring.phase in DONE for ring in self.rings)


class RingsOutcome(BaseModel):
    """How a segmented rollout ended, ring by ring, and why; the result of its workflow."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    candidate: str
    outcome: RingsPhase
    rings: tuple[RingReport, ...]
    reason: str
    by: str = ""

    @classmethod
    def of(cls, rings: Rings, command: Command) -> "RingsOutcome":
        """Read the state at its end."""
        shown = RingsProgress.of(rings)
        return cls(
            prompt=shown.prompt,
            candidate=shown.candidate,
            outcome=shown.phase,
            rings=shown.rings,
            reason=command.reason,
            by=command.by,
        )


class RingsPage:
    """Keeps the page fresh at every step, and memo and columns when something changed.

    `RampartPrompt` is left to the rings' own rollouts: by it the operator's verbs find them.
    """

    def __init__(self) -> None:
        self._shown: RingsProgress | None = None

    def publish(self, rings: Rings) -> None:
        """Show where the segmented rollout stands."""
        progress = RingsProgress.of(rings)
        workflow.set_current_details(details(progress))
        if progress.prompt and progress != self._shown:
            self._shown = progress
            workflow.upsert_memo(memo(progress))
            if rings.search_attributes:
                workflow.upsert_search_attributes(columns(progress))


def waiting_for(rings: Rings) -> str:
    """Return in one sentence what it waits for, and until when."""
    if rings.ending not in (None, RingsPhase.ROLLING_BACK):
        return "nothing: it is over"
    if rings.opening is None:
        return "the database to open its rings"
    if rings.running:
        return f"the rollout of {rings.report.prompt} to end: see `rampart status`"
    if rings.ending or rings.rollback:
        return "the database to confirm the rollback"
    if rings.pause:
        return f"somebody to resume it: paused by {rings.pause}"
    pause = spell(rings.opened.pause_between)
    return f"the pause of {pause} between rings to end" if rings.ready_at else "its first ring"


def details(progress: RingsProgress) -> str:
    """Return the page in Temporal's UI: Markdown that it renders, without pipe tables."""
    if not progress.prompt:
        return f"**{progress.phase}**: waiting for {progress.waiting_for}"
    rows = [f"{line(ring, number)}" for number, ring in enumerate(progress.rings, 1)]
    rows += [f"waits for {progress.waiting_for}".replace("`", "'")]
    if progress.ready_at:
        rows.append(f"next ring {clock(progress.ready_at)} at the earliest")
    if progress.refused:
        rows.append(f"note      {progress.refused}".replace("`", "'"))
    head = f"**{literal(progress.prompt)}** → {progress.candidate}, "
    head += f"ring by ring: **{progress.phase}**"
    table = "\n".join(rows)
    return f"{head}\n\n```\n{table}\n```\n\n{HELP}"


def line(ring: RingReport, number: int) -> str:
    """Return `2 beta       running      greeting_beta.system`."""
    reason = f": {ring.reason}".replace("`", "'")[:80] if ring.reason else ""
    return f"{number:<2} {ring.title:<12} {ring.phase:<12} {ring.prompt}{reason}"


def memo(progress: RingsProgress) -> dict[str, object]:
    """Return what `temporal workflow describe` shows, also when no worker is alive."""
    return {
        "prompt": progress.prompt,
        "change": f"→ {progress.candidate}",
        "phase": progress.phase.value,
        "ring": f"{progress.ring} of {len(progress.rings)}",
        "rings": {ring.title: ring.phase.value for ring in progress.rings},
        "waiting_for": progress.waiting_for,
    }


def columns(progress: RingsProgress) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the typed search attributes: the ring, and the percent of rings that are done."""
    percent = 100 * progress.done / len(progress.rings)
    return [STAGE.value_set(progress.ring), PERCENT.value_set(percent)]
