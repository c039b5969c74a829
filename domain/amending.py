"""How the plan of a live rollout is changed: judged, written and journalled in one transaction."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.amendment import Amended, Amendment, diff, objection
from domain.bundles import members
from domain.bundles.members import Members
from domain.bundles.verdicts import parted
from domain.database import Database
from domain.errors import Conflict
from domain.evidence import checks
from domain.evidence.carrying import shortfalls
from domain.judge import Reading, Standing
from domain.plan import RolloutPlan
from domain.record import Kind, RolloutStatus
from domain.tables import DecisionRow, RolloutRow
from domain.windows.opening import refuse_unknown_zone


class Amendments:
    """The part of `RolloutManager` that changes plans; a bundle has one."""

    _database: Database

    async def amend(
        self,
        rollout_id: str,
        wish: Amendment,
        *,
        key: str,
        kind: Kind = Kind.AMENDED,
        by: str = "",
        reason: str = "",
    ) -> Amended:
        """Replace the plan of a live rollout; its evidence, salt and users stay.

        Idempotent by `key`. `kind` is how the journal calls it: amended or extended.

        Raises:
            NotFound: There is no such rollout.
            InvalidPlan: It would be no plan any more.
            Conflict: The rollout is concluded, or its state forbids the change; nothing is written.
        """
        async with self._database.transaction() as session:
            bundle = await members.locked(session, rollout_id)
            if taken := await journal.find(session, bundle.asked, key):
                return Amended.model_validate(taken.details)
            before = RolloutPlan.model_validate(bundle.asked.plan)
            after = wish.of(before)
            refuse_unknown_zone(after.windows, where="plan: windows")
            await _refuse_illegal(session, bundle, before, after)
            told = [*diff(before, after), *await _shortfalls(session, bundle, after)]
            because = f"{'; '.join(told)}: {reason}" if reason else "; ".join(told)
            made = {}
            for row in bundle.rows:
                looked = (await journal.latest(session, row)).number
                change = Amended(before=before, after=after, diff=tuple(told), checks=looked)
                row.plan = after.model_dump(mode="json")
                line = journal.write(session, row, key=key, kind=kind, by=by, reason=because)
                line.details = change.model_dump(mode="json")
                made[row.id] = change
            return made[rollout_id]

    async def amendments(self, rollout_id: str) -> Sequence[Amended]:
        """Return how the plan was changed, oldest first."""
        async with self._database.reading() as session:
            return await journal.amendments(session, rollout_id)


async def _refuse_illegal(
    session: AsyncSession, bundle: Members, before: RolloutPlan, after: RolloutPlan
) -> None:
    for row in bundle.rows:
        if row.status != RolloutStatus.LIVE:
            raise Conflict(f"rollout {row.id!r} is {row.status}, cannot be amended")
        fired = await _fired(session, row)
        if why := objection(before, after, reached=row.stage, fired=fired):
            raise Conflict(f"rollout {row.id!r} cannot be amended: {why}")


async def _shortfalls(session: AsyncSession, bundle: Members, after: RolloutPlan) -> Sequence[str]:
    plan = parted(after, among=len(bundle.rows))
    return [
        bundle.name(row, line)
        for row in bundle.rows
        for line in shortfalls(await checks.evidence_for(session, row, plan), plan)
    ]


async def _fired(session: AsyncSession, row: RolloutRow) -> set[str]:
    """Return the names of the guardrails that any check read as harmed."""
    query = select(col(DecisionRow.readings)).where(
        DecisionRow.rollout_id == row.id, DecisionRow.kind == Kind.CHECKED.value
    )
    readings = [Reading.model_validate(one) for many in await session.exec(query) for one in many]
    return {reading.guardrail for reading in readings if reading.standing is Standing.HARMED}
