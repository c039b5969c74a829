"""Where an experiment's progress is published: its page in Temporal's UI, lists, describe."""

from collections.abc import Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from domain.trials.findings import ArmReport
from domain.trials.wording import figure, span
from workflows.experiments.progress import ExperimentProgress
from workflows.experiments.state import State
from workflows.markdown import literal
from workflows.publication import MEMO_AGE, PROMPT, VERDICT, WIDTH


class ExperimentPublication:
    """Keeps the page fresh at every step, and memo and columns when something changed."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._at: datetime | None = None

    def publish(self, state: State) -> None:
        """Show where the experiment stands."""
        now = workflow.now()
        progress = ExperimentProgress.of(state, now=now)
        workflow.set_current_details(details(progress))
        key = (progress.phase, progress.refused, progress.mismatch, *_stopped(progress))
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.prompt and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))
            if state.search_attributes:
                workflow.upsert_search_attributes(columns(progress))


def details(progress: ExperimentProgress) -> str:
    """Return the page in Temporal's UI (tab User Metadata): Markdown that it renders."""
    if not progress.prompt:
        return f"**{progress.phase}**: waiting for {progress.waiting_for}"
    rows = [(arm.version, _told(arm, progress.goal)) for arm in progress.arms]
    rows += [("has run", progress.elapsed), ("waits for", progress.waiting_for)]
    if progress.conclusion:
        said = progress.conclusion
        rows.append(("concluded", said.why or said.finding))
    if progress.mismatch:
        rows.append(("split", progress.mismatch))
    if progress.refused:
        rows.append(("note", progress.refused))
    table = "\n".join(_row(name, value) for name, value in rows)
    head = f"**{literal(progress.prompt)}**, goal {literal(progress.goal)}: **{progress.phase}**"
    return f"{head}\n\n```\n{table}\n```\n\n{HELP}"


HELP = (
    "More Actions → Send a Signal: `pause`, `resume`, `stop`, `conclude`, `deploy`; input is"
    ' optional: `{"version": "1.1.0", "reason": "…", "by": "…"}`.'
)


def memo(progress: ExperimentProgress) -> dict[str, object]:
    """Return what `temporal workflow describe` shows, also when no worker is alive."""
    return {
        "prompt": progress.prompt,
        "phase": progress.phase.value,
        "experiment_id": progress.experiment_id,
        "arms": {arm.version: _told(arm, progress.goal) for arm in progress.arms},
        "waiting_for": progress.waiting_for,
    }


def columns(progress: ExperimentProgress) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the typed search attributes: what lists are filtered and sorted by."""
    return [PROMPT.value_set(progress.prompt), VERDICT.value_set(progress.phase.value)]


def _told(arm: ArmReport, goal: str) -> str:
    said = f"{arm.share:.0%}, n {arm.n}: {figure(goal, arm.rate)} [{span(goal, arm.interval)}]"
    if arm.is_control:
        return f"control, {said}"
    against = f"{figure(goal, arm.difference, signed=True)}"
    against += f" [{span(goal, arm.difference_interval, signed=True)}]"
    return f"{said}, {against}, {'stopped' if arm.stopped else arm.standing}"


def _stopped(progress: ExperimentProgress) -> list[str]:
    return [arm.version for arm in progress.arms if arm.stopped]


def _row(name: str, value: str) -> str:
    """Return an aligned line; a long value goes on below itself, as the page does not wrap."""
    first, *more = wrap(value.replace("`", "'"), WIDTH) or [""]
    return "\n".join([f"{name:<11} {first}", *(f"{'':<11} {line}" for line in more)])
