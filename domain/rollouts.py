"""RolloutManager: what a rollout may do, each method one transaction.

Every method may be repeated: the journal's key of a step says whether it has been taken already.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.allocations import conclude
from domain.database import Database, default_database
from domain.errors import Conflict, NotFound
from domain.evidence import checks
from domain.evidence.looks import Judged
from domain.experiments import ABTestManager
from domain.judge import Verdict
from domain.leases import lease_until
from domain.opening import claim
from domain.plan import RolloutPlan, RolloutRequest
from domain.prompts import ExperimentStatus, VersionStatus
from domain.record import Decision, Kind, Rollout, RolloutStatus
from domain.rollbacks import Rollbacks, found, locked
from domain.routing import PRODUCTION_TAG
from domain.tables import RolloutRow, VersionRow
from domain.tags import move_tag


class RolloutManager(Rollbacks):
    """Opens, ramps, judges and promotes; rolls back as `Rollbacks` does."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._experiments = ABTestManager(self._database)

    async def open(
        self,
        request: RolloutRequest,
        *,
        key: str,
        workflow_id: str = "",
        namespace: str | None = None,
    ) -> Rollout:
        """Take the prompt, remember the exact state before, give the candidate its first 0 %.

        Idempotent by `key`.

        Raises:
            NotFound: The prompt has no production version, or no such candidate.
            InvalidValue: A guardrail watches a number that production never reported.
            Conflict: Another rollout or experiment is live on the prompt, or the candidate is the
                version in production, a draft, deprecated or archived.
        """
        async with self._database.transaction() as session:
            query = select(RolloutRow).where(RolloutRow.key == key)
            row = (await session.exec(query)).one_or_none()
            if row is None:
                row = await claim(
                    session,
                    request,
                    experiments=self._experiments,
                    key=key,
                    workflow_id=workflow_id,
                )
                row.namespace = namespace
                said = f"{request.candidate} is to replace production by plan {request.plan.name}"
                why = _because(said, request.reason)
                journal.write(session, row, key="open", kind=Kind.OPENED, by=row.by, reason=why)
            return await _rollout(session, row)

    async def ramp(
        self, rollout_id: str, *, stage: int, epoch: int, by: str = "", reason: str = ""
    ) -> int:
        """Give the candidate the share of users that `stage` (from 1) says; return the new epoch.

        Raises:
            NotFound: There is no such rollout.
            Fenced: `epoch` is no longer the prompt's: somebody else has changed its routing.
            Conflict: The rollout is concluded.
        """
        async with self._database.transaction() as session:
            row = await locked(session, rollout_id)
            if await journal.find(session, row, f"ramp:{stage}"):
                return row.epoch
            _refuse_unless_live(row, "ramp")
            plan = RolloutPlan.model_validate(row.plan)
            share = plan.share_at(stage) / 100
            baseline, candidate = await _arms(session, row)
            row.epoch = await self._experiments.reallocate(
                row.experiment_id,
                {baseline.version: 1 - share, candidate.version: share},
                held=epoch,
            )
            row.stage, row.percent = stage, plan.stages[stage - 1].percent
            said = f"{plan.share_at(stage):g} % of users get {candidate.version}"
            why = _because(f"{said} (stage {stage} of {len(plan.stages)})", reason)
            journal.write(session, row, key=f"ramp:{stage}", kind=Kind.RAMPED, by=by, reason=why)
            return row.epoch

    async def check(
        self, rollout_id: str, *, number: int, baked: timedelta = timedelta(0)
    ) -> Verdict:
        """Judge the guardrails on what has been counted, and journal it with its evidence.

        Idempotent by `number`: a repeated check answers as it did. `baked` is how long the present
        stage has baked, for `max_bake`.

        Raises:
            NotFound: There is no such rollout.
            Conflict: The rollout is concluded.
        """
        async with self._database.transaction() as session:
            row = await locked(session, rollout_id)
            if taken := await journal.find(session, row, f"check:{number}"):
                return journal.verdict_of(taken)
            _refuse_unless_live(row, "check")
            judged = await checks.judge(session, row, number=number, baked=baked)
            await journal.write_verdict(session, row, number=number, judged=judged)
            return judged.verdict

    async def promote(self, rollout_id: str, *, epoch: int, by: str = "", reason: str = "") -> int:
        """Move the production tag and status to the candidate; return the new epoch.

        Raises:
            NotFound: There is no such rollout.
            Fenced: `epoch` is no longer the prompt's.
            Conflict: The rollout is concluded.
        """
        async with self._database.transaction() as session:
            row = await locked(session, rollout_id)
            if await journal.find(session, row, "promote"):
                return row.epoch
            _refuse_unless_live(row, "promote")
            baseline, candidate = await _arms(session, row)
            row.epoch = await move_tag(
                session, candidate, PRODUCTION_TAG, held=epoch, by=by, reason=f"rollout {row.id}"
            )
            candidate.status = VersionStatus.PRODUCTION
            if baseline.status == VersionStatus.PRODUCTION:
                baseline.status = VersionStatus.ACTIVE
            session.add_all([row, baseline, candidate])
            why = _because(f"{candidate.version} is in production", reason)
            journal.write(session, row, key="promote", kind=Kind.PROMOTED, by=by, reason=why)
            return row.epoch

    async def complete(self, rollout_id: str) -> None:
        """End well: everybody gets the candidate, the baseline is deprecated.

        Raises:
            NotFound: There is no such rollout.
            Conflict: The rollout is not promoted yet, or was rolled back.
        """
        async with self._database.transaction() as session:
            row = await locked(session, rollout_id)
            if await journal.find(session, row, "complete"):
                return
            _refuse_unless_live(row, "complete")
            if not await journal.find(session, row, "promote"):
                raise Conflict(f"rollout {row.id!r} is not promoted yet, cannot complete")
            baseline, candidate = await _arms(session, row)
            row.epoch = await conclude(
                session, row.experiment_id, ExperimentStatus.COMPLETED, winner=candidate.version
            )
            baseline.status = VersionStatus.DEPRECATED
            session.add(baseline)
            _conclude(row, RolloutStatus.PROMOTED)
            why = f"{candidate.version} serves everybody; {baseline.version} is deprecated"
            journal.write(session, row, key="complete", kind=Kind.COMPLETED, reason=why)

    async def note(self, rollout_id: str, *, key: str, kind: Kind, by: str, reason: str) -> None:
        """Journal what a person asked for. Idempotent by `key`.

        Raises:
            NotFound: There is no such rollout.
        """
        async with self._database.transaction() as session:
            row = await locked(session, rollout_id)
            if not await journal.find(session, row, key):
                journal.write(session, row, key=key, kind=kind, by=by, reason=reason)

    async def get(self, rollout_id: str) -> Rollout:
        """Return the rollout.

        Raises:
            NotFound: There is no such rollout.
        """
        async with self._database.reading() as session:
            return await _rollout(session, await found(session, rollout_id))

    async def list(
        self, name: str | None = None, prompt_type: str | None = None, *, limit: int = 100
    ) -> Sequence[Rollout]:
        """Return rollouts, the newest first; of one prompt when it is named."""
        query = select(RolloutRow).order_by(col(RolloutRow.id).desc()).limit(limit)
        if name is not None:
            query = query.where(RolloutRow.name == name)
        if prompt_type is not None:
            query = query.where(RolloutRow.prompt_type == prompt_type)
        async with self._database.reading() as session:
            return [await _rollout(session, row) for row in await session.exec(query)]

    async def decisions(self, rollout_id: str, *, limit: int = 1000) -> Sequence[Decision]:
        """Return the latest lines of the journal, oldest first."""
        async with self._database.reading() as session:
            return await journal.read(session, rollout_id, limit=limit)

    async def checks(self, rollout_id: str) -> Sequence[Judged]:
        """Return every check with all that it rested on, oldest first.

        Raises:
            NotFound: There is no such rollout, or retention deleted what its checks rested on.
        """
        async with self._database.reading() as session:
            if gone_at := (await found(session, rollout_id)).swept_at:
                raise NotFound(
                    f"the evidence of rollout {rollout_id} was deleted on {gone_at:%Y-%m-%d}, as"
                    " retention says; its journal is kept: see it with `rampart journal`"
                )
            return await journal.judged(session, rollout_id)


async def _arms(session: AsyncSession, row: RolloutRow) -> tuple[VersionRow, VersionRow]:
    """Return baseline and candidate."""
    baseline = await session.get_one(VersionRow, row.baseline_id)
    return baseline, await session.get_one(VersionRow, row.candidate_id)


async def _rollout(session: AsyncSession, row: RolloutRow) -> Rollout:
    baseline, candidate = await _arms(session, row)
    versions = {"baseline": baseline.version, "candidate": candidate.version}
    return Rollout.model_validate(row.model_dump() | versions)


def _because(said: str, reason: str) -> str:
    return f"{said}: {reason}" if reason else said


def _refuse_unless_live(row: RolloutRow, verb: str) -> None:
    """Let only a live one go on, and renew its lease: somebody looks after it."""
    if row.status != RolloutStatus.LIVE:
        raise Conflict(f"rollout {row.id!r} is {row.status}, cannot {verb}")
    row.lease_until = lease_until(RolloutPlan.model_validate(row.plan), now=datetime.now(UTC))


def _conclude(row: RolloutRow, status: RolloutStatus) -> None:
    row.status, row.concluded_at = status.value, datetime.now(UTC)
