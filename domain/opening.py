"""How a rollout takes its prompt: what must hold before the first user meets the candidate."""

from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain import cells
from domain.bundles.companions import flag_of
from domain.errors import Conflict, InvalidValue, NotFound
from domain.experiments import ABTestManager
from domain.guardrail import BETTER
from domain.leases import lease_until
from domain.lineage import SERVABLE, versions_of
from domain.plan import RolloutPlan, RolloutRequest
from domain.prompts import PromptVariant
from domain.record import Before, RolloutStatus
from domain.restoration import remember
from domain.routing import claim_epoch, live_rollout
from domain.snapshot import SPLITTING
from domain.tables import ExperimentRow, RolloutRow, VersionRow
from domain.tags import holder
from domain.windows.opening import closed_at


async def claim(
    session: AsyncSession,
    request: RolloutRequest,
    *,
    experiments: ABTestManager,
    key: str,
    workflow_id: str,
    salt: int,
) -> RolloutRow:
    """Give the candidate its first 0 %, remembering the exact state before.

    Raises:
        NotFound, Conflict, InvalidValue: As `RolloutManager.open` says. Nothing is written.
    """
    previous = (await claim_epoch(session, request.name, request.prompt_type)).experiment_id
    await _refuse_a_second(session, request)
    baseline = await _production(session, request)
    candidate = await _candidate(session, request, baseline=baseline)
    await _refuse_unknown_metrics(session, request, baseline=baseline)
    before = await remember(session, (baseline, candidate), experiment_id=previous)
    row = _row(request, before, arms=(baseline, candidate), key=key, workflow_id=workflow_id)
    roles = ((baseline, "baseline"), (candidate, "candidate"))
    await experiments.create_experiment(
        request.name,
        request.prompt_type,
        [PromptVariant(arm.version, 1, role) for arm, role in roles],
        traffic_split={baseline.version: 1.0, candidate.version: 0.0},
        metadata={"rollout": row.id},
        experiment_id=row.experiment_id,
        salt=salt,
        rollout_id=row.id,
    )
    row.epoch = (await session.get_one(ExperimentRow, row.experiment_id)).epoch
    session.add(row)
    await session.flush()  # the journal refers to it
    return row


async def preview(session: AsyncSession, request: RolloutRequest) -> str:
    """Return the version that would be replaced now; take nothing.

    Raises:
        NotFound, Conflict, InvalidValue: As `claim`, but for what may be over by the time it opens.
    """
    baseline = await _production(session, request)
    await _candidate(session, request, baseline=baseline)
    await _refuse_unknown_metrics(session, request, baseline=baseline)
    return baseline.version


def _row(
    request: RolloutRequest,
    before: Before,
    *,
    arms: tuple[VersionRow, VersionRow],
    key: str,
    workflow_id: str,
) -> RolloutRow:
    baseline, candidate = arms
    return RolloutRow(
        id=str(uuid7()),
        key=key,
        workflow_id=workflow_id,
        name=request.name,
        prompt_type=request.prompt_type,
        baseline_id=baseline.id,
        candidate_id=candidate.id,
        experiment_id=str(uuid7()),
        plan=request.plan.model_dump(mode="json"),
        before=before.model_dump(mode="json"),
        status=RolloutStatus.LIVE.value,
        epoch=0,
        opened_at=(now := datetime.now(UTC)),
        lease_until=lease_until(request.plan, now=_begins(request.plan, now)),
        by=request.by,
        reason=request.reason,
    )


def _begins(plan: RolloutPlan, now: datetime) -> datetime:
    """Return when it may ramp at the earliest: until then nobody has to look after it."""
    try:
        closed = closed_at(plan.windows, now)
    except InvalidValue:  # a time zone that this machine lacks: each step says so
        return now
    return closed.until if closed and closed.until else now


async def _refuse_a_second(session: AsyncSession, request: RolloutRequest) -> None:
    """One rollout or experiment per prompt: two would spoil each other's evidence."""
    if live := await live_rollout(session, request.name, request.prompt_type):
        found = await session.get_one(RolloutRow, live)
        raise Conflict(
            f"a rollout of {flag_of(request)} is live already: {found.id}, stage {found.stage}"
            f" at {found.percent:g} %{await _led(session, found)};"
            " wait for it, or roll it back first"
        )
    running = select(ExperimentRow).where(
        ExperimentRow.name == request.name,
        ExperimentRow.prompt_type == request.prompt_type,
        col(ExperimentRow.status).in_(SPLITTING),
    )
    if other := (await session.exec(running)).first():
        raise Conflict(
            f"experiment {other.id} on {flag_of(request)} is {other.status}:"
            " complete or stop it before a rollout"
        )


async def _led(session: AsyncSession, row: RolloutRow) -> str:
    """Name the bundle that a live rollout goes along with; nothing if it does not."""
    if row.bundle_id in (None, row.id):
        return ""
    leader = await session.get_one(RolloutRow, row.bundle_id)
    return f", part of the bundle led by {flag_of(leader)}"


async def _refuse_unknown_metrics(
    session: AsyncSession, request: RolloutRequest, *, baseline: VersionRow
) -> None:
    """A custom number that nobody has reported yet is a typo, or could never be compared."""
    reported = await cells.load(session, version_id=[baseline.id], experiment_id=[""], epoch=[0])
    known = sorted({*BETTER, *(key.metric for key in reported)})
    for number, guardrail in enumerate(request.plan.guardrails):
        if guardrail.metric not in known:
            raise InvalidValue(
                f"plan.guardrails.{number}.metric {guardrail.metric!r} was never reported for"
                f" {flag_of(request)} {baseline.version}, the version in production:"
                f" known are {', '.join(known)}"
            )


async def _production(session: AsyncSession, request: RolloutRequest) -> VersionRow:
    found = await holder(session, request.name, request.prompt_type)
    if found is None:
        raise NotFound(
            f"{flag_of(request)} has no production version: there is nothing to roll out over,"
            " or back to; tag one `production` first"
        )
    return await session.get_one(VersionRow, found)


async def _candidate(
    session: AsyncSession, request: RolloutRequest, *, baseline: VersionRow
) -> VersionRow:
    query = versions_of(request.name, request.prompt_type)
    versions = {row.version: row for row in await session.exec(query)}
    found = versions.get(request.candidate)
    if found is None:
        raise NotFound(
            f"candidate {request.candidate!r} of {flag_of(request)} does not exist:"
            f" known are {', '.join(sorted(versions)[:10])}"
        )
    if found.id == baseline.id:
        raise Conflict(f"candidate {found.version} of {flag_of(request)} is in production already")
    if found.status not in SERVABLE:
        raise Conflict(
            f"candidate {found.version} of {flag_of(request)} is {found.status}:"
            " only an active version can be rolled out"
        )
    return found
