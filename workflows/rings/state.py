"""Where a segmented rollout stands: all that continue-as-new carries.

Pure: no timers, no activities. New fields need defaults, because running rollouts carry the old.
"""

from datetime import datetime

from pydantic import BaseModel

from activities.segments import OpenedRings, Orphan
from domain.plan import RolloutRequest
from domain.segments.plan import OnFailure, Opening, OpenRing
from workflows.commands import Command, Verb
from workflows.memory import Memory
from workflows.rings.report import ENDS, RingPhase, RingReport, RingsPhase


class Sent(BaseModel):
    """A verb on its way to the running ring."""

    verb: Verb
    command: Command


class Rings(BaseModel):
    """All that is known of the segmented rollout inside its workflow.

    Attributes:
        at: Index of the ring whose turn it is; one past the last when all are through.
        running: Its rollout has been started and has not ended.
        ready_at: When the next ring may start.
        outbox: What people said and the running ring has not been told yet.
        ending: Set once no further ring will start.
    """

    opening: Opening | None = None
    search_attributes: bool = False
    reports: list[RingReport] = []
    at: int = 0
    running: bool = False
    ready_at: datetime | None = None
    pause: Command | None = None
    hurry: Command | None = None
    rollback: Command | None = None
    outbox: list[Sent] = []
    memory: Memory = Memory()
    refused: str = ""
    ending: RingsPhase | None = None

    @property
    def opened(self) -> Opening:
        """What opening found; only once it is open."""
        if self.opening is None:
            raise ValueError("the segmented rollout is not open yet")
        return self.opening

    @property
    def ring(self) -> OpenRing:
        """The ring whose turn it is."""
        return self.opened.rings[self.at]

    @property
    def report(self) -> RingReport:
        """What is known of the ring whose turn it is."""
        return self.reports[self.at]

    @property
    def through(self) -> bool:
        """Whether every ring had its turn."""
        return self.at >= len(self.reports)

    @property
    def reverts(self) -> bool:
        """Whether promoted rings return to what they had when one fails."""
        return self.opened.on_failure is OnFailure.ROLL_BACK_ALL

    def open(self, found: OpenedRings) -> None:
        """Take in what opening found."""
        self.opening, self.search_attributes = found.opening, found.search_attributes
        self.reports = [
            RingReport(
                segment=ring.segment,
                prompt=f"{ring.name}.{found.opening.prompt_type}",
                phase=RingPhase.ALREADY if ring.already else RingPhase.WAITING,
            )
            for ring in found.opening.rings
        ]

    def start(self) -> None:
        """Begin the ring's turn."""
        self.running, self.hurry = True, None
        self.tell(self.at, phase=RingPhase.RUNNING)

    def end(self, phase: RingPhase, *, rollout_id: str = "", reason: str = "") -> None:
        """End the ring's turn; what it was not told any more is void."""
        self.running, self.outbox = False, []
        self.tell(self.at, phase=phase, rollout_id=rollout_id, reason=reason)

    def tell(self, index: int, *, phase: RingPhase, rollout_id: str = "", reason: str = "") -> None:
        """Note what has become of a ring."""
        old = self.reports[index]
        told = {"phase": phase, "rollout_id": rollout_id or old.rollout_id, "reason": reason}
        self.reports[index] = old.model_copy(update=told)

    def request(self) -> RolloutRequest:
        """Return the request of the ring's own rollout."""
        found, ring = self.opened, self.ring
        turn = f"ring {self.at + 1} of {len(self.reports)}, {self.report.title}"
        return RolloutRequest(
            name=ring.name,
            prompt_type=found.prompt_type,
            candidate=found.candidate,
            plan=ring.plan,
            by=found.by,
            reason=(f"{turn}: {found.reason}" if found.reason else turn)[:2000],
        )

    def orphan(self, reason: str) -> Orphan:
        """Return the order to roll back what the ring's own rollout left, ended without a word."""
        prompt_type, workflow_id = self.opened.prompt_type, f"rollout/{self.report.prompt}"
        return Orphan(
            name=self.ring.name, prompt_type=prompt_type, workflow_id=workflow_id, reason=reason
        )

    def rest(self, now: datetime) -> None:
        """Pass the turn on; after a promotion the next ring waits for the plan's pause."""
        if self.report.phase is RingPhase.PROMOTED:
            self.ready_at = now + self.opened.pause_between
        self.at += 1

    def may_start(self, now: datetime) -> bool:
        """Say whether the next ring may start."""
        rested = self.ready_at is None or now >= self.ready_at or self.hurry is not None
        return self.pause is None and rested

    def phase(self) -> RingsPhase:
        """Return what the segmented rollout is doing."""
        if self.ending is not None:
            return self.ending
        if self.rollback is not None:
            return RingsPhase.ROLLING_BACK
        if self.pause is not None:
            return RingsPhase.PAUSED
        if self.opening is None:
            return RingsPhase.OPENING
        return RingsPhase.RUNNING if self.running else RingsPhase.BETWEEN_RINGS

    def take(self, verb: Verb, command: Command) -> str:
        """Do what was asked, as far as a field can; return the answer for the operator."""
        if self.running:
            self.outbox.append(Sent(verb=verb, command=command))
        whom = f"told to {self.report.prompt}" if self.running else "no ring is running"
        if verb is Verb.PAUSE:
            self.pause = command
            return f"paused: no further ring starts; {whom}"
        if verb is Verb.RESUME:
            self.pause = None
            return f"resumed; {whom}"
        if verb is Verb.ROLLBACK:
            self.rollback = command
            kept = "return to what they had" if self.opening and self.reverts else "stay"
            return f"rolling back; promoted rings {kept}; {whom}"
        if verb is Verb.PROMOTE and not self.running:
            self.hurry = command
            return "promoted: the next ring starts now"
        return f"{whom}: see its journal for what it made of it"

    def cancel(self) -> None:
        """Order a rollback, unless a person has already."""
        if not self.rollback:
            self.take(Verb.ROLLBACK, Command(reason="cancelled"))

    def refusal(self, verb: Verb) -> str:
        """Return why `verb` cannot be followed now; empty when it can."""
        phase = self.phase()
        if phase in ENDS or self.rollback is not None:
            return f"it is {phase} already"
        if verb is Verb.PAUSE and self.pause:
            return f"it is paused already by {self.pause}"
        if verb is Verb.RESUME and not self.pause:
            return f"it is not paused: it is {phase}"
        if verb is Verb.PROMOTE and self.pause:
            return f"it is paused by {self.pause}; resume it first"
        if verb is Verb.APPROVE and not self.running:
            return f"no ring is running: it is {phase}"
        return ""
