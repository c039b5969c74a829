"""What the forms of a rollout's page ask, and how it is taken to the rollout."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Form
from pydantic import JsonValue, TypeAdapter, ValidationError

from control.rollouts import Verb
from domain.amendment import diff, objection
from domain.duration import Duration, spell
from domain.errors import InvalidValue
from domain.plan import PRESETS, RolloutPlan, preset
from domain.value import complaint
from gateway.dashboard.notes import Note
from gateway.dashboard.rollouts.parts import Typed
from gateway.dashboard.rollouts.sheet import Sheet
from gateway.operators import Reason
from gateway.orders import Orders

PLAN_LENGTH = 100_000  # characters
DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)


class Asked:
    """A form, as it was sent."""

    def __init__(
        self,
        verb: Verb,
        reason: Annotated[Reason, Form()] = "",
        key: Annotated[str, Form(max_length=200)] = "",
        plan: Annotated[str, Form(max_length=PLAN_LENGTH)] = "",
        longer: Annotated[str, Form(max_length=200)] = "",
        to: Annotated[str, Form(max_length=10)] = "",
        how: Annotated[str, Form(max_length=20)] = "",
    ) -> None:
        """`how`: `full` of promote, `preview` of amend, `direct` of rollback."""
        self.verb = verb
        self.reason = reason.replace("\r\n", "\n").strip()
        self.key = key
        self.plan = plan.replace("\r\n", "\n")
        self.longer = longer.strip()
        self.to = to.strip()
        self.how = how

    @property
    def previews(self) -> bool:
        """Whether nothing is to be changed yet."""
        return self.verb is Verb.AMEND and self.how == "preview"

    def typed(self, *, wrong: str = "", changes: tuple[str, ...] | None = None) -> Typed:
        """Return what has to stay in the form."""
        return Typed(
            verb=self.verb,
            reason=self.reason,
            plan=self.plan,
            longer=self.longer,
            to=self.to,
            wrong=wrong,
            changes=changes,
        )

    def wish(self) -> dict[str, JsonValue]:
        """Return what else the verb takes.

        Raises:
            InvalidValue: What was typed means nothing.
        """
        if self.verb is Verb.PROMOTE and self.how == "full":
            return {"full": True}
        if self.verb is Verb.EXTEND:
            return {"longer": spell(_longer(self.longer))}
        if self.verb is Verb.SKIP and self.to:
            if not (self.to.isascii() and self.to.isdigit()):
                raise InvalidValue(f"to must be the number of a stage, got {self.to!r}")
            return {"to": int(self.to)}
        if self.verb is Verb.AMEND:
            return {"plan": self.wanted().model_dump(mode="json")}
        return {}

    def wanted(self) -> RolloutPlan:
        """Return the plan that was typed: a preset's name, or YAML.

        Raises:
            InvalidPlan: It is none.
        """
        text = self.plan.strip()
        return preset(text) if text in PRESETS else RolloutPlan.parse(text)


def _longer(text: str) -> timedelta:
    try:
        return DURATION.validate_python(text)
    except ValidationError as error:
        raise InvalidValue(f"longer: {complaint(error)}") from error


Given = Annotated[Asked, Depends()]


async def send(orders: Orders, flag: str, asked: Asked, *, by: str) -> Note:
    """Take it to the rollout and return the answer.

    Raises:
        RampartError: As `Orders.send` says.
    """
    told = await orders.send(
        asked.verb,
        flag,
        reason=asked.reason,
        by=by,
        key=asked.key,
        direct=asked.verb is Verb.ROLLBACK and asked.how == "direct",
        asked=asked.wish(),
    )
    return Note(told.said, told.changes)


def preview(sheet: Sheet, asked: Asked) -> Typed:
    """Return what the amendment would change, or why it may not.

    Raises:
        InvalidPlan: What was typed is no plan.
    """
    wanted, rollout = asked.wanted(), sheet.picture.rollout
    if rollout is None:
        return asked.typed(wrong="it is not open yet")
    reached = sheet.picture.progress.stage
    why = objection(rollout.plan, wanted, reached=reached, fired=sheet.fired)
    return asked.typed(wrong=why, changes=diff(rollout.plan, wanted))
