"""Rollout activities: each calls one manager method and translates its errors."""

from dataclasses import dataclass
from datetime import timedelta

from pydantic import JsonValue
from temporalio import activity

from activities.appointments import Appointment
from activities.refusals import final_refusals
from domain.amendment import Amended, Amendment
from domain.judge import Verdict
from domain.plan import RolloutRequest
from domain.record import Kind, Proof, Rollout
from domain.rollouts import RolloutManager
from domain.windows.start import refuse_far
from domain.windows.timing import When


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """Input of `open_rollout`: the request as it was sent, so that wrong ones are refused here.

    Attributes:
        key: Identifies the attempt: opening twice with one key opens once.
    """

    request: JsonValue
    key: str
    workflow_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Result of `open_rollout`.

    Attributes:
        search_attributes: Whether the server knows ours; setting unknown ones would stick the
            workflow, so it asks, and its history remembers the answer.
        phase_attribute: Whether it knows `RampartPhase` too, which is of release 0.4.
    """

    rollout: Rollout
    search_attributes: bool = False
    phase_attribute: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ramp:
    """Input of `ramp`. `stage` counts from 1; `epoch` is the one the rollout wrote last."""

    rollout_id: str
    stage: int
    epoch: int
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Input of `check`. `number` counts from 1 over the rollout; `baked` is of the stage."""

    rollout_id: str
    number: int
    baked: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Promote:
    """Input of `promote`. `epoch` is the one the rollout wrote last."""

    rollout_id: str
    epoch: int
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RollBack:
    """Input of `return_traffic`, and of `roll_back`."""

    rollout_id: str
    reason: str
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Input of `note`: what a person asked for. `key` makes it one line, however often sent."""

    rollout_id: str
    key: str
    kind: Kind
    by: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Amend:
    """Input of `amend`: what `Amendment` reads, as it was sent. `key` makes it once."""

    rollout_id: str
    key: str
    change: JsonValue
    kind: Kind = Kind.AMENDED
    by: str = ""
    reason: str = ""


def _when(*, judged: bool = True) -> When:
    """Say when this attempt is made, and the first was due; by the server's clock, as timers are.

    A step that rests on no verdict does not grow stale.
    """
    info = activity.info()
    return When(at=info.started_time, asked=info.scheduled_time if judged else info.started_time)


class RolloutActivities:
    """The rollout's hands."""

    def __init__(self, rollouts: RolloutManager, *, search_attributes: bool = False) -> None:
        self._rollouts = rollouts
        self._timekeeper = rollouts.timekeeper
        self._search_attributes = search_attributes

    @activity.defn
    async def open_rollout(self, order: Open) -> Opened:
        """Read the request and take the prompt."""
        with final_refusals():
            request = RolloutRequest.parse(order.request)
            rollout = await self._rollouts.open(
                request,
                key=order.key,
                workflow_id=order.workflow_id,
                namespace=activity.info().namespace,
            )
        known = self._search_attributes
        return Opened(rollout=rollout, search_attributes=known, phase_attribute=known)

    @activity.defn
    async def appoint(self, order: Open) -> Appointment:
        """Read the request of a rollout that is to be opened later; take nothing yet."""
        with final_refusals():
            request = RolloutRequest.parse(order.request)
            refuse_far(request.start_at, _when().at)
            baseline = await self._rollouts.timekeeper.preview(request)
        return Appointment(
            start_at=request.start_at or _when().at,
            prompt=f"{request.name}.{request.prompt_type}",
            baseline=baseline,
            candidate=request.candidate,
            plan=request.plan.name,
            stages=tuple(stage.percent for stage in request.plan.stages),
            search_attributes=self._search_attributes,
            phase_attribute=self._search_attributes,
        )

    @activity.defn
    async def ramp(self, order: Ramp) -> int:
        """Give the candidate its stage's share of users; return the new epoch."""
        key, when = f"ramp:{order.stage}", _when(judged=order.stage > 1)
        with final_refusals():
            async with self._timekeeper.step(order.rollout_id, key, when=when):
                return await self._rollouts.ramp(
                    order.rollout_id,
                    stage=order.stage,
                    epoch=order.epoch,
                    by=order.by,
                    reason=order.reason,
                )

    @activity.defn
    async def check(self, order: Check) -> Verdict:
        """Weigh the guardrails on the events counted so far."""
        with final_refusals():
            verdict = await self._rollouts.check(
                order.rollout_id, number=order.number, baked=order.baked
            )
            closed = await self._timekeeper.closed(order.rollout_id, _when().at)
        return verdict.model_copy(update={"closed": closed})

    @activity.defn
    async def promote(self, order: Promote) -> int:
        """Move production to the candidate; return the new epoch."""
        with final_refusals():
            async with self._timekeeper.step(order.rollout_id, "promote", when=_when()):
                return await self._rollouts.promote(
                    order.rollout_id, epoch=order.epoch, by=order.by, reason=order.reason
                )

    @activity.defn
    async def complete(self, rollout_id: str) -> None:
        """Give everybody the candidate."""
        with final_refusals():
            async with self._timekeeper.step(rollout_id, "complete", when=_when()):
                await self._rollouts.complete(rollout_id)

    @activity.defn
    async def return_traffic(self, order: RollBack) -> int:
        """Give every user the baseline; return the new epoch."""
        with final_refusals():
            return await self._rollouts.return_traffic(
                order.rollout_id, reason=order.reason, by=order.by
            )

    @activity.defn
    async def restore(self, rollout_id: str) -> None:
        """Restore the rest of the state before the rollout."""
        with final_refusals():
            await self._rollouts.restore(rollout_id)

    @activity.defn
    async def prove(self, rollout_id: str) -> Proof:
        """Read back what was restored; conclude the rollout if nothing is missing."""
        with final_refusals():
            return await self._rollouts.prove(rollout_id)

    @activity.defn
    async def roll_back(self, order: RollBack) -> None:
        """Take all steps of a rollback at once."""
        with final_refusals():
            await self._rollouts.roll_back(order.rollout_id, reason=order.reason, by=order.by)

    @activity.defn
    async def read_back(self, rollout_id: str) -> list[str]:
        """Return what a rollback has not restored; nothing when it is complete."""
        with final_refusals():
            return await self._rollouts.differences(rollout_id)

    @activity.defn
    async def note(self, order: Note) -> None:
        """Journal what a person asked for."""
        with final_refusals():
            await self._rollouts.note(
                order.rollout_id, key=order.key, kind=order.kind, by=order.by, reason=order.reason
            )

    @activity.defn
    async def amend(self, order: Amend) -> Amended:
        """Replace the plan, if that is legal; return how it differs."""
        with final_refusals():
            return await self._rollouts.amend(
                order.rollout_id,
                Amendment.parse(order.change),
                key=order.key,
                kind=order.kind,
                by=order.by,
                reason=order.reason,
            )
