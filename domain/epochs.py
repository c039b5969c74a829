"""The epoch of what a prompt serves: one row, which is the prompt's lock too.

Every change of what a prompt serves goes through `claim_epoch`; it locks the prompt until the
transaction ends, and has everybody told when it is committed.
"""

from datetime import UTC, datetime

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from domain import clock
from domain.broadcast.notice import notify
from domain.database import note_change
from domain.errors import Fenced
from domain.tables import RolloutRow, RoutingRow

LIVE = ("live", "rolling_back", "rollback_incomplete")  # of a rollout that holds its prompt


async def lock_prompt(
    session: AsyncSession, name: str, prompt_type: str, *, held: int | None = None
) -> RoutingRow:
    """Keep every other writer of the prompt waiting until the transaction ends.

    Raises:
        Fenced: The writer holds another epoch than the routing's.
    """
    fresh = RoutingRow(name=name, prompt_type=prompt_type, epoch=0, changed_at=datetime.now(UTC))
    await insert_once(session, fresh)
    row = (await session.exec(routing_row(name, prompt_type).with_for_update())).one()
    if held is not None and row.epoch != held:
        raise Fenced(
            f"{name}.{prompt_type} is at epoch {row.epoch}, this writer holds {held}: "
            "somebody else has changed it since"
        )
    return row


async def claim_epoch(
    session: AsyncSession, name: str, prompt_type: str, *, held: int | None = None
) -> RoutingRow:
    """Raise the prompt's epoch by one and return its row, for the caller to set the experiment.

    Raises:
        Fenced: The writer holds another epoch than the routing's.
    """
    row = await lock_prompt(session, name, prompt_type, held=held)
    row.epoch += 1
    row.changed_at = await clock.now(session)  # events are held against it
    session.add(row)
    note_change(session, (name, prompt_type))
    await notify(session)
    return row


async def live_rollout(session: AsyncSession, name: str, prompt_type: str) -> str | None:
    """Return the id of the rollout that is live on the prompt, if one is."""
    of_prompt = (RolloutRow.name == name, RolloutRow.prompt_type == prompt_type)
    query = select(RolloutRow.id).where(*of_prompt, col(RolloutRow.status).in_(LIVE))
    return (await session.exec(query)).first()


async def insert_once(session: AsyncSession, row: SQLModel) -> None:
    """Insert the row unless its key is taken; concurrent inserts of one key do not fail."""
    dialect = {"sqlite": sqlite, "postgresql": postgresql}[session.get_bind().dialect.name]
    statement: Insert = dialect.insert(type(row)).on_conflict_do_nothing()
    await session.exec(statement.values(row.model_dump()))


def routing_row(name: str, prompt_type: str) -> SelectOfScalar[RoutingRow]:
    """Return the query for a prompt's row, as it is now."""
    of_prompt = (RoutingRow.name == name, RoutingRow.prompt_type == prompt_type)
    # A row this session has already read may have been changed by another one since.
    return select(RoutingRow).where(*of_prompt).execution_options(populate_existing=True)
