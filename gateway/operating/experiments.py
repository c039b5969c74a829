"""`/v1/experiments`: A/B/n tests that come to a conclusion."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter
from pydantic import Field

from control.experiments import ExperimentDescription, Verb
from domain.trials.plan import ExperimentRequest
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

PLACE = "/v1/experiments"


class NewExperiment(Body):
    """What is to be compared."""

    flag: Label = Field(examples=["greeting.system"])
    plan: Plan = Field(examples=[{"variants": ["1.0.0", "1.1.0"]}])
    reason: Reason = ""


class Choice(Order):
    """Why, and for which version: the one to deploy, or to conclude with."""

    version: Label | None = None


class ExperimentRoutes:
    """The verbs of `control.experiments.ExperimentControl`."""

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["experiments"])
        found.get("", summary="List experiments, the latest first")(self.list)
        found.post("", status_code=HTTPStatus.CREATED, summary="Start an experiment")(self.start)
        found.get("/{flag:path}", summary="Describe the live one, else the latest")(self.describe)
        found.post("/{flag:path}/{verb}", summary="Steer the live one")(self.order)
        return found

    async def list(self) -> Sequence[ExperimentDescription]:
        """Return at most 100, live and ended."""
        return await (await self._operators.experiments()).list()

    async def start(
        self, given: NewExperiment, holder: Holder, key: Key = ""
    ) -> ExperimentDescription:
        """Start it and wait until it is open; without a live worker, ten seconds."""
        name, prompt_type = prompt_of(given.flag)
        request = ExperimentRequest.parse(
            {
                "name": name,
                "prompt_type": prompt_type,
                "plan": given.plan,
                "by": holder.name,
                "reason": given.reason,
            }
        )
        return await (await self._operators.experiments()).start(request, key=key)

    async def describe(self, flag: Flag) -> ExperimentDescription:
        """Say where it stands, or what was concluded."""
        return await (await self._operators.experiments()).describe(*prompt_of(flag))

    async def order(
        self, flag: Flag, verb: Verb, holder: Holder, given: Choice | None = None, key: Key = ""
    ) -> Said:
        """Pause, resume, stop, conclude or deploy."""
        asked = given or Choice()
        control = await self._operators.experiments()
        answer = await control.order(
            verb,
            *prompt_of(flag),
            version=asked.version or "",
            reason=asked.reason,
            by=holder.name,
            key=key,
        )
        return Said(said=answer.said)
