"""When a stage waits for a person's approval and for nothing else: the journal says so, once."""

from datetime import timedelta

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.judge import Action, Verdict
from domain.plan import RolloutPlan
from domain.record import Kind
from domain.tables import DecisionRow, RolloutRow


async def ask(
    session: AsyncSession, row: RolloutRow, *, verdict: Verdict, baked: timedelta
) -> None:
    """Journal that only the approval of the present stage is missing; once for each stage.

    The workflow keeps the gate; this is how people hear of it.
    """
    plan = RolloutPlan.model_validate(row.plan)
    if row.stage == 0 or not plan.stages[row.stage - 1].approval:
        return
    kinds, bake = await _kinds(session, row), plan.stages[row.stage - 1].bake
    hurried = Kind.HURRIED in kinds and verdict.action is not Action.ROLL_BACK
    cleared = hurried or (baked >= bake and verdict.action is Action.ADVANCE)
    if cleared and not kinds & {Kind.WAITING, Kind.APPROVED, Kind.PROMOTED}:
        following = plan.stages[row.stage :]
        where = f"ramp to {following[0].percent:g} %" if following else "go to production"
        why = f"stage {row.stage} has baked; only an approval is missing to {where}"
        journal.write(session, row, key=f"gate:{row.stage}", kind=Kind.WAITING, reason=why)


async def _kinds(session: AsyncSession, row: RolloutRow) -> set[str]:
    """Return what the journal tells of the present stage."""
    query = select(DecisionRow.kind).where(
        DecisionRow.rollout_id == row.id, DecisionRow.stage == row.stage
    )
    return set(await session.exec(query.distinct()))
