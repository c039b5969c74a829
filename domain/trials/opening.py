"""How a trial takes its prompt: what must hold before the first user meets another version."""

from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from uuid_utils.compat import uuid7

from domain import cells
from domain.errors import Conflict, InvalidValue, NotFound
from domain.experiments import ABTestManager
from domain.guardrail import BETTER
from domain.lineage import SERVABLE, versions_of
from domain.prompts import PromptVariant
from domain.routing import lock_prompt
from domain.snapshot import SPLITTING
from domain.tables import ExperimentRow, TrialRow, VersionRow
from domain.tags import holder
from domain.trials.findings import TrialStatus
from domain.trials.plan import ExperimentPlan, ExperimentRequest


async def claim(
    session: AsyncSession,
    request: ExperimentRequest,
    *,
    experiments: ABTestManager,
    key: str,
    workflow_id: str,
) -> TrialRow:
    """Start the experiment, and remember what the prompt was routed to.

    Raises:
        NotFound, Conflict, InvalidValue: As `TrialManager.open` says. Nothing is written.
    """
    routing = await lock_prompt(session, request.name, request.prompt_type)
    before, plan = routing.experiment_id, request.plan
    await _refuse_a_second(session, request)
    control = await _control(session, request)
    await _refuse_unservable(session, request)
    await _refuse_unknown_metrics(session, plan, control=control)
    row = _row(request, before, key=key, workflow_id=workflow_id)
    described = {variant.version: variant.description for variant in plan.variants}
    await experiments.create_experiment(
        request.name,
        request.prompt_type,
        [PromptVariant(arm, share, described[arm]) for arm, share in plan.shares.items()],
        traffic_split=plan.shares,
        metadata={"trial": row.id},
        experiment_id=row.id,
    )
    row.epoch = (await session.get_one(ExperimentRow, row.id)).epoch
    session.add(row)
    await session.flush()  # the journal refers to it
    return row


def _row(request: ExperimentRequest, before: str | None, *, key: str, workflow_id: str) -> TrialRow:
    return TrialRow(
        id=str(uuid7()),
        key=key,
        workflow_id=workflow_id,
        name=request.name,
        prompt_type=request.prompt_type,
        plan=request.plan.model_dump(mode="json"),
        before=before,
        status=TrialStatus.LIVE.value,
        epoch=0,
        stopped=[],
        opened_at=datetime.now(UTC),
        by=request.by,
        reason=request.reason,
    )


async def _refuse_a_second(session: AsyncSession, request: ExperimentRequest) -> None:
    """One experiment per prompt; a rollout that is live refuses by itself."""
    running = select(ExperimentRow.id).where(
        ExperimentRow.name == request.name,
        ExperimentRow.prompt_type == request.prompt_type,
        col(ExperimentRow.status).in_(SPLITTING),
        col(ExperimentRow.rollout_id).is_(None),
    )
    live = select(TrialRow.id).where(
        TrialRow.name == request.name,
        TrialRow.prompt_type == request.prompt_type,
        TrialRow.status == TrialStatus.LIVE,
    )
    for query in (live, running):
        if other := (await session.exec(query)).first():
            raise Conflict(
                f"experiment {other} on {request.prompt} is live:"
                " wait for its end, or stop it before another one"
            )


async def _control(session: AsyncSession, request: ExperimentRequest) -> VersionRow:
    """Return the version in production, which control has to be: whoever leaves an arm gets it."""
    found = await holder(session, request.name, request.prompt_type)
    if found is None:
        raise NotFound(
            f"{request.prompt} has no production version: there is nothing to compare with, or to"
            " go back to; tag one `production` first"
        )
    production = await session.get_one(VersionRow, found)
    if production.version != request.plan.baseline:
        raise Conflict(
            f"plan.control {request.plan.baseline} of {request.prompt} is not in production:"
            f" {production.version} is; name it first, or as `control`"
        )
    return production


async def _refuse_unservable(session: AsyncSession, request: ExperimentRequest) -> None:
    query = versions_of(request.name, request.prompt_type)
    known = {row.version: row.status for row in await session.exec(query)}
    for arm in request.plan.arms:
        if arm not in known:
            raise NotFound(
                f"version {arm!r} of {request.prompt} does not exist:"
                f" known are {', '.join(sorted(known)[:10])}"
            )
        if known[arm] not in SERVABLE:
            raise Conflict(
                f"version {arm} of {request.prompt} is {known[arm]}:"
                " only an active version can be tried"
            )


async def _refuse_unknown_metrics(
    session: AsyncSession, plan: ExperimentPlan, *, control: VersionRow
) -> None:
    """A custom number that nobody has reported yet is a typo, or could never be compared."""
    reported = await cells.load(session, version_id=[control.id], experiment_id=[""], epoch=[0])
    known = sorted({*BETTER, *(key.metric for key in reported)})
    named = [("plan.goal", plan.goal)] + [
        (f"plan.guardrails.{number}.metric", guardrail.metric)
        for number, guardrail in enumerate(plan.guardrails)
    ]
    for field, metric in named:
        if metric not in known:
            raise InvalidValue(
                f"{field} {metric!r} was never reported for {control.version}, the version in"
                f" production: known are {', '.join(known)}"
            )
