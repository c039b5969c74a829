"""TrialManager: what a trial may do, each method one transaction.

Every method may be repeated: the journal's key of a step says whether it has been taken already.
"""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.database import Database, default_database
from domain.errors import Conflict, NotFound
from domain.experiments import ABTestManager
from domain.routing import lock_prompt
from domain.tables import TrialRow
from domain.trials import ending as trial_ending
from domain.trials import inspection
from domain.trials import journal as trial_journal
from domain.trials.findings import Conclusion, Report, Step, Trial, TrialLine, TrialStatus
from domain.trials.opening import claim
from domain.trials.plan import ExperimentPlan, ExperimentRequest


class TrialManager:
    """Opens, looks at, concludes and ends trials."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._experiments = ABTestManager(self._database)

    async def open(self, request: ExperimentRequest, *, key: str, workflow_id: str = "") -> Trial:
        """Take the prompt and split its users as the plan says.

        Idempotent by `key`.

        Raises:
            NotFound: The prompt has no production version, or one of the variants does not exist.
            Conflict: A rollout or experiment is live on the prompt, control is not in production,
                or a variant is a draft, deprecated or archived.
            InvalidValue: A custom metric was never reported.
        """
        async with self._database.transaction() as session:
            query = select(TrialRow).where(TrialRow.key == key)
            row = (await session.exec(query)).one_or_none()
            if row is None:
                row = await claim(
                    session,
                    request,
                    experiments=self._experiments,
                    key=key,
                    workflow_id=workflow_id,
                )
                shares = ", ".join(f"{v} {s:.0%}" for v, s in request.plan.shares.items())
                why = trial_ending.because(f"users are split: {shares}", request.reason)
                trial_journal.write(
                    session, row, key="open", step=Step.OPENED, by=row.by, reason=why
                )
            return _trial(row)

    async def look(self, trial_id: str, *, number: int) -> Report:
        """Look at every arm against control, and journal what was seen with its evidence.

        Idempotent by `number`: a repeated look answers as it did.

        Raises:
            NotFound: There is no such trial, or its experiment or a version was deleted.
            Conflict: The trial, or its experiment, has ended.
            Fenced: Somebody else has changed the prompt's routing.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if taken := await trial_journal.find(session, row, f"check:{number}"):
                return Report.model_validate(taken.report)
            _refuse_unless_live(row, "look")
            await lock_prompt(session, row.name, row.prompt_type, held=row.epoch)
            report = await inspection.look(session, row, number=number)
            trial_journal.write(
                session,
                row,
                key=f"check:{number}",
                step=Step.CHECKED,
                reason=report.said,
                report=report,
            )
            return report

    async def stop_arm(
        self, trial_id: str, arm: str, *, epoch: int, reason: str, by: str = ""
    ) -> int:
        """Give an arm's users back to control; nobody else moves. Return the new epoch.

        Raises:
            NotFound: There is no such trial, or no such treatment in it.
            Fenced: `epoch` is no longer the prompt's: somebody else has changed its routing.
            Conflict: The trial has ended.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if arm in row.stopped:
                return row.epoch
            _refuse_unless_live(row, "stop an arm")
            plan = ExperimentPlan.model_validate(row.plan)
            if arm not in plan.treatments:
                raise NotFound(f"experiment {row.id!r} has no treatment {arm!r}")
            shares = dict((await inspection.experiment_of(session, row)).traffic_split)
            shares[plan.baseline] += shares[arm]
            shares[arm] = 0.0
            row.epoch = await self._experiments.reallocate(row.id, shares, held=epoch)
            row.stopped = [*row.stopped, arm]
            why = f"{arm} is stopped, its users get {plan.baseline}: {reason}"
            trial_journal.write(
                session, row, key=f"stop:{arm}", step=Step.ARM_STOPPED, by=by, reason=why
            )
            return row.epoch

    async def conclude(
        self, trial_id: str, *, early: bool = False, by: str = "", reason: str = ""
    ) -> Conclusion:
        """Ask the tests of the end, once: asked again, it answers as it did. Nobody moves.

        `early` says that a person chose the moment, and not the plan.

        Raises:
            NotFound: There is no such trial, or its experiment or a version was deleted.
            Conflict: The trial has ended.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if row.conclusion is not None:
                return trial_ending.conclusion_of(row)
            _refuse_unless_live(row, "conclude")
            return await trial_ending.decide(session, row, early=early, by=by, reason=reason)

    async def deploy(
        self, trial_id: str, version: str, *, epoch: int, by: str = "", reason: str = ""
    ) -> Conclusion:
        """Put a treatment in production at once, by the seed's steps, in one transaction.

        The production tag moves, the version is `production`, the experiment is completed with its
        winner, the version before is `deprecated`.

        Raises:
            NotFound: There is no such trial, or no such treatment in it.
            Fenced: `epoch` is no longer the prompt's.
            Conflict: The trial has ended, or the arm was stopped.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if row.status == TrialStatus.DEPLOYED:
                return trial_ending.conclusion_of(row)
            _refuse_unless_live(row, "deploy")
            return await trial_ending.deploy(
                session, row, version, epoch=epoch, by=by, reason=reason
            )

    async def release(
        self,
        trial_id: str,
        ending: TrialStatus,
        *,
        chosen: str = "",
        by: str = "",
        reason: str = "",
    ) -> Conclusion:
        """End without moving production: control for everybody. One that has ended stays ended.

        Allowed whatever others have done to the prompt meanwhile: if somebody has routed it
        elsewhere, that stays.

        Args:
            trial_id: The trial.
            ending: KEPT; HANDED_OVER, before the `chosen` version is rolled out; or STOPPED, which
                also routes the prompt to what it was routed to before.
            chosen: The version that a rollout takes over.
            by: Who asked.
            reason: And why.

        Raises:
            NotFound: There is no such trial.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if row.status != TrialStatus.LIVE:
                return trial_ending.conclusion_of(row)
            return await trial_ending.release(
                session, row, ending, chosen=chosen, by=by, reason=reason
            )

    async def settle(self, trial_id: str, *, deployed: str | None, reason: str) -> Conclusion:
        """Record what became of the rollout that took over. Idempotent.

        Raises:
            NotFound: There is no such trial.
            Conflict: It was not handed over.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if row.status != TrialStatus.HANDED_OVER:
                raise Conflict(f"experiment {row.id!r} is {row.status}, cannot settle")
            if not await trial_journal.find(session, row, "settle"):
                trial_ending.settle(session, row, deployed=deployed, reason=reason)
            return trial_ending.conclusion_of(row)

    async def note(self, trial_id: str, *, key: str, step: Step, by: str, reason: str) -> None:
        """Journal what a person asked for. Idempotent by `key`.

        Raises:
            NotFound: There is no such trial.
        """
        async with self._database.transaction() as session:
            row = await _locked(session, trial_id)
            if not await trial_journal.find(session, row, key):
                trial_journal.write(session, row, key=key, step=step, by=by, reason=reason)

    async def get(self, trial_id: str) -> Trial:
        """Return the trial.

        Raises:
            NotFound: There is no such trial.
        """
        async with self._database.reading() as session:
            return _trial(await _found(session, trial_id))

    async def list(
        self, name: str | None = None, prompt_type: str | None = None, *, limit: int = 100
    ) -> Sequence[Trial]:
        """Return trials, the newest first; of one prompt when it is named."""
        query = select(TrialRow).order_by(col(TrialRow.id).desc()).limit(limit)
        if name is not None:
            query = query.where(TrialRow.name == name)
        if prompt_type is not None:
            query = query.where(TrialRow.prompt_type == prompt_type)
        async with self._database.reading() as session:
            return [_trial(row) for row in await session.exec(query)]

    async def lines(self, trial_id: str, *, limit: int = 1000) -> Sequence[TrialLine]:
        """Return the latest lines of the journal, oldest first."""
        async with self._database.reading() as session:
            return await trial_journal.read(session, trial_id, limit=limit)


async def _locked(session: AsyncSession, trial_id: str) -> TrialRow:
    """Return the row, locked, so that two writers of one trial follow one another."""
    return await _found(session, trial_id, lock=True)


async def _found(session: AsyncSession, trial_id: str, *, lock: bool = False) -> TrialRow:
    query = select(TrialRow).where(TrialRow.id == trial_id)
    row = (await session.exec(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"no trial {trial_id!r}")
    return row


def _trial(row: TrialRow) -> Trial:
    return Trial.model_validate(row.model_dump())


def _refuse_unless_live(row: TrialRow, verb: str) -> None:
    if row.status != TrialStatus.LIVE:
        raise Conflict(f"experiment {row.id!r} is {row.status}, cannot {verb}")
