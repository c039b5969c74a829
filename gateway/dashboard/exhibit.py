"""What there is to see of an experiment: the database's half always, Temporal's if it answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from control.experiments import ExperimentDescription, Verb
from domain.duration import spell
from domain.evidence.weighing import MISMATCH_ALPHA
from domain.judge import Standing
from domain.trials.contest import ArmResult
from domain.trials.findings import ArmReport, Report, Split, Step, Trial, TrialLine, TrialStatus
from pictures import album
from pictures.album import Plate

UNKNOWN = "not known while Temporal is silent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A button: what it is called, what it does, and whether a version is chosen."""

    verb: Verb
    does: str
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibit:
    """An experiment at one moment.

    Attributes:
        looks: Its latest lines that tell of looks, oldest first.
        others: The latest experiments of the prompt, this one among them.
        told: What Temporal says, if it is of this one.
        silent: Why Temporal says nothing; "" when it was not asked, or answered.
    """

    trial: Trial
    looks: Sequence[TrialLine]
    split: Split
    decisions: Sequence[TrialLine]
    others: Sequence[Trial]
    told: ExperimentDescription | None = None
    silent: str = ""
    key: str = field(default_factory=lambda: uuid4().hex)

    @property
    def report(self) -> Report:
        """What the latest look saw; a blank one before the first."""
        return album.latest(self.looks) or Report()

    def plates(self) -> list[Plate]:
        """Draw what there is to see; it takes some 20 ms, and the first time half a second."""
        until = datetime.now(UTC) if self.live else None
        return album.of_trial(self.trial, self.looks, until=until)

    @property
    def live(self) -> bool:
        """Whether it still splits users."""
        return self.trial.status is TrialStatus.LIVE

    @property
    def phase(self) -> str:
        """What it is doing or how it ended, by its workflow, else by its journal."""
        if self.told and self.told.progress:
            return self.told.progress.phase
        if not self.live:
            return self.trial.status
        if self.trial.conclusion is not None:
            return "waiting_for_decision"
        steps = [line.step for line in self.decisions if line.step in (Step.PAUSED, Step.RESUMED)]
        return "paused" if steps[-1:] == [Step.PAUSED] else "running"

    @property
    def arms(self) -> tuple[ArmReport, ...]:
        """Every arm as the latest look saw it, control first; what was stopped since is so."""
        plan, report = self.trial.plan, self.report
        if not report.arms:
            return tuple(
                ArmReport(version=arm, share=share, is_control=arm == plan.baseline)
                for arm, share in plan.shares.items()
            )
        for arm in report.arms:
            if arm.version in self.trial.stopped and not arm.stopped:
                report = report.without(arm.version)
        return report.arms

    @property
    def results(self) -> tuple[ArmResult, ...]:
        """Each arm against control, once the tests of the end were asked."""
        return self.trial.conclusion.arms if self.trial.conclusion else ()

    @property
    def winner(self) -> str:
        """The arm that won, control perhaps; "" while none has."""
        found = self.trial.conclusion.winner if self.trial.conclusion else None
        return found or ""

    @property
    def enough(self) -> float:
        """The logarithm of the evidence of harm at which an arm is stopped."""
        return math.log(len(self.trial.plan.treatments) / self.trial.plan.alpha)

    @property
    def wrong(self) -> float:
        """The logarithm of the evidence at which the split of users is called wrong."""
        return -math.log(MISMATCH_ALPHA)

    @property
    def waits_for(self) -> str:
        """One sentence; "" once it is over."""
        if self.told and self.told.progress:
            return self.told.progress.waiting_for
        if not self.live:
            return ""
        return str(self.told.memo.get("waiting_for", UNKNOWN)) if self.told else UNKNOWN

    @property
    def ends(self) -> tuple[datetime, datetime] | None:
        """When it ends by itself, at the earliest and the latest; None if it does not.

        Without its workflow's clock, as if it was never paused.
        """
        if self.told and (shown := self.told.progress):
            return (shown.due_at, shown.ends_at) if shown.due_at and shown.ends_at else None
        if self.phase != "running":
            return None
        plan, began = self.trial.plan, self.trial.opened_at
        return began + plan.min_duration, began + plan.max_duration

    @property
    def ran(self) -> str:
        """How long it has run, pauses left out; "" where only its workflow would know."""
        if self.told and self.told.progress:
            return self.told.progress.elapsed
        if self.trial.concluded_at is None:
            return ""
        return f"{spell(_rounded(self.trial.concluded_at - self.trial.opened_at))} with pauses"

    @property
    def orders(self) -> tuple[Order, ...]:
        """What may be asked of it now; nothing while Temporal is silent."""
        if not self.live or self.told is None or self.told.closed_at is not None:
            return ()
        control, left = self.trial.plan.baseline, self._deployable
        by_stages = "Has a version rolled out as the plan says, and ends."
        at_once = "Gives a version to everybody at once, and ends."
        does = by_stages if self.trial.plan.rollout else at_once
        deploy = Order(verb=Verb.DEPLOY, does=does, versions=left)
        stop = Order(
            verb=Verb.STOP,
            does=f"Gives everybody {control} now and for good, without asking the tests.",
        )
        if self.phase == "waiting_for_decision":
            keep = Order(verb=Verb.CONCLUDE, does=f"Keeps {control} and ends.")
            return (*((deploy,) if left else ()), keep, stop)
        tests = "Asks the tests now. They hold only if the moment is not chosen by what was seen."
        conclude = Order(verb=Verb.CONCLUDE, does=tests)
        clock = Order(verb=Verb.PAUSE, does="Stops its clock; everybody keeps their version.")
        if self.phase == "paused":
            clock = Order(verb=Verb.RESUME, does="Lets its clock run on.")
        return (clock, conclude, *((deploy,) if left else ()), stop)

    @property
    def _deployable(self) -> tuple[str, ...]:
        """The treatments that were not stopped, the winner first."""
        left = [arm for arm in self.trial.plan.treatments if arm not in self.trial.stopped]
        return tuple(sorted(left, key=lambda arm: arm != self.winner))

    def standing(self, arm: ArmReport) -> str:
        """Return in a few words how an arm stands."""
        if arm.stopped:
            return "stopped: it harmed"
        if arm.is_control:
            return "control"
        return {
            Standing.HARMED: "harmed",
            Standing.ERROR: "cannot be judged",
            Standing.UNDECIDED: "not clear yet",
            Standing.NOT_HARMED: "not harmed",
            Standing.SAFE: "safe",
        }[arm.standing]

    def lead(self, arm: ArmReport) -> str:
        """Return whether an arm's goal differs from control's, as its interval has it by now."""
        interval = arm.difference_interval
        if arm.is_control:
            return "control"
        if interval is None or arm.stopped:
            return "–" if arm.stopped else "nothing to compare yet"
        if interval[0] <= 0 <= interval[1]:
            return "no difference is shown"
        higher = interval[0] > 0
        return "better" if higher is self.trial.plan.higher_is_better else "worse"


def is_of(told: ExperimentDescription, trial: Trial) -> bool:
    """Say whether Temporal speaks of this very experiment, not of one before or after it."""
    source = told.progress or told.conclusion
    named = source.experiment_id if source else told.memo.get("experiment_id")
    return named == trial.id


def _rounded(span: timedelta) -> timedelta:
    return timedelta(seconds=round(span.total_seconds()))
