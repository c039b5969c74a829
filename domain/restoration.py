"""How a rollback restores the exact state before, and how it is proved that it did."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.allocations import conclude
from domain.errors import Conflict, RollbackIncomplete
from domain.prompts import ExperimentStatus
from domain.record import Before, RolloutStatus
from domain.routing import PRODUCTION_TAG
from domain.tables import ExperimentRow, RolloutRow, RoutingRow, TagMoveRow, VersionRow
from domain.tags import holder, move_tag


async def restore(session: AsyncSession, row: RolloutRow, *, by: str, reason: str) -> int:
    """Restore traffic first, then the tag, then the statuses; return the new epoch.

    Raises:
        Conflict: The rollout is completed, and production has moved on since.
    """
    before = Before.model_validate(row.before)
    await _refuse_if_moved_on(session, row)
    await conclude(
        session, row.experiment_id, ExperimentStatus.STOPPED, route_to=before.experiment_id
    )
    baseline = await session.get_one(VersionRow, row.baseline_id)
    candidate = await session.get_one(VersionRow, row.candidate_id)
    why = f"rollback of rollout {row.id}: {reason}"
    await move_tag(session, baseline, PRODUCTION_TAG, by=by, reason=why)
    baseline.status, candidate.status = before.baseline_status, before.candidate_status
    session.add_all([baseline, candidate])
    await session.flush()
    return (await session.get_one(RoutingRow, (row.name, row.prompt_type))).epoch


async def prove(session: AsyncSession, row: RolloutRow) -> None:
    """Read back inside the transaction that restored.

    Raises:
        RollbackIncomplete: Something differs from the state before.
    """
    await session.flush()
    if found := await differences(session, row):
        raise RollbackIncomplete(
            f"rollback of rollout {row.id!r} is incomplete: {'; '.join(found)}"
        )


async def differences(session: AsyncSession, row: RolloutRow) -> list[str]:
    """Return one sentence for everything that is not as it was before the rollout."""
    if await _moved_on(session, row):
        return []
    before = Before.model_validate(row.before)
    prompt = (row.name, row.prompt_type)
    routing = await session.get_one(RoutingRow, prompt, populate_existing=True)
    experiment = await session.get_one(ExperimentRow, row.experiment_id, populate_existing=True)
    baseline = await session.get_one(VersionRow, row.baseline_id, populate_existing=True)
    candidate = await session.get_one(VersionRow, row.candidate_id, populate_existing=True)
    facts = (
        ("rollout", row.status, RolloutStatus.ROLLED_BACK.value),
        ("experiment", experiment.status, ExperimentStatus.STOPPED.value),
        ("routed experiment", routing.experiment_id, before.experiment_id),
        ("production", await holder(session, *prompt), row.baseline_id),
        (f"status of {baseline.version}", baseline.status, before.baseline_status),
        (f"status of {candidate.version}", candidate.status, before.candidate_status),
    )
    return [f"{what} is {now}, was {then}" for what, now, then in facts if now != then]


async def _moved_on(session: AsyncSession, row: RolloutRow) -> bool:
    """Say whether somebody has moved production, or opened a rollout, since this one ended."""
    later = select(RolloutRow.id).where(
        RolloutRow.name == row.name,
        RolloutRow.prompt_type == row.prompt_type,
        RolloutRow.id > row.id,
    )
    moves = select(TagMoveRow.id).where(
        TagMoveRow.name == row.name,
        TagMoveRow.prompt_type == row.prompt_type,
        TagMoveRow.tag == PRODUCTION_TAG,
        col(TagMoveRow.at) > row.concluded_at,
    )
    if (await session.exec(later)).first():
        return True
    return row.concluded_at is not None and bool((await session.exec(moves)).first())


async def _refuse_if_moved_on(session: AsyncSession, row: RolloutRow) -> None:
    if row.status == RolloutStatus.PROMOTED and await _moved_on(session, row):
        raise Conflict(
            f"rollout {row.id!r} is {row.status} and production has moved on since:"
            " use `rampart version revert`"
        )
