"""How a trial ends: the tests that are asked once, and who gets which version from then on."""

import asyncio
from datetime import UTC, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import allocations
from domain.errors import Conflict, NotFound
from domain.lineage import versions_of
from domain.prompts import ExperimentStatus, VersionStatus
from domain.routing import PRODUCTION_TAG, lock_prompt
from domain.tables import ExperimentRow, TrialRow, VersionRow
from domain.tags import move_tag
from domain.trials import contest, inspection
from domain.trials import journal as trial_journal
from domain.trials.findings import Conclusion, Step, TrialStatus
from domain.trials.plan import ExperimentPlan


async def decide(
    session: AsyncSession, row: TrialRow, *, early: bool, by: str, reason: str
) -> Conclusion:
    """Ask the tests and keep their answer.

    Raises:
        NotFound: The experiment or a version was deleted.
    """
    plan = ExperimentPlan.model_validate(row.plan)
    tallies = await inspection.tally(session, row, plan)
    divided = await inspection.split(session, await inspection.experiment_of(session, row))
    mismatch = divided.mismatch
    # In a thread: the exact tests of small samples may take seconds.
    winner, results = await asyncio.to_thread(
        contest.decide, plan, tallies, stopped=tuple(row.stopped)
    )
    conclusion = conclusion_of(row).model_copy(
        update={
            "winner": None if mismatch else winner,
            "arms": results,
            "early": early,
            "mismatch": mismatch,
            "by": by,
        }
    )
    conclusion = conclusion.model_copy(update={"why": conclusion.finding})
    row.conclusion = conclusion.model_dump(mode="json")
    why = because(conclusion.finding, reason)
    trial_journal.write(session, row, key="conclude", step=Step.CONCLUDED, by=by, reason=why)
    return conclusion


async def deploy(
    session: AsyncSession, row: TrialRow, version: str, *, epoch: int, by: str, reason: str
) -> Conclusion:
    """Move production to a treatment by the seed's steps.

    Raises:
        NotFound, Conflict, Fenced: As `TrialManager.deploy` says.
    """
    plan = ExperimentPlan.model_validate(row.plan)
    if version not in plan.treatments:
        raise NotFound(f"experiment {row.id!r} has no treatment {version!r}")
    if version in row.stopped:
        raise Conflict(f"{version} was stopped in experiment {row.id!r}, cannot deploy it")
    query = versions_of(row.name, row.prompt_type)
    known: dict[str, VersionRow] = {found.version: found for found in await session.exec(query)}
    winner, control = known[version], known[plan.baseline]
    why = f"winner of experiment {row.id}"
    await move_tag(session, winner, PRODUCTION_TAG, held=epoch, by=by, reason=why)
    winner.status, control.status = VersionStatus.PRODUCTION, VersionStatus.DEPRECATED
    session.add_all([winner, control])
    row.epoch = await allocations.conclude(
        session, row.id, ExperimentStatus.COMPLETED, winner=version
    )
    said = because(f"{version} is in production, {plan.baseline} is deprecated", reason)
    return _ended(session, row, Step.DEPLOYED, said, by=by, deployed=version)


async def release(
    session: AsyncSession, row: TrialRow, ending: TrialStatus, *, chosen: str, by: str, reason: str
) -> Conclusion:
    """Give everybody control; what others have routed the prompt to meanwhile stays."""
    control = ExperimentPlan.model_validate(row.plan).baseline
    stopped = ending is TrialStatus.STOPPED
    if await session.get(ExperimentRow, row.id):
        routing = await lock_prompt(session, row.name, row.prompt_type)
        ours = stopped and routing.experiment_id == row.id
        row.epoch = await allocations.conclude(
            session,
            row.id,
            ExperimentStatus.STOPPED if stopped else ExperimentStatus.COMPLETED,
            winner=None if stopped else chosen or control,
            route_to=row.before if ours else allocations.STAY,
        )
    said = f"everybody gets {control}" + (f"; {chosen} is to be rolled out" if chosen else "")
    return _ended(session, row, Step(ending.value), because(said, reason), by=by)


def settle(session: AsyncSession, row: TrialRow, *, deployed: str | None, reason: str) -> None:
    """Record what became of the rollout that took over."""
    settled = conclusion_of(row).model_copy(update={"deployed": deployed, "why": reason})
    row.conclusion = settled.model_dump(mode="json")
    trial_journal.write(session, row, key="settle", step=Step.SETTLED, reason=reason)


def conclusion_of(row: TrialRow) -> Conclusion:
    """Return what is kept of the tests; a blank one before they were asked."""
    if row.conclusion is not None:
        return Conclusion.model_validate(row.conclusion)
    plan = ExperimentPlan.model_validate(row.plan)
    return Conclusion(
        experiment_id=row.id,
        prompt=f"{row.name}.{row.prompt_type}",
        control=plan.baseline,
        alpha=plan.alpha,
        stopped=tuple(row.stopped),
    )


def because(said: str, reason: str) -> str:
    """Return what happened, and why if somebody said so."""
    return f"{said}: {reason}" if reason else said


def _ended(
    session: AsyncSession,
    row: TrialRow,
    step: Step,
    said: str,
    *,
    by: str,
    deployed: str | None = None,
) -> Conclusion:
    ended = {"ending": TrialStatus(step.value), "deployed": deployed, "why": said, "by": by}
    conclusion = conclusion_of(row).model_copy(update=ended | {"stopped": tuple(row.stopped)})
    row.status, row.concluded_at = step.value, datetime.now(UTC)
    row.conclusion = conclusion.model_dump(mode="json")
    trial_journal.write(session, row, key="end", step=step, by=by, reason=said)
    return conclusion
