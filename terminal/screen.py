"""What people see in a terminal. Pure: values in, something for Rich to draw out."""

from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from control.picture import Picture, agreement
from domain.duration import spell
from domain.record import Decision, Kind
from terminal import evidence
from terminal.palette import BAR, away, bar, colour, instant, rounded, rows, words
from workflows.progress import stage_of
from workflows.state import Phase

TAIL = 5  # lines of the journal under a live picture
NO_WORKER = "no worker answers: start one with `rampart worker`; nothing moves until then"


def draw(picture: Picture) -> RenderableType:
    """Return the whole picture of a rollout."""
    table = rows()
    for name, value in _facts(picture):
        table.add_row(name, value)
    guardrails = evidence.guardrails(picture)
    parts: list[RenderableType] = [headline(picture), "", table, *guardrails]
    if picture.decisions:
        parts += ["", lines(telling(picture.decisions)[-TAIL:], date=False)]
    return Group(*parts)


def headline(picture: Picture) -> Text:
    """Return `greeting.system 1.0.0 → 1.1.0 baking`."""
    shown = picture.progress
    change = f"{shown.change} " if shown.candidate else ""
    return Text.assemble(
        (f"{picture.prompt} ", "bold"), change, (words(picture.phase), colour(picture.phase))
    )


def why(picture: Picture) -> RenderableType:
    """Return what a rollout waits for, until when, on what grounds, and what is in its way."""
    table = rows()
    shown = picture.progress
    if picture.ended:
        for name, value in end(picture):
            table.add_row(name, value)
        return Group(headline(picture), "", table)
    table.add_row("waits for", shown.waiting_for)
    if shown.due_at:
        table.add_row("bakes until", instant(shown.due_at, now=picture.at))
    if shown.deadline:
        table.add_row("deadline", instant(shown.deadline, now=picture.at))
    if shown.next_check_at:
        table.add_row("next check", instant(shown.next_check_at, now=picture.at))
    table.add_row("verdict", _verdict(picture))
    for reading in shown.verdict.readings:
        standing = Text(words(reading.standing), style=colour(reading.standing.value))
        table.add_row(reading.guardrail, Text.assemble(standing, f": {reading.evidence}"))
    for name, value in obstacles(picture):
        table.add_row(name, value)
    return Group(headline(picture), "", table)


def ending(picture: Picture) -> str:
    """Return how a rollout ended: `1.2.0 was rolled back at 10 % in 6s (success: …)`."""
    shown, told = picture.progress, picture.description
    took = told.closed_at - told.started_at if told.closed_at else timedelta(0)
    reached = [f"{d.percent:g} %" for d in picture.decisions if d.kind is Kind.RAMPED]
    seconds = f"in {spell(rounded(took))}"
    along = (f"{each.prompt} {each.candidate}" for each in shown.companions)
    candidate = " + ".join([shown.candidate or "the rollout", *along])
    if picture.promoted:
        return f"{candidate} was promoted ({' → '.join(reached)}) {seconds}"
    if picture.phase == Phase.ROLLED_BACK:
        at = f" at {reached[-1]}" if reached else ""
        return f"{candidate} was rolled back{at} {seconds} ({picture.reason})"
    return f"{candidate} ended: {words(picture.phase)} ({picture.reason})"


def journal(decisions: Iterable[Decision]) -> RenderableType:
    """Return every line of a rollout's journal, oldest first."""
    return lines(decisions, date=True)


def line(decision: Decision) -> str:
    """Return one line of a journal, for where there is no terminal."""
    return " ".join(cell.plain for cell in _cells(decision, date=False))


def standing(picture: Picture) -> str:
    """Return in one line where a rollout stands, for where there is no terminal."""
    found = "; ".join(str(value) for _, value in obstacles(picture))
    waits = "" if picture.ended else f", waits for {picture.progress.waiting_for}"
    blocked = f"; blocked: {found}" if found else ""
    return f"{headline(picture).plain}{waits}{blocked}"


def _facts(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    shown = picture.progress
    if shown.candidate:
        yield "ramp", Text(f"{bar(shown.percent)} {shown.percent:g} %", style=colour(picture.phase))
        yield "stage", Text(stage_of(shown))
        yield from clock(picture)
        yield from evidence.arms(picture)
    if picture.ended:
        yield from end(picture)
    else:
        yield "verdict", _verdict(picture)
        yield "reason", Text(shown.verdict.reason)
        yield "waits for", Text(shown.waiting_for)
        if shown.next_check_at:
            yield "next check", Text(away(shown.next_check_at, now=picture.at))
        yield from obstacles(picture)
    if picture.link:
        yield "Temporal", Text(picture.link)


def clock(picture: Picture, *, width: int = BAR) -> Iterable[tuple[str, RenderableType]]:
    """Yield how much of a bake is over; nothing while its clock stands."""
    shown, rollout = picture.progress, picture.rollout
    if rollout is None or shown.due_at is None or shown.stage < 1:
        return
    final = shown.stage > len(rollout.plan.stages)
    bake = rollout.plan.final_bake if final else rollout.plan.stages[shown.stage - 1].bake
    done = min(max(bake - (shown.due_at - picture.at), timedelta(0)), bake)
    percent = 100 * (done / bake) if bake else 100.0
    yield "clock", f"{bar(percent, width)} {spell(rounded(done))} of {spell(bake)}"


def _verdict(picture: Picture) -> Text:
    action = picture.progress.verdict.action.value
    told = Text(words(action), style=colour(action))
    return Text.assemble(told, f" (check {picture.progress.checks})")


def end(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    """Yield how, when and why it ended."""
    told = picture.description
    yield "ended", Text(words(picture.phase), style=colour(picture.phase))
    if told.closed_at:
        yield "when", instant(told.closed_at, now=picture.at)
        yield "it took", spell(rounded(told.closed_at - told.started_at))
    if told.outcome and told.outcome.by:
        yield "by", Text(told.outcome.by)
    yield "reason", Text(picture.reason)


def obstacles(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    """Yield what is in its way."""
    if not picture.answers:
        yield "blocked", Text(NO_WORKER, style="red")
    for stuck in picture.description.stuck:
        yield "blocked", Text(stuck, style="red")
    if picture.progress.refused:
        yield "note", Text(picture.progress.refused, style="yellow")


def telling(decisions: Sequence[Decision]) -> Sequence[Decision]:
    """Return what a journal says; of checks in a row that agree, the latest."""
    return [
        decision
        for decision, following in zip(decisions, [*decisions[1:], None], strict=True)
        if following is None or agreement(decision) != agreement(following)
    ]


def lines(decisions: Iterable[Decision], *, date: bool) -> Table:
    """Return lines of a journal, with the date or the time of day alone."""
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for decision in decisions:
        table.add_row(*_cells(decision, date=date))
    return table


def _cells(decision: Decision, *, date: bool) -> tuple[Text, ...]:
    at = decision.at.astimezone(UTC)
    when = f"{at:%Y-%m-%d %H:%M:%S}" if date else f"{at:%H:%M:%S}"
    kind = words(decision.action or decision.kind)
    by = f" (by {decision.by})" if decision.by else ""
    return (
        Text(when, style="dim"),
        Text(f"{decision.percent:3g} %"),
        Text(f"{kind:<11}", style=colour(decision.action or decision.kind)),
        Text(f"{decision.reason}{by}"),
    )
