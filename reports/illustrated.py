"""A report with its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from pictures.album import Plate
from reports.facts import ExperimentReport, RolloutReport

RELEASE = version("rampart-rollouts")


@dataclass(frozen=True, slots=True)
class Illustrated:
    """What it says, and what it shows: `plates` are by prompt."""

    report: RolloutReport | ExperimentReport
    plates: Mapping[str, Sequence[Plate]] = field(default_factory=dict)
