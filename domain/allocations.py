"""An experiment's life on its prompt: it starts, its allocation moves epoch by epoch, it ends.

Exactly one allocation is open while an experiment runs or is paused. Everything here happens in
the caller's transaction, with the prompt locked.
"""

from datetime import datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from domain import clock
from domain.assignment import Allocation
from domain.errors import Conflict, InvalidValue, NotFound, VersioningError
from domain.prompts import ExperimentStatus
from domain.routing import claim_epoch, live_rollout, lock_prompt
from domain.snapshot import SPLITTING
from domain.tables import AllocationRow, ExperimentRow, RoutingRow

STAY = ""  # as `route_to`: the prompt stays routed as it is


async def find(session: AsyncSession, experiment_id: str) -> ExperimentRow | None:
    """Return the experiment of that id, else the one running, else paused, of that name.

    Raises:
        VersioningError: Several have that name.
    """
    if row := await session.get(ExperimentRow, experiment_id):
        return row
    for status in SPLITTING:
        named = (ExperimentRow.name == experiment_id, ExperimentRow.status == status.value)
        rows = (await session.exec(select(ExperimentRow).where(*named))).all()
        if len(rows) > 1:
            raise VersioningError(
                f"{len(rows)} {status} experiments are named {experiment_id!r}: give an id"
            )
        if rows:
            return rows[0]
    return None


async def locked(
    session: AsyncSession, experiment_id: str, *, held: int | None = None
) -> ExperimentRow:
    """Return the row, as it is once no other writer of its prompt is at work.

    Raises:
        NotFound: There is no such experiment.
        Fenced: The prompt is not at the epoch `held` any more.
    """
    row = await find(session, experiment_id)
    if row is not None:
        await lock_prompt(session, row.name, row.prompt_type, held=held)
        row = await session.get(ExperimentRow, row.id, populate_existing=True)
    if row is None:
        raise NotFound(f"Experiment not found: {experiment_id}")
    return row


async def allocation_of(session: AsyncSession, row: ExperimentRow) -> Allocation:
    """Return which arm holds what at present."""
    found = await session.get_one(AllocationRow, (row.id, row.epoch))
    return Allocation(tuple(found.starts), tuple(found.arms))


async def start(session: AsyncSession, row: ExperimentRow) -> ExperimentRow:
    """Route the prompt to a new experiment; given again, return the one there is.

    Raises:
        Conflict: A rollout is live on the prompt, or the id is another experiment's.
    """
    await lock_prompt(session, row.name, row.prompt_type)
    if existing := await session.get(ExperimentRow, row.id):
        return _same(existing, row)
    if row.rollout_id is None:
        await _refuse_while_live(session, row)
    routing = await claim_epoch(session, row.name, row.prompt_type)
    routing.experiment_id = row.id
    session.add(row)
    allocation = Allocation.of(list(row.traffic_split.values()))
    await _open(session, row, allocation=allocation, routing=routing)
    return row


async def reallocated(session: AsyncSession, row: ExperimentRow, *, split: dict[str, float]) -> int:
    """Move the fewest users to reach the split; return the prompt's epoch.

    Raises:
        Conflict: The experiment has ended.
    """
    if row.status not in SPLITTING:
        raise Conflict(f"experiment {row.id} is {row.status}, cannot reallocate")
    before = await allocation_of(session, row)
    after = before.reallocate(list(split.values()))
    if after == before:
        return (await lock_prompt(session, row.name, row.prompt_type)).epoch
    routing = await claim_epoch(session, row.name, row.prompt_type)
    await _close(session, row, at=routing.changed_at)
    row.traffic_split = split
    await _open(session, row, allocation=after, routing=routing)
    return routing.epoch


async def to_status(
    session: AsyncSession,
    row: ExperimentRow,
    *,
    status: ExperimentStatus,
    end_date: datetime | None = None,
) -> bool:
    """Set the status, the prompt being locked; return whether what the prompt serves may change.

    Raises:
        Conflict: The experiment has ended and should go on.
    """
    if row.status == status:
        return False
    ended = row.status not in SPLITTING
    if ended and status in SPLITTING:
        raise Conflict(f"experiment {row.id} is {row.status}, cannot be {status} again")
    if not ended and status not in SPLITTING:
        now = await clock.now(session)
        row.end_date = end_date or now
        await _close(session, row, at=now)
    row.status = status.value
    session.add(row)
    return (await lock_prompt(session, row.name, row.prompt_type)).experiment_id == row.id


async def conclude(
    session: AsyncSession,
    experiment_id: str,
    status: ExperimentStatus,
    *,
    winner: str | None = None,
    route_to: str | None = STAY,
    held: int | None = None,
) -> int:
    """End a rollout's experiment inside its transaction; return the prompt's epoch. Idempotent.

    Args:
        session: The rollout's.
        experiment_id: The experiment's.
        status: Completed or stopped.
        winner: The version a completed one leaves behind if none is in production.
        route_to: The experiment, or none, that the prompt is to be routed to from now on.
        held: The epoch the caller believes in.

    Raises:
        NotFound: There is no such experiment.
        InvalidValue: The winner is none of its versions.
        Fenced: The prompt is not at the epoch `held` any more.
    """
    row = await locked(session, experiment_id, held=held)
    _crown(row, winner)
    changes = await to_status(session, row, status=status)
    routing = await lock_prompt(session, row.name, row.prompt_type)
    goal = routing.experiment_id if route_to == STAY else route_to
    if changes or goal != routing.experiment_id:
        routing = await claim_epoch(session, row.name, row.prompt_type)
        routing.experiment_id = goal
    await session.flush()
    return routing.epoch


def _crown(row: ExperimentRow, winner: str | None) -> None:
    if winner is None:
        return
    if winner not in row.traffic_split:
        raise InvalidValue(f"winner must be one of {list(row.traffic_split)}, got {winner!r}")
    row.metrics = row.metrics | {"winner": winner}


async def _open(
    session: AsyncSession, row: ExperimentRow, *, allocation: Allocation, routing: RoutingRow
) -> None:
    row.epoch = routing.epoch
    session.add(row)
    await session.flush()  # the allocation refers to it
    opened = AllocationRow(
        experiment_id=row.id,
        epoch=routing.epoch,
        starts=list(allocation.starts),
        arms=list(allocation.arms),
        started_at=routing.changed_at,
    )
    session.add(opened)
    await session.flush()


async def _close(session: AsyncSession, row: ExperimentRow, *, at: datetime) -> None:
    allocation = await session.get_one(AllocationRow, (row.id, row.epoch))
    allocation.ended_at = at
    session.add(allocation)


def _same(existing: ExperimentRow, wanted: ExperimentRow) -> ExperimentRow:
    """Refuse an id that was given before, unless it is the same experiment again."""
    kept = ("name", "prompt_type", "variants", "rollout_id")
    if any(getattr(existing, field) != getattr(wanted, field) for field in kept):
        raise Conflict(f"experiment id {wanted.id!r} is taken by another experiment")
    return existing


async def _refuse_while_live(session: AsyncSession, row: ExperimentRow) -> None:
    if rollout := await live_rollout(session, row.name, row.prompt_type):
        raise Conflict(
            f"rollout {rollout} is live on {row.name}.{row.prompt_type}:"
            " promote or roll it back before an experiment"
        )
