"""Rollbacks: the one thing that is allowed from every state, in steps that are each a transaction.

Traffic first, so that users are safe even if the rest cannot be written; then the rest; then it is
read back, and only what was read back counts as rolled back. Every step may be repeated, and
whoever comes next goes on where the one before was killed.
"""

import hashlib
from datetime import UTC, datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal, restoration
from domain.bundles import members
from domain.bundles.members import Members
from domain.database import Database
from domain.epochs import LIVE
from domain.errors import Conflict, NotFound, RollbackIncomplete
from domain.record import Kind, Proof, RolloutStatus
from domain.tables import DecisionRow, RolloutRow

BEGUN = "rolling_back"  # the key of the line that says who began it, and why
RETURNED = frozenset(LIVE) - {RolloutStatus.LIVE} | {RolloutStatus.ROLLED_BACK}


class Rollbacks:
    """The steps, and all of them at once."""

    _database: Database

    async def return_traffic(self, rollout_id: str, *, reason: str, by: str = "") -> int:
        """Give every user the baseline, and fence everybody who would go on; return the epoch.

        Whoever comes first is the one who rolls back, with their reason. A completed rollout may
        still be rolled back while its candidate is in production.

        Raises:
            NotFound: There is no such rollout.
            Conflict: It is completed, and production has moved on since.
        """
        async with self._database.transaction() as session:
            bundle = await members.locked(session, rollout_id)
            for row in bundle.rows:
                if row.status not in RETURNED:
                    await _return_traffic(session, row, by=by, reason=reason)
            return bundle.asked.epoch

    async def restore(self, rollout_id: str) -> None:
        """Restore everything else that was before: routing, tag, statuses, experiment.

        Raises:
            NotFound: There is no such rollout.
            Conflict: Its users have not been returned yet.
        """
        async with self._database.transaction() as session:
            for row in (await members.locked(session, rollout_id)).rows:
                await _restore(session, row)

    async def prove(self, rollout_id: str) -> Proof:
        """Read back; conclude the rollout if all is as before, else journal what is not, once.

        Raises:
            NotFound: There is no such rollout.
            Conflict: Its users have not been returned yet.
        """
        async with self._database.transaction() as session:
            bundle = await members.locked(session, rollout_id)
            begun = await _begun(session, bundle.asked)
            missing = tuple(await _differences(session, bundle))
            proof = Proof(missing=missing, by=begun.by, reason=begun.reason)
            for row in bundle.rows:
                if row.status != RolloutStatus.ROLLED_BACK:
                    await _journal(session, row, proof)
            return proof

    async def roll_back(self, rollout_id: str, *, reason: str, by: str = "") -> Proof:
        """Take all steps; inside a transaction they are one, else each is committed by itself.

        Raises:
            NotFound, Conflict: As for `return_traffic`.
            RollbackIncomplete: What was read back differs; try again.
        """
        await self.return_traffic(rollout_id, reason=reason, by=by)
        await self.restore(rollout_id)
        proof = await self.prove(rollout_id)
        if proof.missing:
            raise RollbackIncomplete(
                f"rollback of rollout {rollout_id!r} is incomplete, its users are on the baseline:"
                f" {'; '.join(proof.missing)}; try again"
            )
        return proof

    async def roll_back_prompt(
        self, name: str, prompt_type: str, *, reason: str, by: str = ""
    ) -> Proof | None:
        """Roll back the rollout that holds the prompt; None if there is none.

        Raises:
            RollbackIncomplete: What was read back differs; try again.
        """
        query = select(RolloutRow).where(
            RolloutRow.name == name,
            RolloutRow.prompt_type == prompt_type,
            col(RolloutRow.status).in_(LIVE),
        )
        async with self._database.reading() as session:
            row = (await session.exec(query)).first()
        if row is None:
            return None
        return await self.roll_back(row.bundle_id or row.id, reason=reason, by=by)

    async def roll_back_directly(
        self, name: str, prompt_type: str, *, reason: str, by: str = ""
    ) -> Proof:
        """Break the glass: roll back whatever holds the prompt, and ask no workflow.

        That finds itself fenced, and concludes as rolled back by the same person.

        Raises:
            NotFound: No rollout holds the prompt.
            RollbackIncomplete: What was read back differs; try again.
        """
        why = f"directly: {reason}" if reason else "directly"
        proof = await self.roll_back_prompt(name, prompt_type, reason=why[:2000], by=by)
        if proof is None:
            raise NotFound(f"no rollout of {name}.{prompt_type} is live in the database")
        return proof

    async def differences(self, rollout_id: str) -> list[str]:
        """Return what a rollback has not restored, if anything; writes nothing.

        Raises:
            NotFound: There is no such rollout.
        """
        async with self._database.reading() as session:
            return await _differences(session, await members.found(session, rollout_id))


async def _return_traffic(session: AsyncSession, row: RolloutRow, *, by: str, reason: str) -> None:
    row.epoch = await restoration.return_traffic(session, row, by=by, reason=reason)
    row.status, row.percent = RolloutStatus.ROLLING_BACK.value, 0.0
    row.concluded_at = None
    journal.write(session, row, key=BEGUN, kind=Kind.ROLLING_BACK, by=by, reason=reason)


async def _restore(session: AsyncSession, row: RolloutRow) -> None:
    begun = await _begun(session, row)
    proven = row.status == RolloutStatus.ROLLED_BACK
    if proven and not await restoration.differences(session, row):
        return
    row.epoch = await restoration.restore(session, row, by=begun.by, reason=begun.reason)
    session.add(row)


async def _differences(session: AsyncSession, bundle: Members) -> list[str]:
    return [
        bundle.name(row, what)
        for row in bundle.rows
        for what in await restoration.differences(session, row)
    ]


async def _begun(session: AsyncSession, row: RolloutRow) -> DecisionRow:
    """Return the line that says who rolls back, and why; before 0.4 it was the last one."""
    line = await journal.find(session, row, BEGUN) or await journal.find(session, row, "roll_back")
    if line is None:
        raise Conflict(f"rollout {row.id!r} is {row.status}: its users have not been returned yet")
    return line


async def _journal(session: AsyncSession, row: RolloutRow, proof: Proof) -> None:
    if not proof.missing:
        row.status, row.concluded_at = RolloutStatus.ROLLED_BACK.value, datetime.now(UTC)
        said = {"by": proof.by, "reason": proof.reason}
        journal.write(session, row, key="roll_back", kind=Kind.ROLLED_BACK, **said)
        return
    row.status = RolloutStatus.ROLLBACK_INCOMPLETE.value
    session.add(row)
    why = "; ".join(proof.missing)
    key = f"rollback_incomplete:{hashlib.sha256(why.encode()).hexdigest()[:12]}"
    if not await journal.find(session, row, key):
        journal.write(session, row, key=key, kind=Kind.ROLLBACK_INCOMPLETE, reason=why)
