"""`/v1/rings`: rollouts segment by segment."""

from http import HTTPStatus

from fastapi import APIRouter
from pydantic import Field

from control.rollouts import Verb
from control.segments import RingsDescription
from domain.segments.plan import SegmentedRequest
from gateway.operating.rollouts import Order
from gateway.operators import (
    Body,
    Flag,
    Holder,
    Key,
    Label,
    Operators,
    Plan,
    Reason,
    Said,
    prompt_of,
)

PLACE = "/v1/rings"


class NewRings(Body):
    """What is to be rolled out, and segment by segment how."""

    flag: Label = Field(examples=["greeting.system"])
    candidate: Label = Field(description="The version's number.", examples=["1.1.0"])
    plan: Plan = Field(description="As `rampart rings start` reads it.")
    reason: Reason = ""


class RingsRoutes:
    """The verbs of `control.segments.RingsControl`."""

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["rings"])
        created = HTTPStatus.CREATED
        found.post("", status_code=created, summary="Start a segmented rollout")(self.start)
        found.get("/{flag:path}", summary="Describe the live one, else the latest")(self.describe)
        found.post("/{flag:path}/{verb}", summary="Steer the live one")(self.order)
        return found

    async def start(self, given: NewRings, holder: Holder, key: Key = "") -> RingsDescription:
        """Start it and wait until it is open; without a live worker, ten seconds."""
        name, prompt_type = prompt_of(given.flag)
        request = SegmentedRequest.parse(
            {
                "name": name,
                "prompt_type": prompt_type,
                "candidate": given.candidate,
                "plan": given.plan,
                "by": holder.name,
                "reason": given.reason,
            }
        )
        return await (await self._operators.rings()).start(request, key=key)

    async def describe(self, flag: Flag) -> RingsDescription:
        """Say where it stands."""
        return await (await self._operators.rings()).describe(*prompt_of(flag))

    async def order(
        self, flag: Flag, verb: Verb, holder: Holder, given: Order | None = None, key: Key = ""
    ) -> Said:
        """Pause, resume, promote, approve or roll back."""
        reason = given.reason if given else ""
        control = await self._operators.rings()
        answer = await control.order(verb, *prompt_of(flag), reason=reason, by=holder.name, key=key)
        return Said(said=answer.said)
