"""What each step of a rollout does to one prompt, in the caller's transaction, the row locked.

Every step may be repeated: the journal's key says whether it has been taken already.
"""

from datetime import UTC, datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.allocations import conclude
from domain.bundles.members import arms
from domain.errors import Conflict
from domain.evidence import checks
from domain.experiments import ABTestManager
from domain.judge import Verdict
from domain.leases import lease_until
from domain.plan import RolloutPlan
from domain.prompts import ExperimentStatus, VersionStatus
from domain.record import Kind, RolloutStatus
from domain.routing import PRODUCTION_TAG
from domain.tables import RolloutRow
from domain.tags import move_tag


async def opened(session: AsyncSession, row: RolloutRow) -> None:
    """Journal that the prompt was taken."""
    _, candidate = await arms(session, row)
    said = f"{candidate.version} is to replace production by plan {row.plan['name']}"
    why = _because(said, row.reason)
    journal.write(session, row, key="open", kind=Kind.OPENED, by=row.by, reason=why)


async def ramp(
    session: AsyncSession,
    row: RolloutRow,
    *,
    experiments: ABTestManager,
    stage: int,
    epoch: int,
    by: str,
    reason: str,
) -> None:
    """Give the candidate the share of users that `stage` (from 1) says."""
    if await journal.find(session, row, f"ramp:{stage}"):
        return
    _refuse_unless_live(row, "ramp")
    plan = RolloutPlan.model_validate(row.plan)
    share = plan.share_at(stage) / 100
    baseline, candidate = await arms(session, row)
    row.epoch = await experiments.reallocate(
        row.experiment_id,
        {baseline.version: 1 - share, candidate.version: share},
        held=epoch,
    )
    row.stage, row.percent = stage, plan.stages[stage - 1].percent
    said = f"{plan.share_at(stage):g} % of users get {candidate.version}"
    why = _because(f"{said} (stage {stage} of {len(plan.stages)})", reason)
    journal.write(session, row, key=f"ramp:{stage}", kind=Kind.RAMPED, by=by, reason=why)


async def check(
    session: AsyncSession, row: RolloutRow, *, number: int, baked: timedelta
) -> Verdict:
    """Judge the guardrails on what has been counted, and journal it with its evidence."""
    if taken := await journal.find(session, row, f"check:{number}"):
        return journal.verdict_of(taken)
    _refuse_unless_live(row, "check")
    judged = await checks.judge(session, row, number=number, baked=baked)
    await journal.write_verdict(session, row, number=number, judged=judged)
    return judged.verdict


async def promote(
    session: AsyncSession, row: RolloutRow, *, epoch: int, by: str, reason: str
) -> None:
    """Move the production tag and status to the candidate."""
    if await journal.find(session, row, "promote"):
        return
    _refuse_unless_live(row, "promote")
    baseline, candidate = await arms(session, row)
    row.epoch = await move_tag(
        session, candidate, PRODUCTION_TAG, held=epoch, by=by, reason=f"rollout {row.id}"
    )
    candidate.status = VersionStatus.PRODUCTION
    if baseline.status == VersionStatus.PRODUCTION:
        baseline.status = VersionStatus.ACTIVE
    session.add_all([row, baseline, candidate])
    why = _because(f"{candidate.version} is in production", reason)
    journal.write(session, row, key="promote", kind=Kind.PROMOTED, by=by, reason=why)


async def complete(session: AsyncSession, row: RolloutRow) -> None:
    """Give everybody the candidate, and deprecate the baseline."""
    if await journal.find(session, row, "complete"):
        return
    _refuse_unless_live(row, "complete")
    if not await journal.find(session, row, "promote"):
        raise Conflict(f"rollout {row.id!r} is not promoted yet, cannot complete")
    baseline, candidate = await arms(session, row)
    row.epoch = await conclude(
        session, row.experiment_id, ExperimentStatus.COMPLETED, winner=candidate.version
    )
    baseline.status = VersionStatus.DEPRECATED
    session.add(baseline)
    row.status, row.concluded_at = RolloutStatus.PROMOTED.value, datetime.now(UTC)
    why = f"{candidate.version} serves everybody; {baseline.version} is deprecated"
    journal.write(session, row, key="complete", kind=Kind.COMPLETED, reason=why)


def _because(said: str, reason: str) -> str:
    return f"{said}: {reason}" if reason else said


def _refuse_unless_live(row: RolloutRow, verb: str) -> None:
    """Let only a live one go on, and renew its lease: somebody looks after it."""
    if row.status != RolloutStatus.LIVE:
        raise Conflict(f"rollout {row.id!r} is {row.status}, cannot {verb}")
    row.lease_until = lease_until(RolloutPlan.model_validate(row.plan), now=datetime.now(UTC))
