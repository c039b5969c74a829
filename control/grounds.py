"""What the latest check of a rollout rested on; read only when there has been another check."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime

from domain.amendment import Amended, plan_at
from domain.evidence.looks import Judged
from domain.hindsight.explanation import Grounds, explain
from domain.record import Decision, Kind, Rollout
from domain.rollouts import RolloutManager

KEPT = 100  # rollouts whose grounds are remembered


class Grounding:
    """Explains the latest check of each prompt of a rollout; keeps the answer until the next."""

    def __init__(self, rollouts: RolloutManager) -> None:
        self._rollouts = rollouts
        self._kept: OrderedDict[str, tuple[datetime, Mapping[str, Grounds]]] = OrderedDict()

    async def of(
        self, members: Sequence[Rollout], decisions: Sequence[Decision]
    ) -> Mapping[str, Grounds]:
        """Return the grounds by prompt, the leader's first; none before the first check.

        Args:
            members: The prompts that are rolled out as one, the leader first.
            decisions: Of the journal, oldest first: they say whether there is anything new.
        """
        checks = [line.at for line in decisions if line.kind is Kind.CHECKED]
        if not (members and checks):
            return {}
        leader, latest = members[0].id, checks[-1]
        known = self._kept.get(leader)
        if known is None or known[0] != latest:
            found = {each.prompt: await self._explained(each) for each in members}
            known = (latest, {prompt: grounds for prompt, grounds in found.items() if grounds})
            self._kept[leader] = known
        self._kept.move_to_end(leader)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return known[1]

    async def _explained(self, rollout: Rollout) -> Grounds | None:
        check = await self._rollouts.latest_check(rollout.id)
        if check is None:  # retention deleted what it rested on
            return None
        amended = await self._rollouts.amendments(rollout.id)
        # Intervals are looked for by search, with what takes half a second to load.
        return await asyncio.to_thread(_explain, rollout, check, amended)


def judged_by(rollout: Rollout, change: Amended) -> Amended:
    """Return the change as it concerns what the checks of one prompt are judged by."""
    plans = {"before": rollout.judging(change.before), "after": rollout.judging(change.after)}
    return change.model_copy(update=plans)


def _explain(rollout: Rollout, check: Judged, amended: Sequence[Amended]) -> Grounds:
    changes = [judged_by(rollout, change) for change in amended]
    return explain(plan_at(rollout.judging(rollout.plan), changes, check.number), check)
