"""How a rollback restores the exact state before, step by step, and what is read back of it.

All of it happens in the caller's transaction, with the rollout's row locked. Every step may be
repeated.
"""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.allocations import conclude, locked, reallocated
from domain.assignment import CONTROL
from domain.composition import compose
from domain.errors import Conflict
from domain.prompts import ExperimentStatus
from domain.record import Before, RolloutStatus, Routed
from domain.routing import PRODUCTION_TAG, claim_epoch, lock_prompt
from domain.snapshot import SPLITTING
from domain.tables import ExperimentRow, RolloutRow, RoutingRow, TagMoveRow, VersionRow
from domain.tags import holder, move_tag


async def remember(
    session: AsyncSession, arms: tuple[VersionRow, VersionRow], *, experiment_id: str | None
) -> Before:
    """Return what has to be as it is now: of baseline and candidate, and of what is routed."""
    baseline, candidate = arms
    return Before(
        baseline_status=baseline.status,
        candidate_status=candidate.status,
        experiment_id=experiment_id,
        routed=await _routed(session, experiment_id),
    )


async def return_traffic(session: AsyncSession, row: RolloutRow, *, by: str, reason: str) -> int:
    """Give every user the baseline, by whatever gives them the candidate; return the new epoch.

    While the rollout's experiment splits, that is its allocation; once it has ended, the tag.

    Raises:
        Conflict: The rollout is completed, and production has moved on since.
    """
    await _refuse_if_moved_on(session, row)
    held = (await lock_prompt(session, row.name, row.prompt_type)).epoch
    experiment = await locked(session, row.experiment_id)
    if experiment.status in SPLITTING:
        baseline = experiment.variants[CONTROL]["version"]
        split = {version: float(version == baseline) for version in experiment.traffic_split}
        epoch = await reallocated(session, experiment, split=split)
    else:
        epoch = await _return_tag(session, row, by=by, reason=reason)
    if epoch == held:  # they had it already; writers who hold the old epoch are fenced all the same
        epoch = (await claim_epoch(session, row.name, row.prompt_type)).epoch
    return epoch


async def restore(session: AsyncSession, row: RolloutRow, *, by: str, reason: str) -> int:
    """Restore routing, tag, statuses and the experiment that was routed; return the epoch."""
    before = Before.model_validate(row.before)
    await conclude(
        session, row.experiment_id, ExperimentStatus.STOPPED, route_to=before.experiment_id
    )
    await _return_tag(session, row, by=by, reason=reason)
    if before.routed and (routed := await session.get(ExperimentRow, before.experiment_id)):
        session.add(routed.sqlmodel_update(before.routed.model_dump()))
    await session.flush()
    return (await session.get_one(RoutingRow, (row.name, row.prompt_type))).epoch


async def differences(session: AsyncSession, row: RolloutRow) -> list[str]:
    """Return one sentence for everything that is not as it was before the rollout.

    Of a concluded one, nothing once production has moved on: that is not its doing any more.
    """
    if row.concluded_at is not None and await _moved_on(session, row):
        return []
    before = Before.model_validate(row.before)
    prompt = (row.name, row.prompt_type)
    routing = await session.get_one(RoutingRow, prompt, populate_existing=True)
    experiment = await session.get_one(ExperimentRow, row.experiment_id, populate_existing=True)
    baseline = await session.get_one(VersionRow, row.baseline_id, populate_existing=True)
    candidate = await session.get_one(VersionRow, row.candidate_id, populate_existing=True)
    served = (await compose(session, routing)).unsplit().version_id
    facts = [
        ("experiment", experiment.status, ExperimentStatus.STOPPED.value),
        ("routed experiment", routing.experiment_id, before.experiment_id),
        ("production", await holder(session, *prompt), row.baseline_id),
        ("what users are served", served, row.baseline_id),
        (f"status of {baseline.version}", baseline.status, before.baseline_status),
        (f"status of {candidate.version}", candidate.status, before.candidate_status),
    ]
    if before.routed and (routed := await _routed(session, before.experiment_id)):
        facts.append(("experiment before", str(routed), str(before.routed)))
    return [f"{what} is {now}, was {then}" for what, now, then in facts if now != then]


async def _routed(session: AsyncSession, experiment_id: str | None) -> Routed | None:
    found = await session.get(ExperimentRow, experiment_id or "", populate_existing=True)
    return Routed.model_validate(found.model_dump()) if found else None


async def _return_tag(session: AsyncSession, row: RolloutRow, *, by: str, reason: str) -> int:
    """Return the tag and, with it, the statuses: both say the same at every commit."""
    before = Before.model_validate(row.before)
    baseline = await session.get_one(VersionRow, row.baseline_id)
    candidate = await session.get_one(VersionRow, row.candidate_id)
    why = f"rollback of rollout {row.id}: {reason}"
    epoch = await move_tag(session, baseline, PRODUCTION_TAG, by=by, reason=why)
    baseline.status, candidate.status = before.baseline_status, before.candidate_status
    session.add_all([baseline, candidate])
    return epoch


async def _moved_on(session: AsyncSession, row: RolloutRow) -> bool:
    """Say whether production was moved, or a rollout or experiment begun, since this one ended."""
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
    experiments = select(ExperimentRow.id).where(
        ExperimentRow.name == row.name,
        ExperimentRow.prompt_type == row.prompt_type,
        col(ExperimentRow.start_date) > row.concluded_at,
    )
    if (await session.exec(later)).first():
        return True
    if row.concluded_at is None:
        return False
    since = [(await session.exec(query)).first() for query in (moves, experiments)]
    return any(since)


async def _refuse_if_moved_on(session: AsyncSession, row: RolloutRow) -> None:
    if row.status != RolloutStatus.PROMOTED:
        return
    routing = await lock_prompt(session, row.name, row.prompt_type)
    if routing.experiment_id != row.experiment_id or await _moved_on(session, row):
        raise Conflict(
            f"rollout {row.id!r} is {row.status} and production has moved on since:"
            " use `rampart version revert`"
        )
