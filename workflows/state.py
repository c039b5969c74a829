"""Where a rollout stands: what continue-as-new carries, so new fields need defaults. Pure."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.rollouts import Opened
from domain.judge import Action, Standing, Verdict, unreadable
from domain.plan import RolloutPlan, Stage
from domain.record import Kind, Rollout
from workflows.calendar import Calendar
from workflows.commands import Command, Verb
from workflows.notes import Notes
from workflows.phase import Phase as Phase
from workflows.phase import phase_of
from workflows.requests import Requests

GUARD = "guardrails"  # who rolls back when no person does
OUTSIDE = timedelta(days=1)  # how long to wait at most before the first ramp
FULLY = 1_000  # a target beyond the last stage of any plan: production
GROWTH = 1.5  # risk is highest just after a ramp: each wait for a check is half as long again


class State(BaseModel):
    """All that is known of the rollout inside its workflow.

    Attributes:
        stage: Counted from 1; one more than the plan has is the bake after promotion.
        baked: Time this stage has baked before `since`; a pause stops this clock.
        interval: The next wait for a check.
        fired: Guardrails that any check read as harmed, those that only hold included.
        target: The stage that a person sent it on to; 0 is the next one.
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
    fired: tuple[str, ...] = ()
    blind_since: datetime | None = None
    pause: Command | None = None
    approval: Command | None = None
    hurry: Command | None = None
    target: int = 0
    rollback: Command | None = None
    refused: str = ""
    notes: Notes = Notes()
    calendar: Calendar = Calendar()
    requests: Requests = Requests()
    ending: Phase | None = None

    @property
    def id(self) -> str:
        """The rollout's id; only once it is open."""
        return self.opened.id

    @property
    def plan(self) -> RolloutPlan:
        """The plan; only once the rollout is open."""
        return self.opened.plan

    @property
    def opened(self) -> Rollout:
        """The rollout; only once it is open."""
        if self.rollout is None:
            raise ValueError("the rollout is not open yet")
        return self.rollout

    @property
    def final(self) -> bool:
        """Whether the candidate is in production, and watched for the last time."""
        return self.rollout is not None and self.stage > len(self.plan.stages)

    @property
    def is_over(self) -> bool:
        """Whether it ends, or is about to: nothing but the rollback is carried out any more."""
        return self.ending is not None or self.rollback is not None

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
        self.approval = self.calendar.closed = None
        if stage >= self.target or self.final:
            self.hurry, self.target = None, 0
        if self.pause is not None:
            self.since = None

    def next_stage(self) -> int:
        """Return where it goes on to; past the last stage, into production."""
        following, last = self.stage + 1, len(self.plan.stages)
        return following if following > last else min(max(following, self.target), last)

    def follow(self, plan: RolloutPlan) -> None:
        """Go on by another plan."""
        self.rollout = self.opened.model_copy(update={"plan": plan})
        self.interval = min(max(self.interval, plan.check_min), plan.check_max)

    def judged(self, verdict: Verdict) -> None:
        """Take in a verdict; one of harm orders a rollback."""
        found = (one.guardrail for one in verdict.readings if one.standing is Standing.HARMED)
        self.verdict, self.fired = verdict, tuple(dict.fromkeys((*self.fired, *found)))
        if verdict.action is Action.ROLL_BACK:
            self.rollback = Command(reason=verdict.reason[:2000], by=GUARD)

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
        return self.ready(now) and not self.requests.wishes and self.calendar.shut(now) is None

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

    def refuse(self, verb: Verb, why: str, *, by: str = "") -> str:
        """Keep a refusal of a signal, which nobody could be told, where people look."""
        self.refused = f"{verb} was refused: {why}"
        self.notes.say(Kind.REFUSED, by, self.refused)
        return self.refused
