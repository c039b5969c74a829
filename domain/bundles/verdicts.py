"""Several prompts judged as one: alpha in equal parts, then one verdict of all. Pure."""

from collections.abc import Mapping

from domain.judge import Action, Verdict
from domain.plan import RolloutPlan

CAREFUL = (Action.ROLL_BACK, Action.HOLD, Action.ADVANCE)  # the first that any prompt asks for


def parted(plan: RolloutPlan, *, among: int) -> RolloutPlan:
    """Return the plan that one of so many prompts is judged by: a part of every alpha.

    A false alarm on any of them rolls all back, and the chances of that add up at most: Boole's
    inequality, whatever their dependence.
    """
    if among == 1:
        return plan
    guardrails = tuple(
        each.model_copy(update={"alpha": each.alpha / among}) if each.alpha else each
        for each in plan.guardrails
    )
    return plan.model_copy(update={"alpha": plan.alpha / among, "guardrails": guardrails})


def together(found: Mapping[str, Verdict]) -> Verdict:
    """Return the one verdict of all: any harm rolls back, any doubt holds, else they advance.

    Args:
        found: Flag key and verdict of each prompt; reason and readings will name theirs.
    """
    verdicts = list(found.values())
    if len(verdicts) == 1:
        return verdicts[0]
    action = next(one for one in CAREFUL if any(each.action is one for each in verdicts))
    deciding = (f"{flag}: {one.reason}" for flag, one in found.items() if one.action is action)
    readings = (
        reading.model_copy(update={"guardrail": f"{flag} {reading.guardrail}"})
        for flag, one in found.items()
        for reading in one.readings
    )
    return Verdict(action=action, reason="; ".join(deciding), readings=tuple(readings))
