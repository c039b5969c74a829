"""Where a rollout's progress is published: the page in Temporal's UI, its lists, its describe."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from workflows.gates import offers
from workflows.meters import Meters
from workflows.page import details
from workflows.progress import Progress, stage_of
from workflows.state import State

PROMPT = SearchAttributeKey.for_keyword("RampartPrompt")
STAGE = SearchAttributeKey.for_int("RampartStage")
PERCENT = SearchAttributeKey.for_float("RampartPercent")
VERDICT = SearchAttributeKey.for_keyword("RampartVerdict")
PHASE = SearchAttributeKey.for_keyword("RampartPhase")
ATTRIBUTES = (PROMPT, STAGE, PERCENT, VERDICT, PHASE)
MEMO_AGE = timedelta(hours=1)  # an update of the memo is an action: on changes, else this often


class Publication:
    """Keeps the page fresh at every step, and memo and columns when something changed.

    The page costs nothing but needs a live worker; memo and columns are events, and need none.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._at: datetime | None = None
        self._meters = Meters()

    def publish(self, state: State) -> None:
        """Show where the rollout stands."""
        now = workflow.now()
        self._meters.follow(state)
        progress = Progress.of(state, now=now)
        workflow.set_current_details(details(progress, offers(state, now=now)))
        verdict = progress.verdict.action
        key = (progress.phase, progress.stage, verdict, progress.refused, progress.closed)
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.prompt and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))
            if state.search_attributes:
                workflow.upsert_search_attributes(columns(progress, phase=state.phase_attribute))


def memo(progress: Progress) -> dict[str, object]:
    """Return what `temporal workflow describe` shows, also when no worker is alive."""
    return {
        "prompt": progress.prompt,
        "change": progress.change,
        "phase": progress.phase.value,
        "stage": stage_of(progress),
        "percent": progress.percent,
        "verdict": progress.verdict.action.value,
        "reason": progress.verdict.reason,
        "waiting_for": progress.waiting_for,
    }


def columns(progress: Progress, *, phase: bool) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the typed search attributes: what lists are filtered and sorted by.

    Args:
        progress: What to tell.
        phase: Whether the server knows that one: before 0.4 it was not asked for.
    """
    found: list[SearchAttributeUpdate[Any]] = [
        PROMPT.value_set(progress.prompt),
        STAGE.value_set(progress.stage),
        PERCENT.value_set(progress.percent),
        VERDICT.value_set(progress.verdict.action.value),
    ]
    return [*found, PHASE.value_set(progress.phase.value)] if phase else found
