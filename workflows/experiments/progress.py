"""Where an experiment stands: what its query answers."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.duration import spell
from domain.guardrail import SUCCESS
from domain.trials.findings import ArmReport, Conclusion
from workflows.experiments.phase import Phase
from workflows.experiments.state import State
from workflows.progress import clock


class ExperimentProgress(BaseModel):
    """Every arm, and what the experiment waits for; the answer to the query `progress`.

    Attributes:
        arms: Control first. All of it may be looked at as often as one likes.
        elapsed: How long it has run, pauses left out.
        min_sample: Observations every live arm needs before it ends by itself.
        due_at: Not before it ends by itself; `ends_at` not after, if nothing stops its clock.
        conclusion: Once the tests of its end were asked.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase = Phase.OPENING
    prompt: str = ""
    experiment_id: str = ""
    goal: str = SUCCESS
    end: str = ""
    arms: tuple[ArmReport, ...] = ()
    looks: int = 0
    elapsed: str = "0s"
    min_sample: int = 0
    mismatch: str = ""
    waiting_for: str = "the database to open the experiment"
    next_look_at: datetime | None = None
    due_at: datetime | None = None
    ends_at: datetime | None = None
    conclusion: Conclusion | None = None
    refused: str = ""

    @classmethod
    def of(cls, state: State, *, now: datetime) -> "ExperimentProgress":
        """Read the state."""
        trial = state.trial
        if trial is None:
            return cls()
        plan, ran, running = trial.plan, state.elapsed(now), state.phase() is Phase.RUNNING
        return cls(
            phase=state.phase(),
            prompt=trial.prompt,
            experiment_id=trial.id,
            goal=plan.goal,
            end=plan.end,
            arms=state.report.arms or _unseen(state),
            looks=state.looks,
            elapsed=spell(timedelta(seconds=round(ran.total_seconds()))),
            min_sample=plan.min_sample,
            mismatch=state.report.mismatch,
            waiting_for=_waiting_for(state, now=now),
            next_look_at=None if state.ending else state.next_look_at,
            due_at=now + (plan.min_duration - ran) if running else None,
            ends_at=now + (plan.max_duration - ran) if running else None,
            conclusion=state.conclusion,
            refused=state.refused or state.blind,
        )


def _unseen(state: State) -> tuple[ArmReport, ...]:
    plan = state.plan
    return tuple(
        ArmReport(version=arm, share=share, is_control=arm == plan.baseline)
        for arm, share in plan.shares.items()
    )


def _waiting_for(state: State, *, now: datetime) -> str:
    plan, phase, ran = state.plan, state.phase(), state.elapsed(now)
    if phase is Phase.ROLLING_OUT:
        return f"its rollout, rollout/{state.opened.prompt}"
    if phase is Phase.ENDING:
        return "the database to record its end"
    if state.ending is not None:
        return "nothing: it is over"
    if phase is Phase.PAUSED:
        return f"somebody to resume it: paused by {state.pause}"
    if phase is Phase.WAITING_FOR_DECISION:
        won = f"deploy {state.winner}, which won" if state.winner else "deploy a version"
        return f"a decision: {won}, or conclude and keep {plan.baseline}"
    if ran < plan.min_duration:
        return f"{clock(now + plan.min_duration - ran)}: it runs for {spell(plan.min_duration)}"
    last = clock(now + plan.max_duration - ran)
    if state.report.mismatch:
        return f"the split of users to be right, until {last} at most"
    return f"{plan.min_sample} observations in every arm, until {last} at most"
