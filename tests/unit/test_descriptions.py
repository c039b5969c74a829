"""What is known of workflows from outside."""

from enum import StrEnum

import pytest

from control.description import OPENING
from workflows.experiments.phase import Phase as ExperimentPhase
from workflows.monitors.state import Phase as MonitorPhase
from workflows.phase import Phase
from workflows.rings.report import RingsPhase


@pytest.mark.parametrize("phases", [Phase, ExperimentPhase, MonitorPhase, RingsPhase])
def test_every_workflow_that_is_waited_for_says_that_it_is_opening(phases: type[StrEnum]) -> None:
    assert OPENING in list(phases)
