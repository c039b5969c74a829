"""What is known of a rollout from outside: what Temporal says of it, and what it says itself."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from temporalio.client import WorkflowExecution

from control.connection import facts
from workflows.progress import Outcome, Progress

OPENING = "opening"  # the phase in which every workflow of ours begins


class Phased(Protocol):
    """What a workflow says of itself."""

    @property
    def phase(self) -> str:
        """What it is doing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of a workflow.

    Attributes:
        status: Temporal's word for it: running, completed, failed, canceled, terminated …
        progress: None when no worker is alive to be asked; `memo` then says what was last known.
        stuck: One sentence for each activity that is being retried, and why.
        failure: Why it failed, when it did.
    """

    workflow_id: str
    run_id: str
    status: str
    started_at: datetime
    closed_at: datetime | None = None
    progress: Phased | None = None
    memo: dict[str, object] = field(default_factory=dict)
    stuck: tuple[str, ...] = ()
    failure: str = ""

    @property
    def opening(self) -> bool:
        """Whether it has yet to say that it is open."""
        return self.progress is None or self.progress.phase == OPENING


@dataclass(frozen=True, kw_only=True, slots=True)
class Description(Known):
    """What is known of a prompt's latest rollout; `outcome` once it has ended."""

    progress: Progress | None = None
    outcome: Outcome | None = None


async def described(item: WorkflowExecution, **more: Any) -> Description:
    """Return what Temporal knows of a rollout, and `more`."""
    return Description(**await facts(item), **more)


def where(found: Description) -> str:
    """Say in a few words where a rollout stands."""
    told = found.memo
    if not told:
        return f"{found.workflow_id} is {found.status}"
    phase = str(told.get("phase")).replace("_", " ")
    return f"{told.get('change')} is {phase}, stage {told.get('stage')}"
