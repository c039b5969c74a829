"""The journals of a bundle's prompts, read as one: a line for each step, naming who differs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlmodel.ext.asyncio.session import AsyncSession

from domain import journal
from domain.bundles import members
from domain.bundles.companions import flag_of
from domain.bundles.verdicts import together
from domain.errors import NotFound
from domain.record import Decision, Kind
from domain.tables import DecisionRow


async def read(session: AsyncSession, rollout_id: str, *, limit: int) -> Sequence[Decision]:
    """Return the latest lines, oldest first; of an unknown rollout none."""
    try:
        rows = (await members.found(session, rollout_id)).rows
    except NotFound:
        return []
    flags = {row.id: flag_of(row) for row in members.leader_first(rows)}
    found = await journal.read(session, list(flags), limit=limit * len(flags))
    steps: defaultdict[str, dict[str, DecisionRow]] = defaultdict(dict)
    for line in found:
        steps[line.key][line.rollout_id] = line
    return [
        _as_one({flag: step[key] for key, flag in flags.items() if key in step})
        for step in steps.values()
    ]


def _as_one(lines: Mapping[str, DecisionRow]) -> Decision:
    """Return one line for what was done to all; `lines` are by flag key, the leader's first."""
    told = Decision.model_validate(next(iter(lines.values())).model_dump())
    if told.kind is Kind.CHECKED:
        verdict = together({flag: journal.verdict_of(line) for flag, line in lines.items()})
        return told.model_copy(update=dict(verdict))
    if len({line.reason for line in lines.values()}) == 1:
        return told
    reasons = (f"{flag}: {line.reason}" for flag, line in lines.items())
    return told.model_copy(update={"reason": "; ".join(reasons)})
