"""What is recorded of a rollout: where it stands, what was before it, and why it was decided so.

Pure values; workflow histories hold them as JSON, so every new field needs a default.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from domain.bundles.verdicts import parted
from domain.judge import Action, Reading
from domain.plan import RolloutPlan
from domain.value import Frozen


class RolloutStatus(StrEnum):
    """Where a rollout is in its life; the last two are for good.

    Rolling back: users are on the baseline, the rest is being restored. It counts as rolled back
    once it was read back; what is found otherwise then is incomplete.
    """

    LIVE = "live"
    ROLLING_BACK = "rolling_back"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


class Kind(StrEnum):
    """What a line of the journal tells."""

    OPENED = "opened"
    RAMPED = "ramped"
    CHECKED = "checked"
    PAUSED = "paused"
    RESUMED = "resumed"
    WAITING = "waiting_for_approval"
    APPROVED = "approved"
    HURRIED = "hurried"  # a person sent it on before its bake was over
    SKIPPED = "skipped"  # a person sent it past a stage
    EXTENDED = "extended"  # a person gave the stage, or the final bake, more time
    AMENDED = "amended"  # a person changed the plan
    REFUSED = "refused"  # a message that could not be followed
    CLOSED = "closed"  # all was done but for closed windows
    PROMOTED = "promoted"
    COMPLETED = "completed"
    ROLLING_BACK = "rolling_back"  # users are on the baseline again
    ROLLBACK_INCOMPLETE = "rollback_incomplete"  # read back, and something differs
    ROLLED_BACK = "rolled_back"  # read back, and all is as before
    RECONCILED = "reconciled"  # its workflow is gone


class Routed(Frozen):
    """What an experiment that a prompt is routed to serves; `epoch` is of its allocation."""

    status: str
    salt: int
    epoch: int


class Before(Frozen):
    """What a rollback restores and reads back, besides the baseline in production.

    `experiment_id` is the one the prompt was routed to, if any; `routed` is what it served.
    """

    baseline_status: str
    candidate_status: str
    experiment_id: str | None = None
    routed: Routed | None = None


class Proof(Frozen):
    """What was found when a rollback was read back.

    Attributes:
        missing: One sentence for everything that is not as before; empty: it is complete.
        by: Who began it, and for what reason, as the journal has it.
    """

    missing: tuple[str, ...] = ()
    by: str = ""
    reason: str = ""


class Member(Frozen):
    """One prompt of a bundle, and what is to replace what on it."""

    rollout_id: str
    prompt: str
    baseline: str
    candidate: str

    def __str__(self) -> str:
        """Say it as all our pages do."""
        return f"{self.prompt} {self.baseline} → {self.candidate}"


class Rollout(Frozen):
    """One attempt to replace a prompt's production version.

    Attributes:
        baseline: The version in production when it opened, `x.y.z`; `baseline_id` its id.
        epoch: The routing epoch it wrote last; a writer that holds an older one is refused.
        stage: Counted from 1; 0 before the first ramp.
        percent: What the stage says; while the last stage is watched, a holdback is kept from it.
        bundle_id: The rollout that leads the bundle, this one perhaps; None when it is alone.
        bundle: All that stand and fall together, the leader first; empty when it is alone.
    """

    id: str
    workflow_id: str
    name: str
    prompt_type: str
    baseline: str
    baseline_id: str
    candidate: str
    candidate_id: str
    experiment_id: str
    plan: RolloutPlan
    before: Before
    status: RolloutStatus
    epoch: int
    stage: int = 0
    percent: float = 0.0
    opened_at: datetime
    concluded_at: datetime | None = None
    by: str = ""
    reason: str = ""
    bundle_id: str | None = None
    bundle: tuple[Member, ...] = ()

    @property
    def prompt(self) -> str:
        """The flag key, `<name>.<prompt_type>`."""
        return f"{self.name}.{self.prompt_type}"

    @property
    def companions(self) -> tuple[Member, ...]:
        """Whoever else is in the bundle."""
        return tuple(each for each in self.bundle if each.rollout_id != self.id)

    def judging(self, plan: RolloutPlan) -> RolloutPlan:
        """Return a plan, its own or another, as this prompt is judged by it: by a part of alpha."""
        return parted(plan, among=max(1, len(self.bundle)))


class Decision(Frozen):
    """One line of a rollout's journal: what was done or judged, on what, by whom, and why.

    Attributes:
        details: Of a change to the plan: `before`, `after`, `diff`; None of other lines.
    """

    kind: Kind
    at: datetime
    stage: int
    percent: float
    epoch: int
    action: Action | None = None
    readings: tuple[Reading, ...] = ()
    by: str = ""
    reason: str
    details: dict[str, JsonValue] | None = None
