"""RolloutManager: what a rollout may do, each method one transaction.

Every method may be repeated: the journal's key of a step says whether it has been taken already.
The id of any member of a bundle means the whole of it, all or nothing.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import approval, journal, steps
from domain.amending import Amendments
from domain.bundles import journals, members
from domain.bundles.opening import claim
from domain.database import Database, default_database
from domain.errors import NotFound
from domain.evidence.looks import Judged
from domain.experiments import ABTestManager
from domain.judge import Verdict
from domain.plan import RolloutRequest
from domain.record import Decision, Kind, Rollout
from domain.rollbacks import Rollbacks
from domain.tables import RolloutRow
from domain.timekeeper import Timekeeper


class RolloutManager(Rollbacks, Amendments):
    """Opens, ramps, judges and promotes; rolls back and amends as its bases do."""

    def __init__(self, storage: Database | None = None) -> None:
        self._database = storage or default_database()
        self._experiments = ABTestManager(self._database)
        self.timekeeper = Timekeeper(self._database)

    async def open(
        self,
        request: RolloutRequest,
        *,
        key: str,
        workflow_id: str = "",
        namespace: str | None = None,
    ) -> Rollout:
        """Take the prompts, remember the exact state before, give the candidates their first 0 %.

        Idempotent by `key`. Returned is the rollout of the prompt that leads.

        Raises:
            NotFound: A prompt has no production version, or no such candidate.
            InvalidValue: A guardrail watches a number that production never reported.
            Conflict: Another rollout or experiment is live on a prompt, or the candidate is the
                version in production, a draft, deprecated or archived.
        """
        async with self._database.transaction() as session:
            query = select(RolloutRow).where(RolloutRow.key == key)
            leader = (await session.exec(query)).one_or_none()
            if leader is None:
                taken = await claim(
                    session,
                    request,
                    experiments=self._experiments,
                    key=key,
                    workflow_id=workflow_id,
                )
                for row in taken.rows:
                    row.namespace = namespace
                    await steps.opened(session, row)
                leader = taken.asked
            return await members.recorded(session, leader)

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
            bundle = await members.locked(session, rollout_id)
            for row, held in bundle.holding(epoch):
                await steps.ramp(
                    session,
                    row,
                    experiments=self._experiments,
                    stage=stage,
                    epoch=held,
                    by=by,
                    reason=reason,
                )
            return bundle.asked.epoch

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
            bundle = await members.locked(session, rollout_id)
            verdict = bundle.judged(
                {
                    row.id: await steps.check(session, row, number=number, baked=baked)
                    for row in bundle.rows
                }
            )
            await approval.ask(session, bundle.asked, verdict=verdict, baked=baked)
            return verdict

    async def promote(self, rollout_id: str, *, epoch: int, by: str = "", reason: str = "") -> int:
        """Move the production tag and status to the candidate; return the new epoch.

        Raises:
            NotFound: There is no such rollout.
            Fenced: `epoch` is no longer the prompt's.
            Conflict: The rollout is concluded.
        """
        async with self._database.transaction() as session:
            bundle = await members.locked(session, rollout_id)
            for row, held in bundle.holding(epoch):
                await steps.promote(session, row, epoch=held, by=by, reason=reason)
            return bundle.asked.epoch

    async def complete(self, rollout_id: str) -> None:
        """End well: everybody gets the candidate, the baseline is deprecated.

        Raises:
            NotFound: There is no such rollout.
            Conflict: The rollout is not promoted yet, or was rolled back.
        """
        async with self._database.transaction() as session:
            for row in (await members.locked(session, rollout_id)).rows:
                await steps.complete(session, row)

    async def note(self, rollout_id: str, *, key: str, kind: Kind, by: str, reason: str) -> None:
        """Journal what a person asked for. Idempotent by `key`.

        Raises:
            NotFound: There is no such rollout.
        """
        async with self._database.transaction() as session:
            for row in (await members.locked(session, rollout_id)).rows:
                if not await journal.find(session, row, key):
                    journal.write(session, row, key=key, kind=kind, by=by, reason=reason)

    async def get(self, rollout_id: str) -> Rollout:
        """Return the rollout.

        Raises:
            NotFound: There is no such rollout.
        """
        async with self._database.reading() as session:
            return await members.recorded(session, await _row(session, rollout_id))

    async def leader(self, name: str, prompt_type: str) -> Rollout | None:
        """Return who leads the bundle that the prompt's latest rollout goes along with, if any.

        Nobody, if that is over and the leader's prompt has had another rollout since.
        """
        for latest in await self.list(name, prompt_type, limit=1):
            if latest.bundle_id not in (None, latest.id):
                leader = await self.get(latest.bundle_id)
                (newest,) = await self.list(leader.name, leader.prompt_type, limit=1)
                return leader if newest.id == leader.id else None
        return None

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
            rows = (await session.exec(query)).all()
            return [await members.recorded(session, row) for row in rows]

    async def decisions(self, rollout_id: str, *, limit: int = 1000) -> Sequence[Decision]:
        """Return the latest lines of the journal, oldest first; of a bundle, of all as one."""
        async with self._database.reading() as session:
            return await journals.read(session, rollout_id, limit=limit)

    async def last_check(self, rollout_id: str) -> int:
        """Return the number of the latest check whose grounds are known; 0 if there is none."""
        async with self._database.reading() as session:
            return await journal.last_number(session, rollout_id)

    async def even_checks(self, rollout_id: str, *, most: int) -> Sequence[int]:
        """Return the numbers of about so many checks, evenly chosen: enough for a picture."""
        async with self._database.reading() as session:
            return await journal.even_numbers(session, rollout_id, most=most)

    async def checks(
        self, rollout_id: str, *, numbers: Collection[int] | None = None
    ) -> Sequence[Judged]:
        """Return every check, or those of the numbers, with all that it rested on, oldest first.

        Raises:
            NotFound: There is no such rollout, or retention deleted what its checks rested on.
        """
        async with self._database.reading() as session:
            if gone_at := (await _row(session, rollout_id)).swept_at:
                raise NotFound(
                    f"the evidence of rollout {rollout_id} was deleted on {gone_at:%Y-%m-%d}, as"
                    " retention says; its journal is kept: see it with `rampart journal`"
                )
            return await journal.judged(session, rollout_id, numbers=numbers)

    async def latest_check(self, rollout_id: str) -> Judged | None:
        """Return the latest check with all that it rested on.

        None before the first, of an unknown rollout, and once retention deleted what it rested on.
        """
        async with self._database.reading() as session:
            return await journal.newest(session, rollout_id)


async def _row(session: AsyncSession, rollout_id: str) -> RolloutRow:
    return (await members.found(session, rollout_id)).asked
