"""What a report says: frozen values, whose JSON is the report for programs.

Durations and instants are ISO 8601, instants in UTC; `log_e` and `enough` are natural logarithms of
e-values. A later release adds fields; what changes otherwise raises the number in `SCHEMA`.
"""

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from domain.evidence.looks import Arm
from domain.hindsight.explanation import Grounds
from domain.judge import Action
from domain.trials.contest import ArmResult
from domain.trials.findings import ArmReport
from domain.value import Frozen

SCHEMA = "rampart-report/1"


class VersionFacts(Frozen):
    """A version that took part.

    Attributes:
        role: candidate, baseline, control, treatment.
        status: As it is now.
        metadata: What it was made with: a commit, a link to a pull request.
    """

    role: str
    number: str
    id: str
    status: str = ""
    created_at: datetime | None = None
    created_by: str = ""
    content_hash: str = ""
    metadata: dict[str, str] = Field(default_factory=dict)


class Line(Frozen):
    """One line of the journal, or checks in a row that were decided alike.

    Attributes:
        until: When the last of them was made.
        checks: How many they are; 0 of every other line.
        what: The kind of the line; of checks, what they asked for.
        reason: Of checks, that of the last.
    """

    since: datetime
    until: datetime
    what: str
    checks: int = 0
    stage: int = 0
    percent: float = 0.0
    by: str = ""
    reason: str = ""


class Deed(Frozen):
    """What one person, or the guardrails, did, and how often."""

    by: str
    what: str
    times: int
    latest: datetime


class Stage(Frozen):
    """One stage: when users got so many percent, and how long that was watched.

    Attributes:
        percent: Of users that the candidate truly got.
        until: When the next began, or it ended; None while it lasts.
    """

    number: int
    percent: float
    since: datetime
    until: datetime | None = None
    checks: int = 0


class Glance(Frozen):
    """One guardrail at one check; `log_e` is the evidence of harm."""

    guardrail: str
    candidate: Arm
    baseline: Arm
    log_e: float | None = None


class Look(Frozen):
    """One check, as the pictures show it; the arms are of the stage so far."""

    number: int
    at: datetime
    stage: int
    percent: float
    action: Action
    log_e: float
    guardrails: tuple[Glance, ...] = ()


class Part(Frozen):
    """One prompt of a rollout: the only one, or one of a bundle.

    Attributes:
        grounds: What its latest check rested on; None if there is nothing, and `note` says why.
        looks: Its checks, oldest first; of many, evenly chosen ones.
    """

    prompt: str
    rollout_id: str
    status: str
    versions: tuple[VersionFacts, ...] = ()
    grounds: Grounds | None = None
    note: str = ""
    looks: tuple[Look, ...] = ()


class Report(Frozen):
    """What every report says.

    Attributes:
        rampart: The release that made it.
        ended: Whether it is over; else it is as of `made_at`.
        finding: How it ended, or stands, in a sentence; `because` is the reason, `by` whose.
        asked_for: Why it was begun, by `asked_by`.
        whole: Whether the timeline has the whole journal; else its oldest lines are left out.
        link: Of its workflow in Temporal's web UI; empty when none is known.
        again: Commands that say more.
    """

    report: str = SCHEMA
    about: Literal["rollout", "experiment"]
    rampart: str
    made_at: datetime
    id: str
    prompt: str
    title: str
    status: str
    ended: bool
    finding: str
    because: str = ""
    by: str = ""
    asked_by: str = ""
    asked_for: str = ""
    opened_at: datetime
    concluded_at: datetime | None = None
    workflow_id: str = ""
    link: str = ""
    timeline: tuple[Line, ...] = ()
    whole: bool = True
    deeds: tuple[Deed, ...] = ()
    plan: JsonValue = None
    again: tuple[str, ...] = ()


class RolloutReport(Report):
    """A rollout, or a bundle of them: `parts` has one for each prompt, the leader first."""

    about: Literal["rollout"] = "rollout"
    baseline: str
    candidate: str
    stages: tuple[Stage, ...] = ()
    parts: tuple[Part, ...] = ()


class ExperimentReport(Report):
    """An experiment.

    Attributes:
        winner: Who beats every other arm, control or not; None when none does, or not yet.
        standing: Every arm as it was seen last, control first; intervals hold at every look.
        results: The tests of the end, each arm against control; empty until they are asked.
        mismatch: What is wrong with the split of users; "" when nothing is.
    """

    about: Literal["experiment"] = "experiment"
    control: str
    goal: str
    winner: str | None = None
    versions: tuple[VersionFacts, ...] = ()
    standing: tuple[ArmReport, ...] = ()
    results: tuple[ArmResult, ...] = ()
    mismatch: str = ""
