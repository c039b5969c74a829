"""Records: the database's half of a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from control.description import Description
from domain.database import Database
from domain.errors import NotFound
from domain.metrics import MetricsCollector
from domain.record import Decision, Rollout
from domain.rollouts import RolloutManager
from domain.routing import RoutingManager

JOURNAL_LINES = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """What one version did: in the present stage, or in all of a rollout that has ended."""

    role: str
    version: str
    events: int
    rate: float
    prompt: str = ""  # of a bundle's


class Records:
    """Finds what is recorded of rollouts."""

    def __init__(self, database: Database) -> None:
        self.rollouts = RolloutManager(database)
        self._routing = RoutingManager(database)
        self._metrics = MetricsCollector(database)

    async def of(self, told: Description, name: str, prompt_type: str) -> Rollout | None:
        """Find the record of just this rollout, not of one before it; of a bundle the leader's."""
        source = told.progress or told.outcome
        wanted = source.rollout_id if source else ""
        for found in await self.rollouts.list(name, prompt_type, limit=10):
            leader = found.bundle_id or found.id
            if leader == wanted if wanted else _is_of(found, told):
                return found if leader == found.id else await self.rollouts.get(leader)
        return None

    async def one(self, name: str, prompt_type: str, *, rollout_id: str = "") -> Rollout:
        """Find a rollout that the prompt takes part in, by default its latest; its bundle's leader.

        Raises:
            NotFound: There is none.
        """
        prompt = f"{name}.{prompt_type}"
        if rollout_id:
            found = await self.rollouts.get(rollout_id)
            if prompt not in (found.prompt, *(each.prompt for each in found.bundle)):
                raise NotFound(
                    f"rollout {rollout_id!r} is none of {prompt}, it is of {found.prompt}"
                )
        else:
            latest = await self.rollouts.list(name, prompt_type, limit=1)
            if not latest:
                raise NotFound(f"no rollout of {prompt} is known")
            found = latest[0]
        leader = found.bundle_id or found.id
        return found if leader == found.id else await self.rollouts.get(leader)

    async def journal(self, rollout: Rollout | None) -> Sequence[Decision]:
        """Return the latest lines of a rollout's journal, oldest first."""
        if rollout is None:
            return ()
        return await self.rollouts.decisions(rollout.id, limit=JOURNAL_LINES)

    async def members(self, rollout: Rollout | None) -> Sequence[Rollout]:
        """Return the rollout, and who goes along with it."""
        if rollout is None:
            return ()
        along = [await self.rollouts.get(each.rollout_id) for each in rollout.companions]
        return (rollout, *along)

    async def arms(self, members: Sequence[Rollout], *, ended: bool) -> tuple[Arm, ...]:
        """Return the arms of all of them."""
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


def _is_of(found: Rollout, told: Description) -> bool:
    """Say whether a record belongs to a workflow that does not name its record."""
    if found.workflow_id != told.workflow_id or told.status == "failed":
        return False
    if found.concluded_at is None:
        return told.closed_at is None or found.opened_at <= told.closed_at
    return told.closed_at is not None and told.started_at <= found.concluded_at
