"""Where a rollout's progress is published: the page in Temporal's UI, its lists, its describe."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributeUpdate

from workflows.markdown import literal
from workflows.meters import Meters
from workflows.progress import Progress, clock, stage_of
from workflows.state import State

PROMPT = SearchAttributeKey.for_keyword("RampartPrompt")
STAGE = SearchAttributeKey.for_int("RampartStage")
PERCENT = SearchAttributeKey.for_float("RampartPercent")
VERDICT = SearchAttributeKey.for_keyword("RampartVerdict")
PHASE = SearchAttributeKey.for_keyword("RampartPhase")
ATTRIBUTES = (PROMPT, STAGE, PERCENT, VERDICT, PHASE)
BAR = 30  # characters
WIDTH = 44  # characters of a value: what a code block of the page shows on a small laptop
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
        workflow.set_current_details(details(progress))
        verdict = progress.verdict.action
        key = (progress.phase, progress.stage, verdict, progress.refused, progress.closed)
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.prompt and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))
            if state.search_attributes:
                workflow.upsert_search_attributes(columns(progress, phase=state.phase_attribute))


def details(progress: Progress) -> str:
    """Return the page in Temporal's UI (tab User Metadata): Markdown that it renders.

    Code blocks, because its renderer shows neither pipe tables nor emoji.
    """
    if not progress.prompt:
        return f"**{progress.phase}**: waiting for {progress.waiting_for}"
    filled = round(progress.percent / 100 * BAR)
    ramp = "█" * filled + "░" * (BAR - filled)
    rows = [
        *(("with", str(each)) for each in progress.companions),
        ("ramp", f"{ramp} {progress.percent:g} %"),
        ("stage", stage_of(progress)),
        ("verdict", f"{progress.verdict.action} (check {progress.checks})"),
        ("reason", progress.verdict.reason),
        ("waits for", progress.waiting_for),
    ]
    if progress.next_check_at:
        rows.append(("next check", clock(progress.next_check_at)))
    if progress.refused:
        rows.append(("note", progress.refused))
    head = f"**{literal(progress.prompt)}**: {progress.baseline} → {progress.candidate}, "
    table = "\n".join(_row(name, value) for name, value in rows)
    return f"{head}**{progress.phase}**\n\n```\n{table}\n```\n\n{HELP}"


def _row(name: str, value: str) -> str:
    """Return an aligned line; a long value goes on below itself, as the page does not wrap."""
    first, *more = wrap(value.replace("`", "'"), WIDTH) or [""]
    return "\n".join([f"{name:<11} {first}", *(f"{'':<11} {line}" for line in more)])


HELP = (
    "More Actions → Send a Signal: `pause`, `resume`, `promote`, `skip`, `approve`, `extend`,"
    " `amend`, `rollback`;"
    ' input is optional: `{"reason": "…", "by": "…"}`.'
)


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
