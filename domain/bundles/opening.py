"""How a bundle takes its prompts: all of them, in one transaction, or none."""

from collections.abc import Iterator
from secrets import randbits

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import opening
from domain.bundles.companions import flag_of
from domain.bundles.members import Members
from domain.experiments import ABTestManager
from domain.plan import RolloutRequest
from domain.tables import RolloutRow


async def claim(
    session: AsyncSession,
    request: RolloutRequest,
    *,
    experiments: ABTestManager,
    key: str,
    workflow_id: str,
) -> Members:
    """Give every candidate its first 0 %; the one whose prompt is named first leads.

    All get the same salt, and from step to step the same allocation: a user who is given one
    candidate is given them all.

    Raises:
        NotFound, Conflict, InvalidValue: As `RolloutManager.open` says. Nothing is written.
    """
    salt = randbits(32)
    rows: dict[str, RolloutRow] = {}
    # In one order, so that bundles that share prompts do not wait for one another in a circle.
    for each in sorted(alone(request), key=lambda one: (one.name, one.prompt_type)):
        flag = flag_of(each)
        rows[flag] = await opening.claim(
            session,
            each,
            experiments=experiments,
            key=key if flag == flag_of(request) else f"{key}/{flag}",
            workflow_id=workflow_id,
            salt=salt,
        )
    leader = rows[flag_of(request)]
    for row in rows.values() if request.companions else ():
        row.bundle_id = leader.id
        session.add(row)
    return Members(leader, list(rows.values()))


def alone(request: RolloutRequest) -> Iterator[RolloutRequest]:
    """Yield the request for each prompt by itself."""
    yield request.model_copy(update={"companions": ()})
    for companion in request.companions:
        yield request.model_copy(update={"companions": ()} | companion.model_dump())
