"""One check of a rollout: what there is to see, and what it is worth."""

import asyncio
from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import clock, journal
from domain.amendment import plan_at
from domain.bundles.members import size
from domain.bundles.verdicts import parted
from domain.evidence.carrying import carried
from domain.evidence.looks import METHOD, Evidence, Judged
from domain.evidence.sight import Comparison, see
from domain.evidence.weighing import weigh
from domain.plan import RolloutPlan
from domain.tables import ExperimentRow, RolloutRow, VersionRow


async def judge(session: AsyncSession, row: RolloutRow, *, number: int, baked: timedelta) -> Judged:
    """Look, and weigh what is seen; in a thread, because the arithmetic may take milliseconds."""
    among = await size(session, row)
    plan = parted(RolloutPlan.model_validate(row.plan), among=among)
    policy, now = plan.policy_at(row.stage), await clock.now(session)
    evidence = await evidence_for(session, row, plan)
    look = await see(
        session,
        await _comparison(session, row),
        policy.guardrails,
        trails=evidence.trails,
        at=now,
        stage=row.stage,
        baked=baked,
    )
    verdict, evidence = await asyncio.to_thread(weigh, policy, evidence, look)
    return Judged(
        number=number,
        stage=row.stage,
        percent=row.percent,
        method=METHOD,
        policy=policy.fingerprint,
        look=look,
        evidence=evidence,
        verdict=verdict,
    )


async def evidence_for(session: AsyncSession, row: RolloutRow, plan: RolloutPlan) -> Evidence:
    """Return the evidence so far, as the guardrails of the plan see it; `plan` is the prompt's."""
    latest = await journal.latest(session, row)
    if latest.policy in ("", plan.policy_at(row.stage).fingerprint):
        return latest.evidence
    amended = await journal.amendments(session, row.id)
    before = plan_at(RolloutPlan.model_validate(row.plan), amended, latest.number)
    among = await size(session, row)
    return carried(latest.evidence, parted(before, among=among), plan)


async def _comparison(session: AsyncSession, row: RolloutRow) -> Comparison:
    """Return whom a check compares: baseline and candidate in the present allocation."""
    baseline = await session.get_one(VersionRow, row.baseline_id)
    candidate = await session.get_one(VersionRow, row.candidate_id)
    experiment = await session.get_one(ExperimentRow, row.experiment_id)
    return Comparison(
        experiment_id=row.experiment_id,
        epoch=experiment.epoch,
        treatment_id=candidate.id,
        treatment=candidate.version,
        control_id=baseline.id,
        control=baseline.version,
        share=experiment.traffic_split.get(candidate.version, 0.0),
    )
