"""What holds the steps of a rollout to its windows, in the transaction of the step itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.bundles.opening import alone
from domain.database import Database
from domain.errors import InvalidValue, Unavailable
from domain.opening import preview
from domain.plan import RolloutPlan, RolloutRequest
from domain.tables import DecisionRow, RolloutRow
from domain.windows.opening import Closed, closed_at
from domain.windows.plan import Windows
from domain.windows.timing import When, refuse_unless_timely


class Timekeeper:
    """Knows when a rollout may advance. Rollbacks do not ask it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def step(self, rollout_id: str, key: str, *, when: When) -> AsyncIterator[None]:
        """Take a step inside of this, with it in one transaction, or not at all.

        A step of that key that was taken already may be repeated at any time.

        Raises:
            NotNow: The rollout's windows are closed.
            Stale: The step was asked for too long ago.
        """
        async with self._database.transaction() as session:
            if not await _taken(session, rollout_id, key):
                windows = await _windows(session, rollout_id)
                with _known_zones():
                    refuse_unless_timely(windows, when)
            yield

    async def preview(self, request: RolloutRequest) -> str:
        """Return the version that a rollout opened later is to replace, as things are now.

        Raises:
            NotFound, Conflict, InvalidValue: It could not be opened.
        """
        async with self._database.reading() as session:
            leader, *_ = [await preview(session, each) for each in alone(request)]
        return leader

    async def closed(self, rollout_id: str, at: datetime) -> Closed | None:
        """Return why nothing may advance at an instant; None when it may."""
        async with self._database.reading() as session:
            windows = await _windows(session, rollout_id)
        with _known_zones():
            return closed_at(windows, at)


@contextmanager
def _known_zones() -> Iterator[None]:
    """Take a time zone that only this machine does not know for an outage: others may know it."""
    try:
        yield
    except InvalidValue as error:
        raise Unavailable(f"the windows cannot be told here: {error}") from error


async def _windows(session: AsyncSession, rollout_id: str) -> Windows:
    """Return the windows of the plan as it is now; none of a rollout that is not there."""
    query = select(RolloutRow.plan).where(RolloutRow.id == rollout_id)
    found = (await session.exec(query)).one_or_none()
    return RolloutPlan.model_validate(found).windows if found else Windows()


async def _taken(session: AsyncSession, rollout_id: str, key: str) -> bool:
    query = select(DecisionRow.id).where(
        DecisionRow.rollout_id == rollout_id, DecisionRow.key == key
    )
    return (await session.exec(query)).first() is not None
