"""Where a rollout stands and how it ended: what queries answer and workflows return."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.duration import spell
from domain.instants import clock as clock
from domain.judge import Verdict
from domain.record import Member
from workflows.commands import Command
from workflows.state import Phase, State

OVER = "nothing: it is over"


class Progress(BaseModel):
    """Where a rollout stands, in words and numbers; the answer to the query `progress`.

    Attributes:
        stage: Counted from 1; one more than `stages` is the bake after promotion.
        bundle: All prompts that are rolled out as one, the leader first; empty of one alone.
        waiting_for: One sentence: what it waits for, and until when.
        due_at: When the bake ends, if nothing stops its clock.
        closed: Why nothing may advance, whatever the guardrails say; empty when it may.
        deadline: By when it has to be promoted.
        asked: Who started it, and why.
        ordered: Who ordered its rollback, and why; empty while nobody has.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase = Phase.OPENING
    prompt: str = ""
    rollout_id: str = ""
    baseline: str = ""
    candidate: str = ""
    plan: str = ""
    stage: int = 0
    stages: tuple[float, ...] = ()
    percent: float = 0.0
    bundle: tuple[Member, ...] = ()
    verdict: Verdict = Verdict()
    checks: int = 0
    waiting_for: str = "the database to open the rollout"
    next_check_at: datetime | None = None
    due_at: datetime | None = None
    refused: str = ""
    closed: str = ""
    deadline: datetime | None = None
    asked: str = ""
    ordered: str = ""

    @property
    def companions(self) -> tuple[Member, ...]:
        """Who goes along."""
        return tuple(each for each in self.bundle if each.rollout_id != self.rollout_id)

    @property
    def change(self) -> str:
        """What replaces what: `1.0.0 → 1.1.0`, and of a bundle the rest of it."""
        along = (str(each) for each in self.companions)
        return " + ".join([f"{self.baseline} → {self.candidate}", *along])

    @classmethod
    def of(cls, state: State, *, now: datetime) -> "Progress":
        """Read the state."""
        rollout = state.rollout
        if rollout is None:
            return cls._unopened(state, now=now)
        left = state.step.bake - state.elapsed(now) if state.stage else None
        due = now + left if left is not None and state.since and not state.due(now) else None
        phase = state.phase(now)
        return cls(
            phase=phase,
            prompt=rollout.prompt,
            rollout_id=rollout.id,
            baseline=rollout.baseline,
            candidate=rollout.candidate,
            plan=rollout.plan.name,
            stage=state.stage,
            stages=tuple(stage.percent for stage in rollout.plan.stages),
            percent=0.0 if phase is Phase.ROLLED_BACK else state.percent,
            bundle=rollout.bundle,
            verdict=state.verdict,
            checks=state.checks,
            waiting_for=_waiting_for(state, now=now, due=due),
            next_check_at=None if state.ending else state.next_check_at,
            due_at=None if state.ending else due,
            refused=state.refused,
            closed=str(state.calendar.shut(now) or "") if state.ending is None else "",
            deadline=state.calendar.deadline(rollout.plan) if not state.final else None,
            asked=str(Command(by=rollout.by[:200], reason=rollout.reason[:2000])),
            ordered=str(state.rollback or ""),
        )

    @classmethod
    def _unopened(cls, state: State, *, now: datetime) -> "Progress":
        """Say what is known before the rollout is open: of an appointment, what was agreed on."""
        agreed = state.calendar.appointment
        if agreed is None:
            return cls()
        phase = state.phase(now)
        waits = {Phase.SCHEDULED: str(state.calendar), Phase.OPENING: cls().waiting_for}
        return cls(
            phase=phase,
            waiting_for=waits.get(phase, OVER),
            **agreed.model_dump(include={"prompt", "baseline", "candidate", "plan", "stages"}),
        )


class Outcome(BaseModel):
    """How a rollout ended, and why; the result of its workflow."""

    model_config = ConfigDict(frozen=True)

    rollout_id: str
    prompt: str
    outcome: Phase
    baseline: str
    candidate: str
    reason: str
    by: str = ""

    @classmethod
    def of(cls, state: State, command: Command) -> "Outcome":
        """Read the state at its end."""
        found = state.rollout or state.calendar.appointment
        if found is None or state.ending is None:
            raise ValueError("the rollout has not ended")
        return cls(
            rollout_id=state.rollout.id if state.rollout else "",
            prompt=found.prompt,
            outcome=state.ending,
            baseline=found.baseline,
            candidate=found.candidate,
            reason=command.reason,
            by=command.by,
        )


def _waiting_for(state: State, *, now: datetime, due: datetime | None) -> str:
    phase = state.phase(now)
    name = "the bake after promotion" if state.final else f"stage {state.stage}"
    if state.ending is not None:
        return {
            Phase.ROLLING_BACK: "the database to confirm the rollback",
            Phase.ROLLBACK_INCOMPLETE: "the rollback to be complete; it is tried again and again",
        }.get(phase, OVER)
    if phase is Phase.PAUSED:
        return f"somebody to resume it: paused by {state.pause}"
    if phase is Phase.WAITING_FOR_APPROVAL:
        return f"an approval of {name}; it has baked and the guardrails agree"
    if phase is Phase.WAITING_FOR_WINDOW:
        return f"its windows to open: {state.calendar.shut(now)}"
    if phase is Phase.RAMPING:
        return "the first ramp"
    if state.overdue(now):
        return "somebody to promote it or roll it back: its deadline has passed"
    return _to_agree(state, name, due=due) + state.calendar.but(now)


def _to_agree(state: State, name: str, *, due: datetime | None) -> str:
    if due is not None:
        return f"{name} to bake until {clock(due)}, then for the guardrails to agree"
    return f"the guardrails to agree; {name} has baked its {spell(state.step.bake)}"


def stage_of(progress: Progress) -> str:
    """Return `2 of 3: 10 % → [50 %] → 100 %`, and what comes after the last."""
    steps = [f"{percent:g} %" for percent in progress.stages]
    if progress.stage > len(steps):
        return f"promoted: {' → '.join(steps)} → [watching]"
    if progress.stage:
        steps[progress.stage - 1] = f"[{steps[progress.stage - 1]}]"
    return f"{progress.stage} of {len(steps)}: {' → '.join(steps)}"
