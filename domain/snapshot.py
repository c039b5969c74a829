"""What a serving process has to know of a prompt, and who gets which version. Pure values."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.assignment import SPACE, Allocation, point
from domain.prompts import ExperimentStatus

SPLITTING = (ExperimentStatus.RUNNING, ExperimentStatus.PAUSED)

Place = Annotated[int, Field(ge=0, lt=SPACE)]


class Reason(StrEnum):
    """Why a user got a version, in OpenFeature's words."""

    SPLIT = "SPLIT"  # the experiment's interval that holds the user
    DEFAULT = "DEFAULT"  # no experiment splits: the production version, or what the last one left
    STALE = "STALE"  # one of the above, of the last snapshot: the database cannot be asked
    UNKNOWN = "UNKNOWN"  # nothing is known of the prompt: the caller's default
    ERROR = "ERROR"  # the user id is not a text: as if no experiment split


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one user is served.

    Attributes:
        version_id: None if the version was never registered, or nothing is served.
        epoch: Of the allocation that split, the one an exposure belongs to; else of the routing.
        experiment_id: The experiment that split, if one did.
    """

    version_id: str | None
    version: str | None
    reason: Reason
    epoch: int | None = None
    experiment_id: str | None = None


class Served(BaseModel):
    """A version as it is served; its id is None if it was never registered."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version_id: str | None
    version: str


class RoutingSnapshot(BaseModel):
    """All that a serving process has to know of a prompt, at one epoch.

    Attributes:
        status: Of the routed experiment; it splits while running or paused.
        allocated: The epoch of the allocation in `starts` and `arms`.
        variants: What each arm serves.
        default: What everybody gets when no experiment splits.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    prompt_type: str
    epoch: int
    experiment_id: str | None = None
    status: ExperimentStatus | None = None
    allocated: int | None = None
    salt: Place = 0
    starts: tuple[Place, ...] = ()
    arms: tuple[int, ...] = ()
    variants: tuple[Served, ...] = ()
    default: Served | None = None

    @model_validator(mode="after")
    def _can_be_evaluated(self) -> Self:
        """Refuse here what would otherwise fail while serving."""
        whole = self.starts[:1] == (0,) and len(self.arms) == len(self.starts)
        if self.splits and not (whole and all(arm in self._every_arm for arm in self.arms)):
            raise ValueError("intervals must start at 0, each with an arm that has a variant")
        return self

    @property
    def splits(self) -> bool:
        """Whether users are divided among the variants."""
        return self.status in SPLITTING

    @property
    def serves(self) -> bool:
        """Whether there is anything to serve."""
        return self.splits or self.default is not None

    @property
    def version_ids(self) -> frozenset[str]:
        """All registered versions that some user is served, or could be."""
        named = (self.default, *self.variants)
        return frozenset(each.version_id for each in named if each and each.version_id)

    @property
    def shares(self) -> dict[str, float]:
        """Which part of the users each version is served to, 0 to 1; the arms in their order."""
        if not self.splits:
            return {self.default.version: 1.0} if self.default else {}
        parts = Allocation(self.starts, self.arms).shares(len(self.variants))
        return {served.version: part for served, part in zip(self.variants, parts, strict=True)}

    def evaluate(self, user_id: str) -> Assignment:
        """Return what the user is served; the same user always gets the same at one epoch."""
        return self._answers.of(user_id)

    def answers(self, *, stale: bool = False) -> "Answers":
        """Return the snapshot made ready to serve from."""
        if not self.splits:
            return Answers(0, (), (self.unsplit(stale=stale),))
        reason = Reason.STALE if stale else Reason.SPLIT
        arms = [self._assignment(served, reason=reason) for served in self.variants]
        return Answers(self.salt, self.starts[1:], tuple(arms[arm] for arm in self.arms))

    def unsplit(self, *, stale: bool = False) -> Assignment:
        """Return what everybody is served when no experiment splits."""
        if self.default is None:
            return Assignment(None, None, Reason.UNKNOWN, self.epoch)
        reason = Reason.STALE if stale else Reason.DEFAULT
        return Assignment(self.default.version_id, self.default.version, reason, self.epoch)

    def _assignment(self, served: Served, *, reason: Reason) -> Assignment:
        epoch = self.epoch if self.allocated is None else self.allocated
        return Assignment(served.version_id, served.version, reason, epoch, self.experiment_id)

    @property
    def _every_arm(self) -> range:
        return range(len(self.variants))

    @cached_property
    def _answers(self) -> "Answers":
        return self.answers()


@dataclass(frozen=True, slots=True)
class Answers:
    """One ready answer per interval, so that serving is a hash and a bisection.

    Attributes:
        bounds: Where each interval but the first begins.
    """

    salt: int
    bounds: tuple[int, ...]
    assignments: tuple[Assignment, ...]

    def of(self, user_id: str) -> Assignment:
        """Return the answer of the interval that holds the user."""
        return self.assignments[bisect_right(self.bounds, point(user_id, salt=self.salt))]
