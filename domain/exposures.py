"""Which version users were first given in each epoch of an experiment: a record, never the rule."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain.routing import insert_once
from domain.tables import ExperimentRow, ExposureRow


async def record(
    session: AsyncSession, experiment: ExperimentRow, *, user_id: str, version: str
) -> None:
    """Record the user once per epoch; again changes nothing."""
    row = ExposureRow(
        experiment_id=experiment.id,
        user_id=user_id,
        epoch=experiment.epoch,
        version=version,
        at=datetime.now(UTC),
    )
    await insert_once(session, row)


async def latest(
    session: AsyncSession, experiment_id: str, *, user_id: str | None = None
) -> dict[str, str]:
    """Return the version of each user's latest epoch; of one user when named."""
    query = select(ExposureRow.user_id, ExposureRow.version).where(_latest_of(experiment_id))
    if user_id is not None:
        query = query.where(ExposureRow.user_id == user_id)
    return dict((await session.exec(query)).all())


async def count(session: AsyncSession, experiment_id: str) -> dict[str, int]:
    """Return how many users' latest epoch has each version."""
    users = select(ExposureRow.version, func.count()).where(_latest_of(experiment_id))
    return dict((await session.exec(users.group_by(col(ExposureRow.version)))).all())


def _latest_of(experiment_id: str) -> ColumnElement[bool]:
    other = aliased(ExposureRow)
    last = (
        select(func.max(other.epoch))
        .where(other.experiment_id == experiment_id, other.user_id == ExposureRow.user_id)
        .correlate(ExposureRow)
        .scalar_subquery()
    )
    return (col(ExposureRow.experiment_id) == experiment_id) & (col(ExposureRow.epoch) == last)
