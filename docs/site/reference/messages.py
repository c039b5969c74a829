"""What can be sent to workflows and asked of them, from their definitions; columns and kinds."""

import ast
import inspect
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from docs.site.reference.markdown import MADE, code, plain, table
from domain.manual import summary
from domain.notifications.notice import Status
from domain.notifications.wording import Wording, sample
from domain.record import Kind
from worker import WORKFLOWS
from workflows.notifications.workflow import NotificationWorkflow
from workflows.publication import ATTRIBUTES

HEAD = """\
# Messages

What Temporal's command line, UI and SDKs can send to rampart's workflows, and ask of them. A
*signal* cannot answer: what could not be followed stands in the journal. An *update* is refused
before it enters the
history, with the reason. A *query* changes nothing. How to send one:
[operating](../guides/operating.md#messages).

"""
COLUMNS = """\
## Search attributes

By these Temporal lists and counts rollouts: `temporal workflow list --query 'RampartPhase =
"baking"'`. A worker registers them when it starts; where it may not, somebody does before
([operating](../guides/operating.md#search-attributes)).

"""
MEANING = {
    "RampartPrompt": "The prompt, `<name>.<prompt_type>`; of a bundle, the one that leads.",
    "RampartStage": "The stage it is in, from 1; 0 before the first.",
    "RampartPercent": "The percent of users who get the candidate.",
    "RampartVerdict": "What the latest check said: `hold`, `advance` or `roll_back`.",
    "RampartPhase": "What it is doing: `baking`, `paused`, `rolling_back`, `rollback_incomplete` …",
}
KINDS = """\
## Kinds

What a line of the journal tells, and what [notifications](../guides/notifications.md) are told
by. A target asks for kinds; all but `checked` are told when it names none.

"""
STATUSES = "A notification is, in `rampart notify list`:\n\n"


class Message(NamedTuple):
    """What can be sent to a workflow, or asked of it."""

    workflow: str
    name: str
    ways: tuple[str, ...]
    said: str


def page() -> str:
    """Return the page."""
    sections = "".join(_workflow(kind) for kind in kinds())
    columns = table(("attribute", "type", "meaning"), map(_column, ATTRIBUTES))
    told = table(("kind", "level", "title", "when"), map(_kind, Kind))
    statuses = table(("status", "meaning"), ((code(s), plain(members(Status)[s])) for s in Status))
    return MADE + HEAD + sections + COLUMNS + columns + KINDS + told + STATUSES + statuses


def kinds() -> Sequence[type]:
    """Return every workflow that a worker runs."""
    return [*WORKFLOWS, NotificationWorkflow]


def messages(kind: type) -> Iterator[Message]:
    """Return what can be sent to a workflow; a signal and an update of one name are one."""
    defined: Any = vars(kind)["__temporal_workflow_definition"]
    ways: dict[str, dict[str, str]] = {}
    for way, found in (
        ("signal", defined.signals), ("update", defined.updates), ("query", defined.queries)
    ):  # fmt: skip
        for name, each in found.items():
            ways.setdefault(name, {})[way] = each.description or ""
    for name, said in ways.items():
        yield Message(defined.name, name, tuple(said), next(iter(said.values())))


def members(kind: type) -> dict[str, str]:
    """Return what the comments behind an enumeration's members say, by value."""
    lines = inspect.getsource(kind).splitlines()
    found = {}
    for node in ast.walk(ast.parse(inspect.getsource(kind))):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            _, _, said = lines[node.lineno - 1].partition("# ")
            found[str(node.value.value)] = said
    return found


def _workflow(kind: type) -> str:
    defined: Any = vars(kind)["__temporal_workflow_definition"]
    rows = [(code(m.name), ", ".join(m.ways), plain(m.said)) for m in messages(kind)]
    nothing = "It takes no messages.\n\n"
    head = f"## {defined.name}\n\n{plain(summary(kind))}\n\n"
    return head + (table(("message", "as", "what it does"), rows) or nothing)


def _column(key: Any) -> tuple[str, str, str]:
    return code(key.name), key.indexed_value_type.name.capitalize(), MEANING[key.name]


def _kind(kind: Kind) -> tuple[str, str, str, str]:
    message = Wording().word(sample(kind))
    level = "" if kind is Kind.CHECKED else message.level.value
    return code(kind), level, plain(message.title), plain(members(Kind)[kind])
