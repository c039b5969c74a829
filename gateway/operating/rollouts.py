"""`/v1/rollouts`: start, watch and steer rollouts."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field, JsonValue

from control.connection import NoRollout
from control.rollouts import Description, Verb
from domain.bundles.companions import MOST
from domain.plan import RolloutRequest
from domain.record import Decision
from domain.rollouts import RolloutManager
from gateway.operators import (
    Body,
    Flag,
    Holder,
    Key,
    Label,
    Operators,
    Plan,
    Reason,
    prompt_of,
)
from gateway.orders import Orders, Steered

PLACE = "/v1/rollouts"
DIRECT = "Of a rollback: in the database, with Temporal up or down."


class Along(Body):
    """A prompt that goes along."""

    flag: Label = Field(examples=["farewell.system"])
    candidate: Label = Field(description="The version's number.", examples=["2.0.0"])


class NewRollout(Body):
    """What is to be rolled out, and how."""

    flag: Label = Field(examples=["greeting.system"])
    candidate: Label = Field(description="The version's number.", examples=["1.1.0"])
    plan: Label | Plan = Field(description="A preset's name, or a whole plan.", examples=["demo"])
    reason: Reason = ""
    companions: list[Along] = Field(
        default=[],
        max_length=MOST,
        description="Other prompts that go along: one ramp, one verdict, all or nothing.",
    )
    start_at: str | None = Field(
        default=None,
        max_length=50,
        description="An instant with its offset; by default at once.",
        examples=["2026-12-01T09:00+01:00"],
    )


class Order(Body):
    """Why."""

    reason: Reason = ""


def _companion(along: Along) -> dict[str, JsonValue]:
    name, prompt_type = prompt_of(along.flag)
    return {"name": name, "prompt_type": prompt_type, "candidate": along.candidate}


class Steering(Order):
    """Why; and what promote, skip, extend and amend take besides."""

    full: bool = Field(default=False, description="promote: to the last stage, into production.")
    to: int | None = Field(default=None, description="skip: the stage to go to, from 1.")
    longer: Label | None = Field(default=None, description="extend: by how much.", examples=["2h"])
    plan: Label | Plan | None = Field(default=None, description="amend: a preset, or a whole plan.")
    set: Plan = Field(
        default_factory=dict,
        description="amend: single values by their place; stages and guardrails count from 1.",
        examples=[{"final_bake": "2h", "stages.2.bake": "6h"}],
    )


class RolloutRoutes:
    """The verbs of `control.rollouts.Control`, by the name of the token's holder."""

    def __init__(self, operators: Operators, rollouts: RolloutManager) -> None:
        self._operators = operators
        self._rollouts = rollouts
        self._orders = Orders(operators, rollouts)

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["rollouts"])
        found.get("", summary="List rollouts, the latest first")(self.list)
        found.post("", status_code=HTTPStatus.CREATED, summary="Start a rollout")(self.start)
        found.get("/{flag:path}/decisions", summary="Read the journal of the latest rollout")(
            self.decisions
        )
        found.get("/{flag:path}", summary="Describe the live rollout, else the latest")(
            self.describe
        )
        found.post("/{flag:path}/{verb}", summary="Steer the live rollout")(self.order)
        return found

    async def list(self) -> Sequence[Description]:
        """Return at most 100, live and ended."""
        return await (await self._operators.rollouts()).list()

    async def start(self, given: NewRollout, holder: Holder, key: Key = "") -> Description:
        """Start it and wait until it is open; without a live worker, ten seconds."""
        name, prompt_type = prompt_of(given.flag)
        request = RolloutRequest.parse(
            {
                "name": name,
                "prompt_type": prompt_type,
                "candidate": given.candidate,
                "plan": given.plan,
                "by": holder.name,
                "reason": given.reason,
                "companions": [_companion(each) for each in given.companions],
                "start_at": given.start_at,
            }
        )
        return await (await self._operators.rollouts()).start(request, key=key)

    async def describe(self, flag: Flag) -> Description:
        """Say where it stands, what it waits for, and how it ended."""
        return await (await self._operators.rollouts()).describe(*prompt_of(flag))

    async def decisions(self, flag: Flag) -> Sequence[Decision]:
        """Return what was done and judged, on what, by whom and why; Temporal is not asked."""
        for latest in await self._rollouts.list(*prompt_of(flag), limit=1):
            return await self._rollouts.decisions(latest.id)
        raise NoRollout(f"no rollout of {flag} is known")

    async def order(
        self,
        flag: Flag,
        verb: Verb,
        holder: Holder,
        given: Steering | None = None,
        key: Key = "",
        direct: Annotated[bool, Query(description=DIRECT)] = False,
    ) -> Steered:
        """Send a verb; a rollback is never refused."""
        asked = given.model_dump(exclude_unset=True) if given else {}
        reason = asked.pop("reason", "")
        return await self._orders.send(
            verb, flag, reason=reason, by=holder.name, key=key, direct=direct, asked=asked
        )
