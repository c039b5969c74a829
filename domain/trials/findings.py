"""What is seen of a trial while it runs, what it comes to, and why. Pure values.

Workflow histories hold them as JSON, so every new field needs a default.
"""

from datetime import datetime
from enum import StrEnum

from domain.judge import Action, Standing
from domain.trials.contest import ArmResult, Span
from domain.trials.plan import ExperimentPlan
from domain.value import Frozen


class TrialStatus(StrEnum):
    """Where a trial is in its life; all but the first are for good."""

    LIVE = "live"
    DEPLOYED = "deployed"  # a version went to production at once
    HANDED_OVER = "handed_over"  # a rollout brings the version to production, or not
    KEPT = "kept"  # control stays
    STOPPED = "stopped"  # ended before its end: control for everybody, no test


class Step(StrEnum):
    """What a line of a trial's journal tells."""

    OPENED = "opened"
    CHECKED = "checked"
    ARM_STOPPED = "arm_stopped"
    PAUSED = "paused"
    RESUMED = "resumed"
    REFUSED = "refused"  # a message that could not be followed
    CONCLUDED = "concluded"  # the tests of its end were asked
    DEPLOYED = "deployed"
    HANDED_OVER = "handed_over"
    SETTLED = "settled"  # the rollout that took over has ended
    KEPT = "kept"
    STOPPED = "stopped"


class ArmReport(Frozen):
    """One arm as it stands; everything in it may be looked at as often as one likes.

    Attributes:
        share: Of users, 0 to 1.
        n: Observations of the goal; `rate` their mean, None without any.
        interval: Of the rate, None of a number; `difference_interval` of arm minus control.
        action: What its guardrails ask for; `reason` is their sentence.
        log_e: Logarithm of the evidence of harm; the arm is stopped at log(arms / alpha).
    """

    version: str
    is_control: bool = False
    share: float = 0.0
    n: int = 0
    rate: float | None = None
    interval: Span | None = None
    difference: float | None = None
    difference_interval: Span | None = None
    action: Action = Action.HOLD
    standing: Standing = Standing.UNDECIDED
    reason: str = ""
    log_e: float = 0.0
    stopped: bool = False


class Report(Frozen):
    """One look at all arms, control first.

    Attributes:
        mismatch: What is wrong with the split of users; "" when nothing is. While it is wrong, no
            winner is declared.
        enough: Whether every live arm has its `min_sample`.
        log_mismatch: Logarithm of the evidence that the split is wrong.
    """

    number: int = 0
    at: datetime | None = None
    epoch: int = 0
    arms: tuple[ArmReport, ...] = ()
    mismatch: str = ""
    enough: bool = False
    log_mismatch: float = 0.0

    @property
    def harmed(self) -> tuple[ArmReport, ...]:
        """The arms to stop."""
        return tuple(a for a in self.arms if a.action is Action.ROLL_BACK and not a.stopped)

    @property
    def said(self) -> str:
        """All of it in a sentence."""
        if self.mismatch:
            return self.mismatch
        told = [f"{a.version}: {a.reason}" for a in self.arms if not (a.is_control or a.stopped)]
        return "; ".join(told) or "every arm is stopped"

    def without(self, version: str) -> "Report":
        """Return the same with that arm stopped: control has its share."""
        freed = sum(arm.share for arm in self.arms if arm.version == version)
        return self.model_copy(
            update={"arms": tuple(_without(arm, version, freed=freed) for arm in self.arms)}
        )


class Turnout(Frozen):
    """Users of one arm, over all epochs: how many its shares foresaw, and how many came."""

    version: str
    expected: float = 0.0
    seen: int = 0


class Split(Frozen):
    """How users are divided among the arms.

    Attributes:
        log_mismatch: Logarithm of the evidence that it is not as it should be.
        mismatch: What is wrong with it; "" when nothing is.
    """

    arms: tuple[Turnout, ...] = ()
    log_mismatch: float = 0.0
    mismatch: str = ""


class Conclusion(Frozen):
    """What a trial came to; the result of its workflow.

    Attributes:
        winner: The arm, control or not, that beats every other one; None when none does.
        arms: Every arm but control against it; empty when it was stopped before its end.
        early: Whether a person chose the moment: then its p-values hold only if that person did not
            choose it by what had been seen.
        mismatch: Why no winner could be declared; "" when one could.
        ending: How it ended.
        deployed: The version in production because of it; None when control stays.
        why: In one sentence.
    """

    experiment_id: str
    prompt: str
    control: str
    winner: str | None = None
    arms: tuple[ArmResult, ...] = ()
    alpha: float = 0.05
    early: bool = False
    mismatch: str = ""
    stopped: tuple[str, ...] = ()
    ending: TrialStatus = TrialStatus.LIVE
    deployed: str | None = None
    by: str = ""
    why: str = ""

    @property
    def finding(self) -> str:
        """What the tests say, in a sentence."""
        if self.mismatch:
            return f"no winner can be declared: {self.mismatch}"
        if self.winner is None:
            return "no arm beats every other one"
        told = "; ".join(f"{a.version} {_figures(a)}" for a in self.arms if not a.stopped)
        return f"{self.winner} beats every other arm ({told})"


class Trial(Frozen):
    """One experiment that is led to a conclusion.

    Attributes:
        id: Its experiment's.
        epoch: The routing epoch it wrote last; a writer that holds an older one is refused.
        stopped: The arms that were stopped, by version.
        conclusion: Once the tests of its end were asked.
    """

    id: str
    workflow_id: str
    name: str
    prompt_type: str
    plan: ExperimentPlan
    status: TrialStatus
    epoch: int
    stopped: tuple[str, ...] = ()
    conclusion: Conclusion | None = None
    opened_at: datetime
    concluded_at: datetime | None = None
    by: str = ""
    reason: str = ""

    @property
    def prompt(self) -> str:
        """The flag key, `<name>.<prompt_type>`."""
        return f"{self.name}.{self.prompt_type}"


class TrialLine(Frozen):
    """One line of a trial's journal: what was done or seen, by whom, and why."""

    step: Step
    at: datetime
    epoch: int
    by: str = ""
    reason: str
    report: Report | None = None


def _without(arm: ArmReport, version: str, *, freed: float) -> ArmReport:
    if arm.is_control:
        return arm.model_copy(update={"share": arm.share + freed})
    gone = {"stopped": True, "share": 0.0} if arm.version == version else {}
    return arm.model_copy(update=gone)


def _figures(arm: ArmResult) -> str:
    difference = "?" if arm.difference is None else f"{arm.difference:+.4g}"
    if arm.is_rate and arm.difference is not None:
        difference = f"{100 * arm.difference:+.1f} pp"
    return f"{difference} against {arm.control}, p {arm.adjusted_p:.2g}"
