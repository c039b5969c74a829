"""Where a rollout stands: what continue-as-new carries, so new fields need defaults. Pure."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.rollouts import Opened, Promote, Ramp
from domain.duration import spell
from domain.judge import Action, Verdict, unreadable
from domain.plan import RolloutPlan, Stage
from domain.record import Kind, Rollout
from workflows.calendar import Calendar
from workflows.commands import KINDS, Command, Verb
from workflows.notes import Notes
from workflows.phase import Phase as Phase
from workflows.phase import phase_of

GUARD = "guardrails"  # who rolls back when no person does
OUTSIDE = timedelta(days=1)  # how long to wait at most before the first ramp
GROWTH = 1.5  # risk is highest just after a ramp: each wait for a check is half as long again


class State(BaseModel):
    """All that is known of the rollout inside its workflow.

    Attributes:
        stage: Counted from 1; one more than the plan has is the bake after promotion.
        baked: Time this stage has baked before `since`; a pause stops this clock.
        interval: The next wait for a check.
        rollback: Ordered by a person; the loop acts on it at once.
        ending: Set once there is no way back.
    """

    rollout: Rollout | None = None
    search_attributes: bool = False
    phase_attribute: bool = False
    stage: int = 0
    epoch: int = 0
    baked: timedelta = timedelta(0)
    since: datetime | None = None
    interval: timedelta = timedelta(seconds=5)
    next_check_at: datetime | None = None
    checks: int = 0
    verdict: Verdict = Verdict()
    blind_since: datetime | None = None
    pause: Command | None = None
    approval: Command | None = None
    hurry: Command | None = None
    rollback: Command | None = None
    refused: str = ""
    notes: Notes = Notes()
    calendar: Calendar = Calendar()
    ending: Phase | None = None

    @property
    def id(self) -> str:
        """The rollout's id; only once it is open."""
        return self._opened.id

    @property
    def plan(self) -> RolloutPlan:
        """The plan; only once the rollout is open."""
        return self._opened.plan

    @property
    def _opened(self) -> Rollout:
        if self.rollout is None:
            raise ValueError("the rollout is not open yet")
        return self.rollout

    @property
    def final(self) -> bool:
        """Whether the candidate is in production, and watched for the last time."""
        return self.rollout is not None and self.stage > len(self.plan.stages)

    @property
    def step(self) -> Stage:
        """The stage that is baking; the bake after promotion counts as one."""
        if self.final:
            return Stage(percent=100, bake=self.plan.final_bake)
        return self.plan.stages[self.stage - 1]

    @property
    def percent(self) -> float:
        """Return what the present stage says; 0 before the first ramp."""
        return self.step.percent if self.stage else 0.0

    def open(self, opened: Opened, *, now: datetime) -> None:
        """Take in what opening found."""
        self.rollout, self.epoch = opened.rollout, opened.rollout.epoch
        self.calendar.begun = now
        self.search_attributes = opened.search_attributes
        self.phase_attribute = opened.phase_attribute

    def enter(self, stage: int, *, epoch: int, now: datetime) -> None:
        """Start the clock of a stage that was just ramped to."""
        self.stage, self.epoch, self.since, self.baked = stage, epoch, now, timedelta(0)
        self.interval, self.verdict = self.plan.check_min, Verdict()
        self.approval = self.hurry = self.calendar.closed = None
        if self.pause is not None:
            self.since = None

    def ramp_order(self, stage: int) -> Ramp:
        """Return the order to ramp to the stage, in the name of whoever sent it on."""
        sent = self.hurry or self.approval or Command()
        sent_by = {"by": sent.by, "reason": sent.reason}
        return Ramp(rollout_id=self.id, stage=stage, epoch=self.epoch, **sent_by)

    def promote_order(self) -> Promote:
        """Return the order to promote, in the name of whoever sent it on."""
        sent = self.hurry or self.approval or Command()
        return Promote(rollout_id=self.id, epoch=self.epoch, by=sent.by, reason=sent.reason)

    def harmed(self) -> None:
        """Order a rollback because of the latest verdict."""
        self.rollback = Command(reason=self.verdict.reason[:2000], by=GUARD)

    def blind(self, why: str, *, now: datetime) -> Verdict:
        """Return what follows when a check could not be made at all."""
        self.blind_since = self.blind_since or now
        policy = self.plan.policy_at(self.stage)
        return unreadable(why, lasted=now - self.blind_since, policy=policy)

    def elapsed(self, now: datetime) -> timedelta:
        """Return how long the stage has baked, pauses left out."""
        return self.baked + (now - self.since if self.since else timedelta(0))

    def due(self, now: datetime) -> bool:
        """Say whether the bake is over, by time or because a person sent it on."""
        return self.hurry is not None or self.elapsed(now) >= self.step.bake

    def wants_approval(self, now: datetime) -> bool:
        """Say whether only a person's approval is missing: it is the last gate."""
        return self.step.approval and self.approval is None and self._cleared(now)

    def may_go_on(self, now: datetime) -> bool:
        """Say whether the next stage may start."""
        return self.ready(now) and self.calendar.shut(now) is None

    def ready(self, now: datetime) -> bool:
        """Say whether nothing but closed windows may be in the way."""
        return self.pause is None and self._cleared(now) and not self.wants_approval(now)

    def _cleared(self, now: datetime) -> bool:
        """A person who sends a stage on outvotes doubt and the deadline; nobody outvotes harm."""
        sure = self.verdict.action is Action.ADVANCE and not self.overdue(now)
        return self.due(now) and (sure or self.hurry is not None)

    def overdue(self, now: datetime) -> bool:
        """Say whether it is too late to be promoted, but by a person."""
        return not self.final and self.calendar.late(self.plan, now)

    def next_wait(self, now: datetime) -> timedelta:
        """Return how long to wait for the next check: never past anything that ends by then."""
        if not self.stage:
            return self.calendar.sooner(OUTSIDE, self.plan, now=now)
        left = self.step.bake - self.elapsed(now)
        baked = self.pause is None and timedelta(0) < left < self.interval
        return self.calendar.sooner(left if baked else self.interval, self.plan, now=now)

    def waited(self) -> None:
        """Lengthen the next wait, up to the plan's longest."""
        self.interval = min(self.interval * GROWTH, self.plan.check_max)

    def phase(self, now: datetime) -> Phase:
        """Return what the rollout is doing."""
        return phase_of(self, now=now)

    def take(self, verb: Verb, command: Command, *, now: datetime) -> str:
        """Do what was asked, as far as a field can; return the answer for the operator."""
        if verb in KINDS:
            self.notes.say(KINDS[verb], command.by, command.reason)
        if verb is Verb.PAUSE:
            self.baked, self.since, self.pause = self.elapsed(now), None, command
            return "paused: the ramp holds, the guardrails stay on"
        if verb is Verb.RESUME:
            self.pause, self.since = None, now
            left = (self.step.bake - self.baked).total_seconds() if self.stage else 0
            return f"resumed: {spell(timedelta(seconds=max(round(left), 0)))} of the bake are left"
        if verb is Verb.PROMOTE:
            self.hurry = command
            on = "promoted: it goes on after one more check, unless that finds harm"
            return on + self.calendar.but(now)
        if verb is Verb.APPROVE:
            self.approval = command
            on = "approved: it goes on after one more check, unless that finds harm or doubt"
            return on + self.calendar.but(now)
        withdrawn = self.phase(now) is Phase.SCHEDULED
        self.rollback = command
        return "withdrawn: it was not opened, nothing was changed" if withdrawn else "rolling back"

    def refuse(self, verb: Verb, why: str, *, by: str = "") -> str:
        """Keep a refusal of a signal, which nobody could be told, where people look."""
        self.refused = f"{verb} was refused: {why}"
        self.notes.say(Kind.REFUSED, by, self.refused)
        return self.refused
