"""What a prompt serves, put together from its rows."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.assignment import CONTROL
from domain.prompts import ExperimentStatus
from domain.snapshot import SPLITTING, RoutingSnapshot, Served
from domain.tables import AllocationRow, ExperimentRow, RoutingRow, TagRow, VersionRow

PRODUCTION_TAG = "production"


async def compose(session: AsyncSession, routing: RoutingRow) -> RoutingSnapshot:
    """Return the snapshot of a prompt as this transaction sees it."""
    experiment = await session.get(ExperimentRow, routing.experiment_id or "")
    ids = await _version_ids(session, routing, experiment=experiment)
    served = tuple(Served(version_id=ids.get(v), version=v) for v in _versions(experiment))
    snapshot = RoutingSnapshot(
        name=routing.name,
        prompt_type=routing.prompt_type,
        epoch=routing.epoch,
        variants=served,
        default=await _production(session, routing) or _left_by(experiment, served),
    )
    if experiment is None:
        return snapshot
    allocation = await session.get_one(AllocationRow, (experiment.id, experiment.epoch))
    split = {
        "experiment_id": experiment.id,
        "status": experiment.status,
        "allocated": experiment.epoch,
        "salt": experiment.salt,
        "starts": allocation.starts,
        "arms": allocation.arms,
    }
    return RoutingSnapshot.model_validate(dict(snapshot) | split)


def _versions(experiment: ExperimentRow | None) -> list[str]:
    return [variant["version"] for variant in experiment.variants] if experiment else []


async def _version_ids(
    session: AsyncSession, routing: RoutingRow, *, experiment: ExperimentRow | None
) -> dict[str, str]:
    query = select(VersionRow.version, VersionRow.id).where(
        VersionRow.name == routing.name,
        VersionRow.prompt_type == routing.prompt_type,
        col(VersionRow.version).in_(_versions(experiment)),
    )
    return dict((await session.exec(query)).all())


async def _production(session: AsyncSession, routing: RoutingRow) -> Served | None:
    query = (
        select(VersionRow.id, VersionRow.version)
        .join(TagRow)
        .where(
            TagRow.name == routing.name,
            TagRow.prompt_type == routing.prompt_type,
            TagRow.tag == PRODUCTION_TAG,
        )
    )
    found = (await session.exec(query)).first()
    return Served(version_id=found[0], version=found[1]) if found else None


def _left_by(experiment: ExperimentRow | None, served: Sequence[Served]) -> Served | None:
    """Return what an ended experiment leaves behind: its winner if it has one, else control."""
    if experiment is None or experiment.status in SPLITTING:
        return None
    winner = experiment.metrics.get("winner") or experiment.details.get("winner")
    won = experiment.status == ExperimentStatus.COMPLETED
    return next((s for s in served if won and s.version == winner), served[CONTROL])
