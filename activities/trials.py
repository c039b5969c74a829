"""Activities of experiments: each calls one manager method and translates its errors."""

from dataclasses import dataclass

from pydantic import JsonValue
from temporalio import activity

from activities.refusals import final_refusals
from domain.trials.findings import Conclusion, Report, Step, Trial, TrialStatus
from domain.trials.manager import TrialManager
from domain.trials.plan import ExperimentRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenTrial:
    """Input of `open_trial`: the request as it was sent, so that wrong ones are refused here.

    Attributes:
        key: Identifies the attempt: opening twice with one key opens once.
    """

    request: JsonValue
    key: str
    workflow_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenedTrial:
    """Result of `open_trial`. `search_attributes`: whether the server knows ours."""

    trial: Trial
    search_attributes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAt:
    """Input of `look_at_arms`. `number` counts from 1."""

    trial_id: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StopArm:
    """Input of `stop_arm`. `epoch` is the one the trial wrote last."""

    trial_id: str
    arm: str
    epoch: int
    reason: str
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclude:
    """Input of `conclude_trial`. `early`: a person chose the moment."""

    trial_id: str
    early: bool = False
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deploy:
    """Input of `deploy_version`. `epoch` is the one the trial wrote last."""

    trial_id: str
    version: str
    epoch: int
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """Input of `release_prompt`. `chosen`: the version that a rollout takes over."""

    trial_id: str
    ending: TrialStatus
    chosen: str = ""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settle:
    """Input of `settle_trial`: what became of the rollout that took over."""

    trial_id: str
    deployed: str | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Input of `remark`: what a person asked for. `key` makes it one line, however often sent."""

    trial_id: str
    key: str
    step: Step
    by: str
    reason: str


class TrialActivities:
    """The experiment's hands."""

    def __init__(self, trials: TrialManager, *, search_attributes: bool = False) -> None:
        self._trials = trials
        self._search_attributes = search_attributes

    @activity.defn
    async def open_trial(self, order: OpenTrial) -> OpenedTrial:
        """Read the request and take the prompt."""
        with final_refusals():
            request = ExperimentRequest.parse(order.request)
            trial = await self._trials.open(request, key=order.key, workflow_id=order.workflow_id)
        return OpenedTrial(trial=trial, search_attributes=self._search_attributes)

    @activity.defn
    async def look_at_arms(self, order: LookAt) -> Report:
        """Weigh every arm against control on what was counted so far."""
        with final_refusals():
            return await self._trials.look(order.trial_id, number=order.number)

    @activity.defn
    async def stop_arm(self, order: StopArm) -> int:
        """Give an arm's users back to control; return the new epoch."""
        with final_refusals():
            return await self._trials.stop_arm(
                order.trial_id, order.arm, epoch=order.epoch, reason=order.reason, by=order.by
            )

    @activity.defn
    async def conclude_trial(self, order: Conclude) -> Conclusion:
        """Ask the tests of the end."""
        with final_refusals():
            return await self._trials.conclude(
                order.trial_id, early=order.early, by=order.by, reason=order.reason
            )

    @activity.defn
    async def deploy_version(self, order: Deploy) -> Conclusion:
        """Put a treatment in production at once."""
        with final_refusals():
            return await self._trials.deploy(
                order.trial_id, order.version, epoch=order.epoch, by=order.by, reason=order.reason
            )

    @activity.defn
    async def release_prompt(self, order: Release) -> Conclusion:
        """Give everybody control."""
        with final_refusals():
            return await self._trials.release(
                order.trial_id,
                order.ending,
                chosen=order.chosen,
                by=order.by,
                reason=order.reason,
            )

    @activity.defn
    async def settle_trial(self, order: Settle) -> Conclusion:
        """Record what became of the rollout that took over."""
        with final_refusals():
            return await self._trials.settle(
                order.trial_id, deployed=order.deployed, reason=order.reason
            )

    @activity.defn
    async def remark(self, order: Remark) -> None:
        """Journal what a person asked for."""
        with final_refusals():
            await self._trials.note(
                order.trial_id, key=order.key, step=order.step, by=order.by, reason=order.reason
            )
