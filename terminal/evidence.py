"""What is seen of the arms, and how far the evidence is: bars towards their limits. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from control.picture import Arm, Picture
from domain.evidence.looks import Arm as Sample
from domain.evidence.weighing import strength
from domain.guardrail import Role
from domain.hindsight.explanation import Explanation, Grounds
from domain.stats.intervals import rate_interval
from terminal.explained import split
from terminal.palette import bar, colour, rows, words

WIDTH = 20  # characters of an evidence bar
CLOSE = 0.5  # of the way to a rollback, from which a bar is yellow


def arms(picture: Picture) -> Iterator[tuple[str, Text]]:
    """Yield what each version did, and once it was judged its rate per user, with an interval."""
    for arm in picture.arms:
        yield arm.role, Text(f"{arm.version:<8} {_seen(arm)}{_of(arm)}")
        if told := _per_user(picture, arm):
            yield "", Text(f"{'':<8} {told}", style="dim")


def guardrails(picture: Picture) -> Sequence[RenderableType]:
    """Return each guardrail with a bar of its evidence and what it still needs; a blank before."""
    parts: list[RenderableType] = []
    for prompt, grounds in picture.grounds.items():
        of = f" of {prompt}" if len(picture.grounds) > 1 else ""
        title = f"evidence of harm{of}, as of check {grounds.number} (stage {grounds.stage})"
        table = rows()
        for name, value in _guardrails(grounds):
            table.add_row(name, value)
        parts += ["", Text(title, style="bold"), table]
    return parts


def meter(log_e: float, enough: float) -> Text:
    """Return a bar of evidence on its way to `enough`, both natural logarithms, and in numbers."""
    share = min(max(log_e / enough, 0.0), 1.0)
    style = "red" if share >= 1 else "yellow" if share >= CLOSE else "green"
    drawn = bar(100 * share, WIDTH)
    return Text.assemble((drawn, style), f" {strength(log_e)} of {strength(enough)}")


def _guardrails(grounds: Grounds) -> Iterable[tuple[str, Text]]:
    acting = [one for one in grounds.guardrails if one.alpha]
    if len(acting) > 1:
        yield "together", meter(grounds.log_e, grounds.enough)
    for one in grounds.guardrails:
        yield one.guardrail, _standing(one)
        yield "", Text(_compared(one), style="dim")
        for needed in _needs(one):
            yield "", Text(needed, style="dim")
    if grounds.split.mismatched:
        yield "split", split(grounds.split)


def _standing(one: Explanation) -> Text:
    """Return the bar, where there is evidence, and what can be said."""
    role = "" if one.role is Role.GUARDRAIL else f" ({one.role.value})"
    said = Text.assemble((words(one.standing), colour(one.standing)), role)
    if one.dry_run:
        said.append(" (dry run)")
    if one.sure is None:
        return said
    return Text.assemble(meter(one.sure.harm, one.sure.enough), "  ", said)


def _compared(one: Explanation) -> str:
    """Return what was seen of both; of rates, how much they differ at all looks at once."""
    if not (one.treatment.n and one.control.n):
        return one.said
    if one.interval is None:
        return f"{_number(one, one.treatment)} against {_number(one, one.control)}"
    points = 100 * (one.treatment.mean - one.control.mean)
    low, high = (100 * end for end in one.interval)
    rates = f"{one.treatment.mean:.1%} against {one.control.mean:.1%}"
    return f"{rates}: {points:+.1f} points ({low:+.1f} to {high:+.1f})"


def _number(one: Explanation, seen: Sample) -> str:
    tail = f" (p95 {seen.p95:.3g})" if seen.p95 is not None else ""
    return f"{seen.mean:.3g}{tail} of {seen.n:,} {one.unit}"


def _needs(one: Explanation) -> Iterator[str]:
    """Yield what an answer would take, where it takes something."""
    if not one.to_roll_back.startswith("never"):
        yield f"to roll back: {one.to_roll_back}"
    if not one.to_go_on.startswith("nothing"):
        yield f"to go on: {one.to_go_on}"


def _seen(arm: Arm) -> str:
    return f"{arm.rate:7.1%} of {arm.events:,} events" if arm.events else "no events yet"


def _of(arm: Arm) -> str:
    return f" of {arm.prompt}" if arm.prompt else ""


def _per_user(picture: Picture, arm: Arm) -> str:
    """Return the rate that is judged, with its interval for all looks at once."""
    grounds = _grounds_of(picture, arm)
    if grounds is None:
        return ""
    for one in grounds.guardrails:
        seen = one.treatment if arm.role == "candidate" else one.control
        if one.interval is not None and one.metric == "success" and seen.n:
            good = round(seen.mean * seen.n)
            low, high = rate_interval(good, seen.n, alpha=grounds.alpha)
            return f"{seen.mean:7.1%} of {seen.n:,} {one.unit} ({low:.1%} to {high:.1%})"
    return ""


def _grounds_of(picture: Picture, arm: Arm) -> Grounds | None:
    """Return what its prompt was judged on in the present stage; what is over is counted whole."""
    found = picture.grounds.get(arm.prompt or picture.prompt)
    if found is None or picture.ended or found.stage != picture.progress.stage:
        return None
    return found
