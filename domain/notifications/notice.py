"""What is told: a line of a rollout's journal, with what a reader needs to place it. Pure."""

from datetime import datetime
from enum import StrEnum
from urllib.parse import quote

from pydantic import Field, JsonValue

from domain.record import Kind
from domain.value import Frozen

QUIET = frozenset({Kind.CHECKED})  # a rollout may have thousands


class Status(StrEnum):
    """What became of a notification."""

    WAITING = "waiting"  # for a worker that has targets, and a Temporal that answers
    HANDED = "handed"  # Temporal sees to it
    SENT = "sent"
    FAILED = "failed"  # at least one target could not be reached for a day
    UNWANTED = "unwanted"  # no target asks for it


class Notice(Frozen):
    """One line of a journal, told to somebody who has not followed the rollout.

    Attributes:
        id: The line's; the same however often it is sent.
        kind: One of `Kind`, or what a later release calls a kind.
        stages: How many the plan has.
        workflow_id: Of the rollout, in Temporal.
    """

    id: str
    kind: str
    at: datetime
    name: str
    prompt_type: str
    baseline: str
    candidate: str
    plan: str = ""
    stage: int = 0
    stages: int = 0
    percent: float = 0.0
    by: str = ""
    reason: str = ""
    rollout_id: str = ""
    workflow_id: str = ""

    @property
    def prompt(self) -> str:
        """The flag key, `<name>.<prompt_type>`."""
        return f"{self.name}.{self.prompt_type}"


class Level(StrEnum):
    """How loud a message is."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Enclosure(Frozen):
    """What goes along with a message: a report of the rollout that has ended.

    Attributes:
        kind: Of the file, `text/html`.
        digest: The same in short, for programs; None if it would be too long.
    """

    name: str
    kind: str
    content: bytes
    digest: dict[str, JsonValue] | None = None


class Message(Frozen):
    """A notice in words.

    Attributes:
        link: Its rollout in Temporal's web UI; empty when none is known.
        enclosure: None of most.
    """

    notice: Notice
    level: Level
    title: str
    body: str
    link: str = ""
    enclosure: Enclosure | None = None


class Addressee(Frozen):
    """One target of one notification. Never more than its name: its URL is a secret."""

    notification_id: str
    target: str


class Receipt(Frozen):
    """What became of a notification: who got it, and why others did not."""

    notification_id: str
    status: Status
    sent: tuple[str, ...] = ()
    failures: dict[str, str] = Field(default_factory=dict)


def concerns(kind: Kind) -> bool:
    """Say whether people may want to be told such a line."""
    return kind not in QUIET


def link_to(ui: str, namespace: str, *, workflow_id: str) -> str:
    """Return the latest run of a workflow in Temporal's web UI; nothing when no UI is known."""
    if not (ui and workflow_id):
        return ""
    where = f"{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
    return f"{ui.rstrip('/')}/namespaces/{where}"
