"""What is shown of a segmented rollout: queries, result, the page in Temporal's UI, its memo."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from domain.duration import spell
from workflows.commands import Command, Verb
from workflows.markdown import Row, block, listed, literal, signals, words
from workflows.progress import clock
from workflows.publication import PERCENT, STAGE
from workflows.rings.report import RingPhase, RingReport, RingsPhase
from workflows.rings.state import Rings

DONE = (RingPhase.PROMOTED, RingPhase.ALREADY)
FAILURE = {"stop": "promoted rings stay", "roll_back_all": "promoted rings return, too"}
SAID = {
    Verb.PAUSE: "hold the running ring, and start no further one",
    Verb.RESUME: "let the paused ring bake on, and further rings start",
    Verb.PROMOTE: "the running ring to its next stage; between rings, the next ring now",
    Verb.APPROVE: "open the gate of the running ring's stage",
    Verb.ROLLBACK: "roll the running ring back, start no other",
}


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
        offers = [verb for verb in SAID if not rings.refusal(verb)]
        workflow.set_current_details(details(progress, offers))
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
        return f"the rollout of {rings.report.prompt} to end: see rollout/{rings.report.prompt}"
    if rings.ending or rings.rollback:
        return "the database to confirm the rollback"
    if rings.pause:
        return f"somebody to resume it: paused by {rings.pause}"
    pause = spell(rings.opened.pause_between)
    return f"the pause of {pause} between rings to end" if rings.ready_at else "its first ring"


def details(progress: RingsProgress, offers: Sequence[Verb] = ()) -> str:
    """Return the page in Temporal's UI: Markdown that it renders.

    Args:
        progress: Where it stands.
        offers: The verbs that it would follow now.
    """
    phase = f"**{words(progress.phase)}**"
    if not progress.prompt:
        return f"{phase}: waiting for {progress.waiting_for}"
    rows = [row for number, ring in enumerate(progress.rings, 1) for row in _ring(ring, number)]
    rows.append(("waits for", progress.waiting_for))
    if progress.ready_at:
        rows.append(("next ring", f"{clock(progress.ready_at)} at the earliest"))
    rows.append(("on failure", FAILURE.get(progress.on_failure, progress.on_failure)))
    if progress.refused:
        rows.append(("note", progress.refused))
    head = f"**{literal(progress.prompt)}** → {progress.candidate}, ring by ring: {phase}"
    said = [(verb.value, SAID[verb]) for verb in offers]
    return f"{head}\n\n{block(rows)}\n\n{signals(said)}"


def _ring(ring: RingReport, number: int) -> list[Row]:
    """Return what is known of a ring; what its own rollout tells is on the page of that."""
    told = [f"{ring.title}: {words(ring.phase)}", f"rollout/{ring.prompt}"]
    return listed(f"ring {number}", [*told, ring.reason] if ring.reason else told)


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
