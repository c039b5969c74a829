"""Where an experiment stands: all that continue-as-new carries.

Pure: no timers, no activities. New fields need defaults, because running experiments carry the old.
"""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.trials import OpenedTrial, Remark, StopArm
from domain.duration import spell
from domain.record import Kind
from domain.trials.findings import ArmReport, Conclusion, Report, Step, Trial, TrialStatus
from domain.trials.plan import EndPolicy, ExperimentPlan
from workflows.experiments.commands import Choice, Verb
from workflows.experiments.phase import Phase
from workflows.memory import Memory
from workflows.notes import Notes
from workflows.state import GROWTH

PLAN = "plan"  # who decides when no person does


class State(BaseModel):
    """All that is known of the experiment inside its workflow.

    Attributes:
        epoch: The routing epoch it wrote last.
        ran: Time it has run before `since`; a pause stops this clock.
        interval: The next wait for a look.
        hurry: A person ends it now; `choice` is a person's word on what follows.
        stop: Ordered by a person; the loop acts on it at once.
        conclusion: Once the tests of its end were asked.
        ending: Set once there is no way back.
        blind: Why the latest look failed; "" when it did not.
    """

    trial: Trial | None = None
    search_attributes: bool = False
    epoch: int = 0
    ran: timedelta = timedelta(0)
    since: datetime | None = None
    interval: timedelta = timedelta(seconds=10)
    next_look_at: datetime | None = None
    looks: int = 0
    report: Report = Report()
    pause: Choice | None = None
    hurry: Choice | None = None
    choice: Choice | None = None
    stop: Choice | None = None
    conclusion: Conclusion | None = None
    refused: str = ""
    blind: str = ""
    notes: Notes = Notes()
    memory: Memory = Memory()
    ending: Phase | None = None

    @property
    def id(self) -> str:
        """The trial's id; only once it is open."""
        return self.opened.id

    @property
    def plan(self) -> ExperimentPlan:
        """The plan; only once it is open."""
        return self.opened.plan

    @property
    def opened(self) -> Trial:
        """The trial; only once it is open."""
        if self.trial is None:
            raise ValueError("the experiment is not open yet")
        return self.trial

    @property
    def treatments(self) -> tuple[str, ...]:
        """The arms that may still win."""
        return tuple(arm for arm in self.plan.treatments if arm not in self.opened.stopped)

    @property
    def winner(self) -> str:
        """The treatment that won and may be deployed; "" when none did."""
        found = self.conclusion.winner if self.conclusion else None
        return found if found in self.treatments else ""

    def open(self, opened: OpenedTrial, *, now: datetime) -> None:
        """Take in what opening found, and start the clock."""
        self.trial, self.epoch = opened.trial, opened.trial.epoch
        self.search_attributes = opened.search_attributes
        self.interval, self.since = self.plan.check_min, None if self.pause else now

    def stop_order(self, arm: ArmReport) -> StopArm:
        """Return the order to stop a harmed arm."""
        return StopArm(trial_id=self.id, arm=arm.version, epoch=self.epoch, reason=arm.reason)

    def without(self, arm: str, *, epoch: int) -> None:
        """Take in that an arm was stopped; the next looks are close together again."""
        self.trial = self.opened.model_copy(update={"stopped": (*self.opened.stopped, arm)})
        self.report, self.epoch = self.report.without(arm), epoch
        self.interval = self.plan.check_min

    def remark(self) -> Remark:
        """Return the order to write the first note."""
        said, key = self.notes.lines[0], f"message:{self.notes.written + 1}"
        step = Step(said.kind.value)
        return Remark(trial_id=self.id, key=key, step=step, by=said.by, reason=said.reason)

    def elapsed(self, now: datetime) -> timedelta:
        """Return how long it has run, pauses left out."""
        return self.ran + (now - self.since if self.since else timedelta(0))

    def is_over(self, now: datetime) -> bool:
        """Say whether it ends by its plan: a rule on time and counts, never on outcomes.

        A wrong split of users keeps it from ending before its longest duration.
        """
        ran, seen = self.elapsed(now), self.report
        if self.pause is not None or ran < self.plan.min_duration:
            return False
        ready = seen.enough and not seen.mismatch and not self.blind
        return ready or ran >= self.plan.max_duration

    def next_wait(self, now: datetime) -> timedelta:
        """Return how long to wait for the next look: never past a duration of the plan."""
        ran = self.elapsed(now)
        if self.since is not None and self.conclusion is None:
            for mark in (self.plan.min_duration, self.plan.max_duration):
                if timedelta(0) < mark - ran < self.interval:
                    return mark - ran
        return self.interval

    def waited(self) -> None:
        """Lengthen the next wait, up to the plan's longest."""
        self.interval = min(self.interval * GROWTH, self.plan.check_max)

    def phase(self) -> Phase:
        """Return what the experiment is doing."""
        if self.ending is not None:
            return self.ending
        if self.trial is None:
            return Phase.OPENING
        if self.conclusion is not None:
            return Phase.WAITING_FOR_DECISION
        return Phase.PAUSED if self.pause else Phase.RUNNING

    def verdict(self) -> Choice | None:
        """Return what follows once it is concluded; None while a person has to say.

        No version means that control stays.
        """
        if self.choice is not None or self.conclusion is None:
            return self.choice
        if not self.treatments:
            return Choice(by=PLAN, reason="every treatment was stopped")
        if self.plan.end is EndPolicy.ASK:
            return None
        version = "" if self.plan.end is EndPolicy.KEEP else self.winner
        return Choice(by=PLAN, reason=self.conclusion.finding[:2000], version=version)

    def end(self, conclusion: Conclusion) -> None:
        """Take in how it ended."""
        self.conclusion, self.ending = conclusion, Phase.STOPPED
        if conclusion.ending is TrialStatus.HANDED_OVER:
            self.ending = Phase.DEPLOYED if conclusion.deployed else Phase.ROLLED_BACK
        elif conclusion.ending is not TrialStatus.LIVE:
            self.ending = Phase(conclusion.ending.value)

    def take(self, verb: Verb, choice: Choice, *, now: datetime) -> str:
        """Do what was asked, as far as a field can; return the answer for the operator."""
        if verb is Verb.PAUSE:
            self.ran, self.since, self.pause = self.elapsed(now), None, choice
            self.notes.say(Kind.PAUSED, choice.by, choice.reason)
            return "paused: its clock stands, everybody keeps their version, the guardrails stay on"
        if verb is Verb.RESUME:
            self.pause, self.since = None, now
            self.notes.say(Kind.RESUMED, choice.by, choice.reason)
            ran = timedelta(seconds=round(self.ran.total_seconds()))
            return f"resumed: it has run for {spell(ran)}"
        if verb is Verb.STOP:
            self.stop = choice
            return "stopping: everybody gets control"
        return self._decide(verb, choice)

    def _decide(self, verb: Verb, choice: Choice) -> str:
        version = choice.version or (self.winner if verb is Verb.DEPLOY else "")
        if self.conclusion is None:
            self.hurry = choice
            if not version:
                return "concluding: the tests are asked now"
        kept = version in ("", self.plan.baseline)
        self.choice = choice.model_copy(update={"version": "" if kept else version})
        return "control stays" if kept else f"{version} is to be deployed, unless harm is found"

    def refuse(self, verb: Verb, why: str, *, by: str = "") -> str:
        """Keep a refusal of a signal, which nobody could be told, where people look."""
        self.refused = f"{verb} was refused: {why}"
        self.notes.say(Kind.REFUSED, by, self.refused)
        return self.refused
