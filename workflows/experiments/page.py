"""Where an experiment's progress is published: its page in Temporal's UI, lists, describe."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from domain.trials.findings import ArmReport
from domain.trials.wording import figure, span
from workflows.experiments.commands import Choice, Verb
from workflows.experiments.gates import refusal
from workflows.experiments.progress import ExperimentProgress
from workflows.experiments.state import State
from workflows.markdown import Row, block, listed, literal, signals, words
from workflows.publication import MEMO_AGE, PROMPT, VERDICT


class ExperimentPublication:
    """Keeps the page fresh at every step, and memo and columns when something changed."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._at: datetime | None = None

    def publish(self, state: State) -> None:
        """Show where the experiment stands."""
        now = workflow.now()
        progress = ExperimentProgress.of(state, now=now)
        workflow.set_current_details(details(progress, _offers(state)))
        key = (progress.phase, progress.refused, progress.mismatch, *_stopped(progress))
        old = self._at is None or now - self._at >= MEMO_AGE
        if progress.prompt and (key != self._key or old):
            self._key, self._at = key, now
            workflow.upsert_memo(memo(progress))
            if state.search_attributes:
                workflow.upsert_search_attributes(columns(progress))


def details(progress: ExperimentProgress, offers: Sequence[Verb] = ()) -> str:
    """Return the page in Temporal's UI (tab User Metadata): Markdown that it renders.

    Args:
        progress: Where the experiment stands.
        offers: The verbs that it would follow now.
    """
    phase = f"**{words(progress.phase)}**"
    if not progress.prompt:
        return f"{phase}: waiting for {progress.waiting_for}"
    head = f"**{literal(progress.prompt)}**, goal {literal(progress.goal)}: {phase}"
    return f"{head}\n\n{block(_rows(progress))}\n\n{signals(_offered(progress, offers))}"


def _rows(progress: ExperimentProgress) -> list[Row]:
    rows = [row for arm in progress.arms for row in listed(arm.version, _told(arm, progress.goal))]
    rows += [("has run", progress.elapsed), ("waits for", progress.waiting_for)]
    if progress.conclusion:
        rows.append(("concluded", progress.conclusion.why or progress.conclusion.finding))
    if progress.mismatch:
        rows.append(("split", progress.mismatch))
    if progress.refused:
        rows.append(("note", progress.refused))
    return rows


def _offered(progress: ExperimentProgress, offers: Sequence[Verb]) -> list[Row]:
    arms = (arm.version for arm in progress.arms if not (arm.is_control or arm.stopped))
    version = f'{{"version": "{next(arms, "1.1.0")}"}}'
    said = {
        Verb.PAUSE: ("stop its clock; harm still stops an arm",),
        Verb.RESUME: ("run on",),
        Verb.CONCLUDE: ("end it now: ask the tests, then the plan",),
        Verb.DEPLOY: ("a version into production, which ends it:", version),
        Verb.STOP: ("everybody back to control, without any test",),
    }
    return [row for verb in said if verb in offers for row in listed(verb, said[verb])]


def _offers(state: State) -> list[Verb]:
    """Return the verbs that would be followed now; any may be deployed that is named."""
    treatment = next(iter(state.treatments), "") if state.trial else ""
    asked = {Verb.DEPLOY: Choice(version=treatment)}
    return [verb for verb in Verb if not refusal(state, verb, asked.get(verb, Choice()))]


def memo(progress: ExperimentProgress) -> dict[str, object]:
    """Return what `temporal workflow describe` shows, also when no worker is alive."""
    return {
        "prompt": progress.prompt,
        "phase": progress.phase.value,
        "experiment_id": progress.experiment_id,
        "arms": {arm.version: ", ".join(_told(arm, progress.goal)) for arm in progress.arms},
        "waiting_for": progress.waiting_for,
    }


def columns(progress: ExperimentProgress) -> Sequence[SearchAttributeUpdate[Any]]:
    """Return the typed search attributes: what lists are filtered and sorted by."""
    return [PROMPT.value_set(progress.prompt), VERDICT.value_set(progress.phase.value)]


def _told(arm: ArmReport, goal: str) -> list[str]:
    """Return who gets the arm, what it came to, and how that compares with control."""
    seen = f"n {arm.n}: {figure(goal, arm.rate)} [{span(goal, arm.interval)}]"
    if arm.is_control:
        return [f"control, {arm.share:.0%}", seen]
    against = f"{figure(goal, arm.difference, signed=True)}"
    against += f" [{span(goal, arm.difference_interval, signed=True)}]"
    standing = "stopped" if arm.stopped else words(arm.standing)
    return [f"{arm.share:.0%}", seen, f"{against}, {standing}"]


def _stopped(progress: ExperimentProgress) -> list[str]:
    return [arm.version for arm in progress.arms if arm.stopped]
