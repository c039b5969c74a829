"""Versions and plans as people see them in a terminal. Pure, as `screen` is."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from domain.duration import spell
from domain.guardrail import Guardrail, GuardrailKind
from domain.instants import clock
from domain.plan import RolloutPlan
from domain.prompts import PromptVersion
from terminal.palette import bar, rows


def versions(prompt: str, found: Iterable[PromptVersion]) -> Table:
    """Return the versions of a prompt as a table, one line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (prompt, "status", "tags", "made (UTC)", "template"):
        table.add_column(name, no_wrap=name in {prompt, "status"})
    table.columns[-1].overflow, table.columns[-1].no_wrap = "ellipsis", True
    for one in found:
        made = f"{one.created_at:%Y-%m-%d %H:%M}"
        table.add_row(one.version, one.status.value, ", ".join(one.tags), made, _flat(one.template))
    return table


def version(one: PromptVersion) -> RenderableType:
    """Return all of a version."""
    table = rows()
    table.add_row("status", one.status.value)
    table.add_row("tags", ", ".join(one.tags) or "none")
    table.add_row(
        "made", f"{one.created_at:%Y-%m-%d %H:%M:%S} UTC by {one.created_by or 'somebody'}"
    )
    table.add_row("id", one.version_id)
    table.add_row("template", Text(one.template))
    return Group(Text(f"{one.name}.{one.prompt_type} {one.version}", style="bold"), "", table)


def plan(shown: RolloutPlan) -> RenderableType:
    """Return a plan as a person would explain it."""
    table = rows()
    for number, stage in enumerate(shown.stages, 1):
        gate = ", then wait for an approval" if stage.approval else ""
        kept = stage.percent - shown.share_at(number)
        held = f" (but {kept:g} % held back)" if kept else ""
        what = f"{bar(stage.percent, 20)} {stage.percent:g} % for {spell(stage.bake)}{held}{gate}"
        table.add_row(f"stage {number}", what)
    table.add_row("afterwards", f"watched at 100 % for {spell(shown.final_bake)}")
    for name, value in _times(shown):
        table.add_row(name, value)
    for guardrail in shown.guardrails:
        table.add_row(guardrail.role.value, watched(guardrail))
    sure = f"a false rollback has a chance of {shown.alpha:.1%} at most, however often one looks"
    table.add_row("alpha", sure)
    table.add_row("checks", f"every {spell(shown.check_min)}, slowing to {spell(shown.check_max)}")
    return Group(Text(f"plan {shown.name}", style="bold"), "", table)


def _times(shown: RolloutPlan) -> Iterator[tuple[str, str]]:
    """Say when it may advance, and by when it has to be promoted."""
    zone = shown.windows.time_zone or ""
    for hours in shown.windows.hours:
        yield "advances", f"{hours} {zone}"
    for freeze in shown.windows.freezes:
        yield "frozen", f"from {freeze} {zone if freeze.local else ''}".rstrip()
    if shown.deadline is not None:
        by = shown.deadline
        told = f"within {spell(by)}" if isinstance(by, timedelta) else f"by {clock(by)}"
        late = "rolled back" if shown.when_late == "roll_back" else "held"
        yield "deadline", f"promoted {told}, or {late}"


def watched(guardrail: Guardrail) -> str:
    """Return what a guardrail watches, and what it takes, in one line."""
    unit = "users" if guardrail.per == "user" else "events"
    least = f"from {guardrail.fewest} {unit} a stage"
    dry = "; dry run" if guardrail.dry_run else ""
    if guardrail.kind is GuardrailKind.THRESHOLD:
        return (
            f"{guardrail.name} ≥ {guardrail.target_rate:.1%} goes on,"
            f" < {guardrail.floor_rate:.1%} rolls back, each with more than"
            f" {guardrail.fewest} events{dry}"
        )
    if guardrail.kind is GuardrailKind.LIMIT:
        side = "at least" if guardrail.higher_is_better else "at most"
        share = "" if guardrail.is_rate else f" for {guardrail.keeping:g} % of {unit}"
        return f"{guardrail.metric} {side} {guardrail.limit:g}{share}, {least}{dry}"
    floor = f" and not below {guardrail.floor:.1%}" if guardrail.floor is not None else ""
    return f"{guardrail.name} not worse than the version before{floor}, {least}{dry}"


def _flat(text: str) -> str:
    return " ".join(text.split())
