"""The one clock by which waiting is measured: the database's, whichever worker asks.

A worker whose own clock is an hour wrong would otherwise see an hour of silence between two checks.
"""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession


async def now(session: AsyncSession) -> datetime:
    """Return the instant by PostgreSQL's clock; on SQLite there is but one machine, and its clock.

    Not that of the transaction's beginning: it may have waited for a lock since.
    """
    if session.get_bind().dialect.name != "postgresql":
        return datetime.now(UTC)
    connection = await session.connection()
    found: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return found.astimezone(UTC)
