"""PostgreSQL's own way to tell: a notice that is part of the transaction it tells of."""

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

CHANNEL = "rampart_routing"
NOTIFY = text(f"NOTIFY {CHANNEL}")


async def notify(session: AsyncSession) -> None:
    """Have who listens told when the transaction commits, once however often this is called.

    It says that, not what: the listener asks for the epochs, as it does every so often anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        await (await session.connection()).execute(NOTIFY)
