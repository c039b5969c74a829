"""What a person may send to a rollout: eight verbs, as signals and as updates; two questions.

A signal is for Temporal's UI and CLI and cannot answer: a refusal is kept in the progress and the
journal. An update is refused before it enters the history. Signals take any number of inputs,
because one that Python could not call would stick the workflow.
"""

from pydantic import JsonValue
from temporalio import workflow

from domain.plan import RolloutPlan
from workflows.answers import Answer, Changed
from workflows.commands import Verb
from workflows.hearing import Hearing
from workflows.progress import Progress

INPUT = ' Input: nothing, a text, or {"reason": "…", "by": "…"}.'
PAUSE = "Hold the ramp where it is. The guardrails stay on: harm still rolls back." + INPUT
RESUME = "Let a paused rollout bake on for what was left of its stage." + INPUT
PROMOTE = (
    "Go on to the next stage after one more check, without the rest of the bake."
    ' Input: nothing, or {"full": true, "reason": "…", "by": "…"}: full goes to production.'
)
SKIP = (
    "Go past the next stage after one more check."
    ' Input: nothing, or {"to": 3, "reason": "…", "by": "…"}: to stage 3.'
)
APPROVE = "Open the gate of a stage that has baked and waits for an approval." + INPUT
EXTEND = (
    "Bake the running stage, or watch the promoted version, for longer; also while it is paused."
    ' Input: "2h", or {"longer": "2h", "reason": "…", "by": "…"}.'
)
AMEND = (
    "Change the plan of the live rollout. Evidence, salt and users stay."
    ' Input: {"set": {"final_bake": "2h", "stages.2.bake": "6h"}}, or {"plan": …}: a whole one.'
)
ROLLBACK = "Return every user to the version before, now and for good." + INPUT


class RolloutMessages(Hearing):
    """The handlers."""

    @workflow.query(description="Where the rollout stands, what it waits for, and until when.")
    def progress(self) -> Progress:
        """Return where it stands."""
        return Progress.of(self._state, now=workflow.now())

    @workflow.query(description="The plan as it is followed, presets resolved; null until open.")
    def plan(self) -> RolloutPlan | None:
        """Return the plan."""
        return self._state.rollout.plan if self._state.rollout else None

    @workflow.signal(name="pause", description=PAUSE)
    def pause_signal(self, *given: JsonValue) -> None:
        """Hold the ramp."""
        self._signalled(Verb.PAUSE, given)

    @workflow.signal(name="resume", description=RESUME)
    def resume_signal(self, *given: JsonValue) -> None:
        """Bake on."""
        self._signalled(Verb.RESUME, given)

    @workflow.signal(name="promote", description=PROMOTE)
    def promote_signal(self, *given: JsonValue) -> None:
        """Go on to the next stage."""
        self._signalled(Verb.PROMOTE, given)

    @workflow.signal(name="skip", description=SKIP)
    def skip_signal(self, *given: JsonValue) -> None:
        """Go past a stage."""
        self._signalled(Verb.SKIP, given)

    @workflow.signal(name="approve", description=APPROVE)
    def approve_signal(self, *given: JsonValue) -> None:
        """Open the gate."""
        self._signalled(Verb.APPROVE, given)

    @workflow.signal(name="extend", description=EXTEND)
    def extend_signal(self, *given: JsonValue) -> None:
        """Bake for longer."""
        self._signalled(Verb.EXTEND, given)

    @workflow.signal(name="amend", description=AMEND)
    def amend_signal(self, *given: JsonValue) -> None:
        """Change the plan."""
        self._signalled(Verb.AMEND, given)

    @workflow.signal(name="rollback", description=ROLLBACK)
    def rollback_signal(self, *given: JsonValue) -> None:
        """Return every user to the baseline."""
        self._signalled(Verb.ROLLBACK, given)

    @workflow.update(description=PAUSE)
    def pause(self, given: JsonValue = None) -> Answer:
        """Hold the ramp, and answer."""
        return self._answer(Verb.PAUSE, given)

    @workflow.update(description=RESUME)
    def resume(self, given: JsonValue = None) -> Answer:
        """Bake on, and answer."""
        return self._answer(Verb.RESUME, given)

    @workflow.update(description=PROMOTE)
    def promote(self, given: JsonValue = None) -> Answer:
        """Go on to the next stage, and answer."""
        return self._answer(Verb.PROMOTE, given)

    @workflow.update(description=SKIP)
    def skip(self, given: JsonValue = None) -> Answer:
        """Go past a stage, and answer."""
        return self._answer(Verb.SKIP, given)

    @workflow.update(description=APPROVE)
    def approve(self, given: JsonValue = None) -> Answer:
        """Open the gate, and answer."""
        return self._answer(Verb.APPROVE, given)

    @workflow.update(description=EXTEND)
    async def extend(self, given: JsonValue = None) -> Changed:
        """Bake for longer, and answer."""
        return await self._changed(Verb.EXTEND, given)

    @workflow.update(description=AMEND)
    async def amend(self, given: JsonValue = None) -> Changed:
        """Change the plan, and answer with what differs."""
        return await self._changed(Verb.AMEND, given)

    @workflow.update(description=ROLLBACK)
    def rollback(self, given: JsonValue = None) -> Answer:
        """Return every user to the baseline, and answer."""
        return self._answer(Verb.ROLLBACK, given)

    @pause.validator
    def _may_pause(self, given: JsonValue = None) -> None:
        self._validate(Verb.PAUSE, given)

    @resume.validator
    def _may_resume(self, given: JsonValue = None) -> None:
        self._validate(Verb.RESUME, given)

    @promote.validator
    def _may_promote(self, given: JsonValue = None) -> None:
        self._validate(Verb.PROMOTE, given)

    @skip.validator
    def _may_skip(self, given: JsonValue = None) -> None:
        self._validate(Verb.SKIP, given)

    @approve.validator
    def _may_approve(self, given: JsonValue = None) -> None:
        self._validate(Verb.APPROVE, given)

    @extend.validator
    def _may_extend(self, given: JsonValue = None) -> None:
        self._validate(Verb.EXTEND, given)

    @amend.validator
    def _may_amend(self, given: JsonValue = None) -> None:
        self._validate(Verb.AMEND, given)

    @rollback.validator
    def _may_roll_back(self, given: JsonValue = None) -> None:
        self._validate(Verb.ROLLBACK, given)
