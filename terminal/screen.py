"""What people see in a terminal. Pure: values in, something for Rich to draw out."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from control.picture import Arm, Picture, agreement
from control.rollouts import Description
from domain.duration import spell
from domain.judge import Action, Standing
from domain.prompts import Json
from domain.record import Decision, Kind
from workflows.progress import stage_of
from workflows.state import Phase

BAR = 30  # characters
TAIL = 5  # lines of the journal under a live picture
NO_WORKER = "no worker answers: start one with `rampart worker`; nothing moves until then"

# Colour repeats what a word beside it says; nothing is told by colour alone.
COLOURS = {
    Phase.PROMOTED.value: "green",
    Phase.ROLLED_BACK.value: "red",
    Phase.ROLLING_BACK.value: "red",
    Phase.ROLLBACK_INCOMPLETE.value: "red",
    Phase.PAUSED.value: "yellow",
    Phase.WAITING_FOR_APPROVAL.value: "yellow",
    Phase.WAITING_FOR_WINDOW.value: "yellow",
    "failed": "red",
    "terminated": "red",
    Action.ADVANCE.value: "green",
    Action.ROLL_BACK.value: "red",
    Standing.SAFE.value: "green",
    Standing.NOT_HARMED.value: "green",
    Standing.HARMED.value: "red",
    Standing.ERROR.value: "yellow",
}


def draw(picture: Picture, *, news: Sequence[str] = ()) -> RenderableType:
    """Return the whole picture of a rollout; `news` are lines about the stack beneath it."""
    table = rows()
    for name, value in _facts(picture):
        table.add_row(name, value)
    parts: list[RenderableType] = [headline(picture), "", table]
    if picture.decisions:
        parts += ["", _lines(_latest(picture.decisions), date=False)]
    if news:
        parts += ["", *(Text(f"! {line}", style="yellow") for line in news)]
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
        for name, value in _end(picture):
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
    for name, value in _obstacles(picture):
        table.add_row(name, value)
    return Group(headline(picture), "", table)


def ending(picture: Picture) -> str:
    """Return how a rollout ended: `1.2.0 was rolled back at 10 % in 6s (success: …)`."""
    shown, told = picture.progress, picture.description
    took = told.closed_at - told.started_at if told.closed_at else timedelta(0)
    reached = [f"{d.percent:g} %" for d in picture.decisions if d.kind is Kind.RAMPED]
    seconds = f"in {spell(_rounded(took))}"
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
    return _lines(decisions, date=True)


def line(decision: Decision) -> str:
    """Return one line of a journal, for where there is no terminal."""
    return " ".join(cell.plain for cell in _cells(decision, date=False))


def standing(picture: Picture) -> str:
    """Return in one line where a rollout stands, for where there is no terminal."""
    obstacles = "; ".join(str(value) for _, value in _obstacles(picture))
    waits = "" if picture.ended else f", waits for {picture.progress.waiting_for}"
    blocked = f"; blocked: {obstacles}" if obstacles else ""
    return f"{headline(picture).plain}{waits}{blocked}"


def listing(rollouts: Iterable[Description]) -> Table:
    """Return rollouts as a table, one line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("prompt", "change", "state", "at"):
        table.add_column(name, no_wrap=name in {"prompt", "at"})
    table.add_column("began (UTC)", overflow="fold")
    for found in rollouts:
        state = state_of(found)
        table.add_row(
            str(found.memo.get("prompt", found.workflow_id.removeprefix("rollout/"))),
            str(found.memo.get("change", "")),
            Text(words(state), style=colour(state)),
            f"{found.memo['percent']:g} %" if "percent" in found.memo else "",
            f"{found.started_at:%Y-%m-%d %H:%M}",
        )
    return table


def listed(found: Description) -> Json:
    """Return a listed rollout as plain JSON."""
    return dict(found.memo) | {
        "workflow_id": found.workflow_id,
        "run_id": found.run_id,
        "state": state_of(found),
        "status": found.status,
        "started_at": found.started_at.isoformat(),
        "closed_at": found.closed_at.isoformat() if found.closed_at else None,
    }


def state_of(found: Description) -> str:
    """Return what a listed rollout does, or how it ended."""
    live_or_done = found.status in {"running", "completed"}
    return str(found.memo.get("phase", found.status)) if live_or_done else found.status


def instant(when: datetime, *, now: datetime) -> str:
    """Return an instant, absolute and from now: `2026-01-31 12:00:00 UTC (in 4h)`."""
    away = when - now
    near = _rounded(abs(away))
    told = f"in {spell(near)}" if away > timedelta(0) else f"{spell(near)} ago"
    if not near:
        told = "now"
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({told})"


def bar(percent: float, width: int = BAR) -> str:
    """Return a bar of `width` characters; any share at all shows."""
    filled = max(round(percent / 100 * width), 1 if percent > 0 else 0)
    return "█" * filled + "░" * (width - filled)


def words(name: str) -> str:
    """Return `rolled back` for `rolled_back`."""
    return name.replace("_", " ")


def colour(name: str) -> str:
    """Return the colour that goes with a phase, a verdict or a standing."""
    return COLOURS.get(name, "cyan")


def rows() -> Table:
    """Return an empty table of names and what there is to say of them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _facts(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    shown = picture.progress
    if shown.candidate:
        yield "ramp", Text(f"{bar(shown.percent)} {shown.percent:g} %", style=colour(picture.phase))
        yield "stage", Text(stage_of(shown))
        yield from _clock(picture)
        for arm in picture.arms:
            yield arm.role, _arm(arm)
    if picture.ended:
        yield from _end(picture)
    else:
        yield "verdict", _verdict(picture)
        yield "reason", Text(shown.verdict.reason)
        yield "waits for", Text(shown.waiting_for)
        yield from _obstacles(picture)
    if picture.link:
        yield "Temporal", Text(picture.link)


def _clock(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    """Show how much of a bake is over; nothing while its clock stands."""
    shown, rollout = picture.progress, picture.rollout
    if rollout is None or shown.due_at is None or shown.stage < 1:
        return
    final = shown.stage > len(rollout.plan.stages)
    bake = rollout.plan.final_bake if final else rollout.plan.stages[shown.stage - 1].bake
    done = min(max(bake - (shown.due_at - picture.at), timedelta(0)), bake)
    percent = 100 * (done / bake) if bake else 100.0
    yield "clock", f"{bar(percent)} {spell(_rounded(done))} of {spell(bake)}"


def _arm(arm: Arm) -> Text:
    seen = f"{arm.rate:7.1%} of {arm.events:,} events" if arm.events else "no events yet"
    return Text(f"{arm.version:<8} {seen}{f' of {arm.prompt}' if arm.prompt else ''}")


def _verdict(picture: Picture) -> Text:
    action = picture.progress.verdict.action.value
    told = Text(words(action), style=colour(action))
    return Text.assemble(told, f" (check {picture.progress.checks})")


def _end(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    told = picture.description
    yield "ended", Text(words(picture.phase), style=colour(picture.phase))
    if told.closed_at:
        yield "when", instant(told.closed_at, now=picture.at)
        yield "it took", spell(_rounded(told.closed_at - told.started_at))
    if told.outcome and told.outcome.by:
        yield "by", Text(told.outcome.by)
    yield "reason", Text(picture.reason)


def _obstacles(picture: Picture) -> Iterable[tuple[str, RenderableType]]:
    if not picture.answers:
        yield "blocked", Text(NO_WORKER, style="red")
    for stuck in picture.description.stuck:
        yield "blocked", Text(stuck, style="red")
    if picture.progress.refused:
        yield "note", Text(picture.progress.refused, style="yellow")


def _latest(decisions: Sequence[Decision]) -> Sequence[Decision]:
    """Return the last lines; of checks in a row that agree, the latest."""
    kept = [
        decision
        for decision, following in zip(decisions, [*decisions[1:], None], strict=True)
        if following is None or agreement(decision) != agreement(following)
    ]
    return kept[-TAIL:]


def _lines(decisions: Iterable[Decision], *, date: bool) -> Table:
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


def _rounded(duration: timedelta) -> timedelta:
    """Leave out what nobody reads: seconds of hours, milliseconds of seconds."""
    grain = 60 if duration >= timedelta(hours=1) else 1
    return timedelta(seconds=round(duration.total_seconds() / grain) * grain)
