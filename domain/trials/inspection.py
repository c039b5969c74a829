"""One look at all arms of a trial: what there is to see, and what it is worth."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import cells, exposures
from domain.assignment import Allocation
from domain.cells import CELLS, Cell, CellKey
from domain.errors import NotFound
from domain.evidence.looks import METHOD, Arm, Evidence, Look
from domain.evidence.sight import Comparison, see
from domain.evidence.weighing import MISMATCH_ALPHA, weigh
from domain.guardrail import Role
from domain.judge import Reading, Standing, Verdict
from domain.lineage import versions_of
from domain.observations import OBSERVED
from domain.stats import srm
from domain.stats.welch import log_moments
from domain.tables import AllocationRow, ExperimentRow, TrialEvidenceRow, TrialRow
from domain.trials import contest
from domain.trials import journal as trial_journal
from domain.trials.contest import TIMES, Tallies, Tally
from domain.trials.findings import ArmReport, Report, Split, Turnout
from domain.trials.plan import ExperimentPlan


async def look(session: AsyncSession, row: TrialRow, *, number: int) -> Report:
    """Look at every arm, weigh those that are live against control, and keep what it rested on.

    Raises:
        NotFound: The experiment, or one of its versions, was deleted.
    """
    plan = ExperimentPlan.model_validate(row.plan)
    experiment, now = await experiment_of(session, row), datetime.now(UTC)
    ids = await _ids(session, row, plan)
    tallies = await tally(session, row, plan, ids=ids)
    verdicts: dict[str, tuple[Verdict, Evidence]] = {}
    for arm in plan.treatments:
        if arm not in row.stopped:
            compared = _comparison(experiment, plan, arm, ids=ids)
            seen, verdict, evidence = await _weigh(session, row, compared, at=now)
            verdicts[arm] = (verdict, evidence)
            session.add(_kept(row, plan, arm, number=number, seen=seen, evidence=evidence))
    divided = await split(session, experiment)
    live = [arm for arm in plan.arms if arm not in row.stopped]
    return Report(
        number=number,
        at=now,
        epoch=experiment.epoch,
        arms=tuple(
            _report(plan, experiment, arm, tallies=tallies, row=row, judged=verdicts.get(arm))
            for arm in plan.arms
        ),
        enough=all(contest.observed(tallies[arm]) >= plan.min_sample for arm in live),
        log_mismatch=divided.log_mismatch,
        mismatch=divided.mismatch,
    )


async def experiment_of(session: AsyncSession, row: TrialRow) -> ExperimentRow:
    """Return the trial's experiment.

    Raises:
        NotFound: It was deleted.
    """
    found = await session.get(ExperimentRow, row.id, populate_existing=True)
    if found is None:
        raise NotFound(f"experiment {row.id!r} was deleted")
    return found


async def tally(
    session: AsyncSession,
    row: TrialRow,
    plan: ExperimentPlan,
    *,
    ids: Mapping[str, str] | None = None,
) -> Tallies:
    """Return what every arm did for the goal, epoch by epoch, oldest first.

    Raises:
        NotFound: A version was deleted.
    """
    ids = ids or await _ids(session, row, plan)
    epochs = [found.epoch for found in await _allocations(session, row.id)]
    found = await cells.load(
        session,
        OBSERVED if plan.per == "user" else CELLS,
        version_id=list(ids.values()),
        experiment_id=[row.id],
        epoch=epochs,
        metric=[plan.goal],
    )
    return {
        arm: [
            _tally(plan, epoch, found.get(CellKey(ids[arm], row.id, epoch, plan.goal), Cell()))
            for epoch in epochs
        ]
        for arm in plan.arms
    }


async def split(session: AsyncSession, experiment: ExperimentRow) -> Split:
    """Return how many users reached each arm, against its shares."""
    versions, log_factor = [variant["version"] for variant in experiment.variants], 0.0
    got: dict[str, int] = {}
    expected, seen = np.zeros(len(versions)), np.zeros(len(versions), dtype=int)
    for found in await _allocations(session, experiment.id):
        shares = Allocation(tuple(found.starts), tuple(found.arms)).shares(len(versions))
        got = await exposures.counts(session, experiment.id, epoch=found.epoch)
        counts = [got.get(version, 0) for version in versions]
        if sum(counts):
            log_factor += float(srm.log_bayes_factor(counts, shares))
        expected, seen = expected + np.multiply(shares, sum(counts)), seen + counts
    return Split(
        arms=tuple(
            Turnout(version=version, expected=float(foreseen), seen=int(came))
            for version, foreseen, came in zip(versions, expected, seen, strict=True)
        ),
        log_mismatch=log_factor,
        mismatch=_complaint(experiment, got, log_factor),
    )


def _complaint(experiment: ExperimentRow, got: Mapping[str, int], log_factor: float) -> str:
    if log_factor < -math.log(MISMATCH_ALPHA):
        return ""
    told = ", ".join(
        f"{one['version']} {got.get(one['version'], 0)}" for one in experiment.variants
    )
    shares = ", ".join(f"{100 * s:g} %" for s in experiment.traffic_split.values())
    return (
        f"users are not split as they should be ({shares}): {told};"
        " find out why before anything is believed"
    )


async def _allocations(session: AsyncSession, experiment_id: str) -> Sequence[AllocationRow]:
    query = select(AllocationRow).where(AllocationRow.experiment_id == experiment_id)
    return (await session.exec(query.order_by(AllocationRow.epoch))).all()  # type: ignore[arg-type]


async def _ids(session: AsyncSession, row: TrialRow, plan: ExperimentPlan) -> dict[str, str]:
    found = await session.exec(versions_of(row.name, row.prompt_type))
    known = {version.version: version.id for version in found}
    if missing := [arm for arm in plan.arms if arm not in known]:
        raise NotFound(f"version {missing[0]} of {row.name}.{row.prompt_type} was deleted")
    return {arm: known[arm] for arm in plan.arms}


def _comparison(
    experiment: ExperimentRow, plan: ExperimentPlan, arm: str, *, ids: Mapping[str, str]
) -> Comparison:
    shares = experiment.traffic_split
    return Comparison(
        experiment_id=experiment.id,
        epoch=experiment.epoch,
        treatment_id=ids[arm],
        treatment=arm,
        control_id=ids[plan.baseline],
        control=plan.baseline,
        share=shares[arm] / (shares[arm] + shares[plan.baseline]),
    )


async def _weigh(
    session: AsyncSession, row: TrialRow, compared: Comparison, *, at: datetime
) -> tuple[Look, Verdict, Evidence]:
    """Weigh one arm; in a thread, because the arithmetic may take milliseconds."""
    policy = ExperimentPlan.model_validate(row.plan).policy
    before = await trial_journal.latest(session, row, compared.treatment)
    seen = await see(session, compared, policy.guardrails, trails=before.trails, at=at)
    seen = seen.model_copy(update={"exposures": (0, 0)})  # followed over all arms at once
    verdict, evidence = await asyncio.to_thread(weigh, policy, before, seen)
    return seen, verdict, evidence


def _kept(
    row: TrialRow, plan: ExperimentPlan, arm: str, *, number: int, seen: Look, evidence: Evidence
) -> TrialEvidenceRow:
    return TrialEvidenceRow(
        trial_id=row.id,
        arm=arm,
        number=number,
        method=METHOD,
        policy=plan.policy.fingerprint,
        look=seen.model_dump(mode="json"),
        evidence=evidence.model_dump(mode="json"),
    )


def _report(
    plan: ExperimentPlan,
    experiment: ExperimentRow,
    arm: str,
    *,
    tallies: Tallies,
    row: TrialRow,
    judged: tuple[Verdict, Evidence] | None,
) -> ArmReport:
    mine, control = tallies[arm], tallies[plan.baseline]
    is_control, stopped = arm == plan.baseline, arm in row.stopped
    report = ArmReport(
        version=arm,
        is_control=is_control,
        share=experiment.traffic_split.get(arm, 0.0),
        n=contest.observed(mine),
        rate=contest.mean_of(mine),
        interval=contest.interval_of(plan, mine),
        difference=None if is_control else contest.shift_of(control, mine),
        difference_interval=None if is_control else contest.difference_of(plan, control, mine),
        standing=Standing.HARMED if stopped else Standing.UNDECIDED,
        stopped=stopped,
    )
    if judged is None:
        return report
    verdict, evidence = judged
    told = {
        "action": verdict.action,
        "standing": _standing(verdict),
        "reason": verdict.reason,
        "log_e": evidence.log_e,
    }
    return report.model_copy(update=told)


def _standing(verdict: Verdict) -> Standing:
    """Return what can be said of an arm: the gravest of its readings that count."""
    order = (
        Standing.HARMED,
        Standing.ERROR,
        Standing.UNDECIDED,
        Standing.NOT_HARMED,
        Standing.SAFE,
    )
    found = {reading.standing for reading in verdict.readings if _acts(reading)}
    return next((standing for standing in order if standing in found), Standing.UNDECIDED)


def _acts(reading: Reading) -> bool:
    return reading.role is Role.GUARDRAIL and not reading.dry_run


def _tally(plan: ExperimentPlan, epoch: int, cell: Cell) -> Tally:
    seen = Arm(n=cell.n, mean=cell.mean, m2=cell.moments.m2)
    if plan.goal not in TIMES:
        return Tally(epoch=epoch, seen=seen)
    logs = log_moments(cell.histogram)
    return Tally(epoch=epoch, seen=seen, logs=Arm(n=logs.n, mean=logs.mean, m2=logs.m2))
