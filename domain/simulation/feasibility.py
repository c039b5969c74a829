"""Whether a plan can decide at all with the traffic there is. Pure."""

from datetime import timedelta

from domain.duration import LONGEST, spell
from domain.errors import InvalidValue
from domain.guardrail import Guardrail, Role
from domain.plan import RolloutPlan


def shortfalls(plan: RolloutPlan, users_per_hour: float) -> list[str]:
    """Return, with the arithmetic, which stages see too few users for their guardrails.

    Args:
        plan: A valid one.
        users_per_hour: Users, of both arms together, that come an hour, > 0, as far as known none
            of them twice.

    Raises:
        InvalidValue: `users_per_hour` is not above 0 and finite.
    """
    if not 0 < users_per_hour < float("inf"):
        raise InvalidValue(f"users_per_hour must be above 0, got {users_per_hour:g}")
    return [
        told
        for number in range(1, len(plan.stages) + 1)
        for guardrail in plan.guardrails
        if (told := _shortfall(plan, number, guardrail, users_per_hour=users_per_hour))
    ]


def _shortfall(
    plan: RolloutPlan, number: int, guardrail: Guardrail, *, users_per_hour: float
) -> str:
    """Return what is wrong with one stage; empty when it ends its bake with enough users."""
    stage, share = plan.stages[number - 1], plan.share_at(number)
    an_hour = users_per_hour * share / 100
    hours = guardrail.fewest / an_hour
    grace = max(stage.bake, plan.check_max)  # a hold this short is not worth a word
    if guardrail.role is Role.INFO or guardrail.dry_run or hours <= _hours(grace):
        return ""
    sees = an_hour * _hours(stage.bake)
    follows = _consequence(plan, number, guardrail, hours)
    return (
        f"stage {number} sees about {sees:.0f} candidate users in its {spell(stage.bake)}"
        f" ({users_per_hour:.10g} an hour × {share:g} %), {guardrail.name} needs"
        f" {guardrail.fewest}: {follows}"
    )


def _consequence(plan: RolloutPlan, number: int, guardrail: Guardrail, hours: float) -> str:
    """Return what the rollout will do about it."""
    most = plan.stages[number - 1].max_bake
    if most is not None and _hours(most) < hours:
        does = {
            "hold": "it will wait for a person",
            "extend": "it will go on holding",
            "promote": "it will go on unjudged",
            "roll_back": "it will be rolled back",
        }[guardrail.when_inconclusive]
        return f"it can never decide within max_bake {spell(most)}: {does}"
    if hours > _hours(LONGEST):
        return f"that takes {hours / 8760:.1f} years: it can never decide"
    return f"it will hold until about {_told(timedelta(hours=hours))}"


def _hours(duration: timedelta) -> float:
    return duration / timedelta(hours=1)


def _told(duration: timedelta) -> str:
    """Leave out what is beyond the estimate."""
    grain = 3600 if duration >= timedelta(days=1) else 60
    return spell(timedelta(seconds=-(-duration.total_seconds() // grain) * grain))
