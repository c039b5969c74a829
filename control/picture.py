"""What there is to see of a rollout at one moment: Temporal's half and the database's, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from temporalio.client import Client

from control.grounds import Grounding
from control.rollouts import Control, Description
from domain.database import Database
from domain.hindsight.explanation import Grounds
from domain.judge import Verdict
from domain.metrics import MetricsCollector
from domain.prompts import Json
from domain.record import Decision, Rollout
from domain.rollouts import RolloutManager
from domain.routing import RoutingManager
from workflows.progress import Progress
from workflows.state import Phase

JOURNAL_LINES = 1000
GONE_WRONG = ("failed", "terminated", "timed_out")


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one version did: in the present stage, or in all of a rollout that has ended."""

    role: str
    version: str
    events: int
    rate: float
    prompt: str = ""  # of a bundle's


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
        self._rollouts = RolloutManager(database)
        self._control = Control(client, task_queue=queue, leader=self._rollouts.leader)
        self._namespace = client.namespace
        self._ui = ui
        self._routing = RoutingManager(database)
        self._metrics = MetricsCollector(database)
        self._grounding = Grounding(self._rollouts)

    async def look(self, name: str, prompt_type: str) -> Picture:
        """Return the prompt's live rollout, else its latest.

        Raises:
            NoRollout: It never had one.
            Unreachable, Unavailable: Temporal or the database is silent.
        """
        told = await self._control.describe(name, prompt_type)
        rollout = await self._record(told, name, prompt_type)
        members = await self._members(rollout)
        decisions: tuple[Decision, ...] = ()
        if rollout is not None:
            decisions = tuple(await self._rollouts.decisions(rollout.id, limit=JOURNAL_LINES))
        return Picture(
            description=told,
            progress=told.progress or _last_known(told, rollout, decisions=decisions),
            rollout=rollout,
            arms=await self._every_arm(members, ended=told.closed_at is not None),
            decisions=decisions,
            grounds=await self._grounding.of(members, decisions),
            link=link_to(self._ui, self._namespace, told=told),
        )

    async def _record(self, told: Description, name: str, prompt_type: str) -> Rollout | None:
        """Find the record of just this rollout, not of one before it; of a bundle the leader's."""
        source = told.progress or told.outcome
        wanted = source.rollout_id if source else ""
        for found in await self._rollouts.list(name, prompt_type, limit=10):
            leader = found.bundle_id or found.id
            if leader == wanted if wanted else _is_of(found, told):
                return found if leader == found.id else await self._rollouts.get(leader)
        return None

    async def _members(self, rollout: Rollout | None) -> Sequence[Rollout]:
        """Return the rollout, and who goes along with it."""
        if rollout is None:
            return ()
        along = [await self._rollouts.get(each.rollout_id) for each in rollout.companions]
        return (rollout, *along)

    async def _every_arm(self, members: Sequence[Rollout], *, ended: bool) -> tuple[Arm, ...]:
        found = [await self._arms(each, ended=ended) for each in members]
        return tuple(arm for arms in found for arm in arms)

    async def _arms(self, rollout: Rollout, *, ended: bool) -> tuple[Arm, ...]:
        named = (
            ("candidate", rollout.candidate, rollout.candidate_id),
            ("baseline", rollout.baseline, rollout.baseline_id),
        )
        ids = [version_id for _, _, version_id in named]
        if ended:
            whole = await self._metrics.get_experiment_metrics(rollout.experiment_id, ids)
            seen = {key: (m.total_uses, m.success_rate) for key, m in whole.items()}
        else:
            routed = await self._routing.snapshot(rollout.name, rollout.prompt_type)
            epoch = routed.allocated if routed and routed.allocated is not None else rollout.epoch
            seen = {key: await self._counted(rollout, key, epoch=epoch) for key in ids}
        return tuple(
            Arm(
                role=role,
                version=version,
                events=seen[key][0],
                rate=seen[key][1],
                prompt=rollout.prompt if rollout.bundle else "",
            )
            for role, version, key in named
        )

    async def _counted(self, rollout: Rollout, version_id: str, *, epoch: int) -> tuple[int, float]:
        cell = await self._metrics.read_cell(
            version_id, experiment_id=rollout.experiment_id, epoch=epoch
        )
        return cell.n, cell.mean


def link_to(ui: str, namespace: str, *, told: Description) -> str:
    """Return the page of the rollout in Temporal's web UI; nothing when no UI is known."""
    where = f"{quote(namespace, safe='')}/workflows/{quote(told.workflow_id, safe='')}"
    return f"{ui.rstrip('/')}/namespaces/{where}/{told.run_id}" if ui else ""


def _is_of(found: Rollout, told: Description) -> bool:
    """Say whether a record belongs to a workflow that does not name its record."""
    if found.workflow_id != told.workflow_id or told.status == "failed":
        return False
    if found.concluded_at is None:
        return told.closed_at is None or found.opened_at <= told.closed_at
    return told.closed_at is not None and told.started_at <= found.concluded_at


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
    phase = str(told.memo.get("phase", Phase.OPENING))
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
