"""`/v1/monitors`: versions that are watched, and what was alerted."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from control.monitors import MonitorDescription
from domain.errors import InvalidPlan
from domain.monitors.alerts import Alert
from domain.monitors.plan import MonitorPlan
from gateway.operating.rollouts import Order
from gateway.operators import Holder, Key, Label, Operators, Plan, Said

PLACE = "/v1/monitors"
PLAN_EXAMPLE = {"versions": ["…"], "interval": "30m", "duration": "24h", "alert_threshold": 0.5}
OURS = {"by", "reason"}

Name = Annotated[Label, Path(description="Chosen by whoever started it.", examples=["nightly"])]


class NewMonitor(Order):
    """What is to be watched, under which name."""

    name: Label = Field(examples=["nightly"])
    plan: Plan = Field(examples=[PLAN_EXAMPLE])


class MonitorRoutes:
    """The verbs of `control.monitors.MonitorControl`."""

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def router(self) -> APIRouter:
        """Return the routes."""
        found = APIRouter(prefix=PLACE, tags=["monitors"])
        found.post("", status_code=HTTPStatus.CREATED, summary="Start a monitor")(self.start)
        found.get("/{name}/alerts", summary="Read its alerts, oldest first")(self.alerts)
        found.get("/{name}", summary="Describe the live one, else the latest")(self.describe)
        found.post("/{name}/stop", summary="End a live monitor")(self.stop)
        return found

    async def start(self, given: NewMonitor, holder: Holder, key: Key = "") -> MonitorDescription:
        """Start it and wait until it is open; without a live worker, ten seconds."""
        if strange := sorted(OURS & given.plan.keys()):
            raise InvalidPlan(f"monitor: unknown field {strange[0]!r} of plan")
        said = {"by": holder.name, "reason": given.reason}
        plan = MonitorPlan.parse(given.plan | said)
        return await (await self._operators.monitors()).start(given.name, plan, key=key)

    async def describe(self, name: Name) -> MonitorDescription:
        """Say what it watches, and how it ended."""
        return await (await self._operators.monitors()).describe(name)

    async def alerts(self, name: Name) -> Sequence[Alert]:
        """Return at most 1 000."""
        return await (await self._operators.monitors()).alerts(name)

    async def stop(self, name: Name, holder: Holder, given: Order | None = None) -> Said:
        """End it."""
        reason = given.reason if given else ""
        monitors = await self._operators.monitors()
        return Said(said=await monitors.stop(name, reason=reason, by=holder.name))
