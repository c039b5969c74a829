"""What there is to see of a rollout at one moment: Temporal's half and the database's, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from temporalio.client import Client

from control.grounds import Grounding
from control.records import Arm as Arm
from control.records import Records
from control.rollouts import Control, Description
from domain.database import Database
from domain.hindsight.explanation import Grounds
from domain.judge import Verdict
from domain.prompts import Json
from domain.record import Decision, Kind, Rollout, RolloutStatus
from workflows.progress import Progress
from workflows.state import Phase as Phase

GONE_WRONG = ("failed", "terminated", "timed_out")
WITHOUT_TEMPORAL = "what only Temporal knows: it does not answer"
SAID = {  # by the journal's latest line of these kinds
    Kind.RAMPED: Phase.BAKING,
    Kind.RESUMED: Phase.BAKING,
    Kind.APPROVED: Phase.BAKING,
    Kind.PAUSED: Phase.PAUSED,
    Kind.WAITING: Phase.WAITING_FOR_APPROVAL,
    Kind.CLOSED: Phase.WAITING_FOR_WINDOW,
    Kind.PROMOTED: Phase.FINAL_BAKE,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A rollout at one moment.

    Attributes:
        progress: What its workflow says; without a live worker, what was last known.
        rollout: None when its opening was refused.
        grounds: What the latest check of each prompt rested on, the leader's first.
    """

    description: Description
    progress: Progress
    rollout: Rollout | None = None
    arms: tuple[Arm, ...] = ()
    decisions: tuple[Decision, ...] = ()
    grounds: Mapping[str, Grounds] = field(default_factory=dict)
    link: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def prompt(self) -> str:
        """The flag key."""
        return self.progress.prompt or self.description.workflow_id.removeprefix("rollout/")

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.description.closed_at is not None

    @property
    def phase(self) -> str:
        """What it is doing, or how it ended: promoted, rolled_back, failed."""
        if self.description.outcome:
            return self.description.outcome.outcome
        if not self.ended:
            return self.progress.phase
        if self.description.status in GONE_WRONG or self.rollout is None:
            return self.description.status
        return self.rollout.status

    @property
    def promoted(self) -> bool:
        """Whether it ended well."""
        return self.ended and self.phase == Phase.PROMOTED

    @property
    def answers(self) -> bool:
        """Whether a worker is alive to carry it on; moot once it has ended."""
        return self.ended or self.description.progress is not None

    @property
    def reason(self) -> str:
        """Why it stands where it stands."""
        if self.description.failure:
            return self.description.failure
        if self.description.outcome:
            return self.description.outcome.reason
        if self.ended and self.decisions:
            return self.decisions[-1].reason
        return self.progress.verdict.reason

    def to_json(self) -> Json:
        """Return all of it but journal and grounds, as plain JSON."""
        told, outcome = self.description, self.description.outcome
        return self.progress.model_dump(mode="json") | {
            "prompt": self.prompt,
            "phase": self.phase,
            "ended": self.ended,
            "reason": self.reason,
            "by": outcome.by if outcome else "",
            "arms": [
                {"role": a.role, "version": a.version, "events": a.events, "rate": a.rate}
                | ({"prompt": a.prompt} if a.prompt else {})
                for a in self.arms
            ],
            "worker_answers": self.answers,
            "stuck": list(told.stuck),
            "workflow_id": told.workflow_id,
            "run_id": told.run_id,
            "status": told.status,
            "started_at": told.started_at.isoformat(),
            "closed_at": told.closed_at.isoformat() if told.closed_at else None,
            "link": self.link,
        }


class Viewer:
    """Takes pictures; one that takes many of the same rollout reads its evidence once a check."""

    def __init__(self, client: Client, database: Database, *, queue: str, ui: str = "") -> None:
        """Take where to look; `ui` is Temporal's web UI, for links."""
        self._records = Records(database)
        self._control = Control(client, task_queue=queue, leader=self._records.rollouts.leader)
        self._namespace = client.namespace
        self._ui = ui
        self._grounding = Grounding(self._records.rollouts)

    async def look(self, name: str, prompt_type: str) -> Picture:
        """Return the prompt's live rollout, else its latest.

        Raises:
            NoRollout: It never had one.
            Unreachable, Unavailable: Temporal or the database is silent.
        """
        told = await self._control.describe(name, prompt_type)
        rollout = await self._records.of(told, name, prompt_type)
        link = link_to(self._ui, self._namespace, told=told)
        return await _taken(self._records, self._grounding, told, rollout, link=link)


class Archive:
    """Takes pictures of what the database alone says: of what is over, and without Temporal."""

    def __init__(self, database: Database) -> None:
        self._records = Records(database)
        self._grounding = Grounding(self._records.rollouts)

    async def look(self, name: str, prompt_type: str, *, rollout_id: str = "") -> Picture:
        """Return a rollout of the prompt, by default its latest.

        Raises:
            NotFound: There is none.
            Unavailable: The database is silent.
        """
        rollout = await self._records.one(name, prompt_type, rollout_id=rollout_id)
        ended = rollout.concluded_at is not None
        told = Description(
            workflow_id=rollout.workflow_id,
            run_id="",
            status="completed" if ended else "running",
            started_at=rollout.opened_at,
            closed_at=rollout.concluded_at,
            memo={"waiting_for": WITHOUT_TEMPORAL},
        )
        return await _taken(self._records, self._grounding, told, rollout)


async def _taken(
    records: Records,
    grounding: Grounding,
    told: Description,
    rollout: Rollout | None,
    *,
    link: str = "",
) -> Picture:
    members = await records.members(rollout)
    decisions = tuple(await records.journal(rollout))
    return Picture(
        description=told,
        progress=told.progress or _last_known(told, rollout, decisions=decisions),
        rollout=rollout,
        arms=await records.arms(members, ended=told.closed_at is not None),
        decisions=decisions,
        grounds=await grounding.of(members, decisions),
        link=link,
    )


def agreement(decision: Decision) -> tuple[object, ...]:
    """Return what two checks share that say the same; of any other line, all of it."""
    if decision.kind is not Kind.CHECKED:
        return (decision,)
    standings = tuple(reading.standing for reading in decision.readings)
    return (decision.stage, decision.action, standings)


def link_to(ui: str, namespace: str, *, told: Description) -> str:
    """Return the page of the rollout in Temporal's web UI; nothing when no UI is known."""
    where = f"{quote(namespace, safe='')}/workflows/{quote(told.workflow_id, safe='')}"
    return f"{ui.rstrip('/')}/namespaces/{where}/{told.run_id}" if ui else ""


def _last_known(
    told: Description, rollout: Rollout | None, *, decisions: tuple[Decision, ...]
) -> Progress:
    """Piece together what the workflow would say, from its memo and its record."""
    if rollout is None:  # not opened yet, or never
        known = {
            key: told.memo[key] for key in ("phase", "prompt", "waiting_for") if key in told.memo
        }
        return Progress.model_validate(known)
    judged = [decision for decision in decisions if decision.action]
    last = judged[-1] if judged else None
    verdict = Verdict()
    if last and last.action:
        verdict = Verdict(action=last.action, reason=last.reason, readings=last.readings)
    stages = tuple(stage.percent for stage in rollout.plan.stages)
    phase = str(told.memo.get("phase", _recorded(rollout, decisions)))
    final = phase in (Phase.FINAL_BAKE, Phase.PROMOTED)
    return Progress(
        phase=Phase(phase) if phase in list(Phase) else Phase.OPENING,
        prompt=rollout.prompt,
        rollout_id=rollout.id,
        baseline=rollout.baseline,
        candidate=rollout.candidate,
        plan=rollout.plan.name,
        stage=len(stages) + 1 if final else rollout.stage,
        stages=stages,
        percent=rollout.percent,
        bundle=rollout.bundle,
        verdict=verdict,
        checks=len(judged),
        waiting_for="nothing: it is over" if told.closed_at else str(told.memo.get("waiting_for")),
    )


def _recorded(rollout: Rollout, decisions: Sequence[Decision]) -> Phase:
    """Return what the journal says that a rollout does."""
    if rollout.status is not RolloutStatus.LIVE:
        return Phase(rollout.status.value)
    found = Phase.OPENING
    for decision in decisions:
        found = SAID.get(decision.kind, found)
    return found
