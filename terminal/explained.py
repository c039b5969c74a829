"""The grounds of decisions as people see them in a terminal. Pure, as `screen` is."""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from domain.evidence.looks import METHOD, Arm
from domain.evidence.weighing import strength
from domain.guardrail import GuardrailKind, Role
from domain.hindsight.counterfactual import Course, Moment, Reconsidered, WhatIf
from domain.hindsight.explanation import Explanation, Grounds, Split
from domain.hindsight.replay import Difference
from domain.judge import Verdict
from domain.plan import RolloutPlan
from domain.record import Rollout
from terminal.palette import colour, rows, words

SHOWN = 20  # differences; --json shows all


def grounds(rollout: Rollout, found: Grounds) -> RenderableType:
    """Return what a check rests on: the whole, then each guardrail, then the split of users."""
    table = rows()
    table.add_row("check", f"{found.number} at {_at(found.at)}, {_stage(found)}")
    verdict = words(found.action)
    table.add_row("verdict", Text.assemble((verdict, colour(found.action)), f": {found.reason}"))
    if any(guardrail.alpha for guardrail in found.guardrails):
        likely = f"{strength(found.log_e)}, needs {strength(found.enough)} to roll back"
        table.add_row("harm", f"{likely} (all guardrails together, alpha {found.alpha:g})")
    if found.guilty:
        table.add_row("named", ", ".join(found.guilty))
    parts: list[RenderableType] = [headline(rollout), "", table]
    for guardrail in found.guardrails:
        parts += [
            "",
            _title(guardrail),
            Padding(_guardrail(rollout, guardrail, found), (0, 0, 0, 2)),
        ]
    table = rows()
    table.add_row("split", split(found.split))
    return Group(*parts, "", table)


def replayed(
    rollout: Rollout, found: Sequence[Difference], *, checks: int, blank: int
) -> RenderableType:
    """Return how a replay came out.

    Args:
        rollout: Whose.
        found: What differs.
        checks: How many verdicts were made again.
        blank: How many before them kept no evidence.
    """
    differing = len({difference.number for difference in found})
    said = f"{differing} of them differ" if found else "no difference"
    style = "red" if found else "green"
    made = f"{checks} {_plural('verdict', checks)} made again from the journal by {METHOD}: "
    parts: list[RenderableType] = [headline(rollout), Text.assemble(made, (said, style))]
    if blank:
        parts.append(f"{blank} {_plural('check', blank)} of rampart 0.1 before them kept nothing")
    for difference in found[:SHOWN]:
        where = f"check {difference.number} at {_at(difference.at)}: {difference.what}"
        table = rows()
        table.add_row("recorded", Text(difference.recorded))
        table.add_row("recomputed", Text(difference.recomputed))
        parts += ["", Text(where), Padding(table, (0, 0, 0, 2))]
    if more := len(found[SHOWN:]):
        parts += ["", f"and {more} more: --json shows all"]
    return Group(*parts)


def what_if(rollout: Rollout, other: RolloutPlan, found: WhatIf) -> RenderableType:
    """Return two plans side by side, on the same looks."""
    names = (f"as it was ({rollout.plan.name})", f"what if ({other.name})")
    parts: list[RenderableType] = [headline(rollout), "", _courses(names, found)]
    if found.first:
        first = found.first
        table = rows()
        table.add_row(names[0], _told(first.recorded))
        table.add_row(names[1], _told(first.other))
        title = f"first difference: check {first.number} at {_at(first.at)}, {_stage(first)}"
        parts += ["", Text(title, style="bold"), Padding(table, (0, 0, 0, 2))]
    else:
        parts += ["", "no check would have been decided otherwise"]
    return Group(*parts, "", *(Text(f"note: {note}") for note in found.notes))


def headline(rollout: Rollout) -> Text:
    """Return `greeting.system 1.0.0 → 1.1.0 rolled back`, and the id."""
    state = rollout.status.value
    change = f"{rollout.baseline} → {rollout.candidate} "
    return Text.assemble(
        (f"{rollout.prompt} ", "bold"), change, (words(state), colour(state)), f"  {rollout.id}"
    )


def _title(shown: Explanation) -> Text:
    """Return `success: harmed (guardrail, evidence, alpha 0.05)`."""
    spends = f", alpha {shown.alpha:.3g}" if shown.alpha else ""
    dry = ", dry run" if shown.dry_run else ""
    kind = shown.kind.value
    standing = (words(shown.standing), colour(shown.standing))
    role = f" ({shown.role.value}, {kind}{spends}{dry})"
    return Text.assemble((f"{shown.guardrail}: ", "bold"), standing, role)


def _guardrail(rollout: Rollout, shown: Explanation, found: Grounds) -> Table:
    table = rows()
    table.add_row("seen", f"{_arm(shown, shown.treatment)} on {rollout.candidate}")
    table.add_row("", f"{_arm(shown, shown.control)} on {rollout.baseline}")
    if shown.interval:
        low, high = (100 * end for end in shown.interval)
        points = 100 * (shown.treatment.mean - shown.control.mean)
        between = (
            f"{low:+.1f} to {high:+.1f} at {100 * (1 - found.alpha):g} %, for all looks at once"
        )
        table.add_row("difference", f"{points:+.1f} points ({between})")
    for name, said in _beyond(shown):
        table.add_row(name, said)
    for name, said in _how_sure(shown):
        table.add_row(name, said)
    table.add_row("to roll back", shown.to_roll_back)
    table.add_row("to go on", shown.to_go_on)
    return table


def _arm(shown: Explanation, arm: Arm) -> str:
    if not arm.n:
        return f"no {shown.unit} in this stage"
    if shown.metric == "success":
        return f"{arm.mean:.1%} of {arm.n:,} {shown.unit}"
    tail = [(f"p{q}", value) for q, value in ((50, arm.p50), (95, arm.p95), (99, arm.p99))]
    quantiles = ", ".join(f"{name} {value:.4g}" for name, value in tail if value is not None)
    return f"mean {arm.mean:.4g}, {quantiles} of {arm.n:,} {shown.unit}"


def _beyond(shown: Explanation) -> Iterator[tuple[str, str]]:
    """Tell of each threshold how much lies on its wrong side."""
    wrong = "at most" if shown.higher_is_better else "above"
    for number, one in enumerate(shown.beyond):
        shares = " against ".join(
            "nobody" if share is None else f"{share:.1%}" for share in (one.treatment, one.control)
        )
        odds = f", evidence {strength(one.log_e)}" if one.log_e is not None else ""
        yield ("" if number else "tail"), f"{wrong} {one.threshold:.4g}: {shares}{odds}"
    if shown.forgiven and shown.beyond:
        yield "", f"the candidate is forgiven {shown.forgiven:.0%}"


def _how_sure(shown: Explanation) -> Iterator[tuple[str, str]]:
    sure = shown.sure
    if sure is None:
        yield "how sure", "no evidence is asked for: the rate counts as it is, chance included"
        return
    told = f"evidence {strength(sure.harm)}, p {sure.p_value:.2g}"
    highest = f" (highest so far {strength(sure.peak)})" if sure.peak > sure.harm + 0.005 else ""
    yield "harm", f"{told}{highest}"
    if shown.kind is GuardrailKind.EVIDENCE or shown.role is not Role.INFO:
        yield "safety", f"evidence {strength(sure.safe)} of {strength(sure.enough_safe)}"
    if shown.metric != "success" and shown.kind is GuardrailKind.EVIDENCE:
        yield "mean", f"evidence {strength(sure.mean)} that it has worsened (it only advises)"


def split(split: Split) -> Text:
    """Return whether users are split as they should be."""
    if not split.recorded:
        return Text("not recorded: nobody told who was served")
    got = split.treatment / (split.treatment + split.control)
    seen = (
        f"{got:.1%} of {split.treatment + split.control:,} users got the candidate,"
        f" {split.expected:.1%} should; evidence of a wrong split {strength(split.log_e)},"
        f" needs {math.exp(split.enough):g}"
    )
    said, style = ("mismatch", "red") if split.mismatched else ("as it should be", "green")
    return Text.assemble((said, style), f": {seen}")


def _courses(names: tuple[str, str], found: WhatIf) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("", *names):
        table.add_column(name, overflow="fold")
    both = (found.recorded, found.other)
    table.add_row("rolled back", *(_when(course.rolled_back) for course in both))
    stages = {moment.stage: moment.percent for moment in found.checks}
    for stage, percent in sorted(stages.items()):
        table.add_row(f"free to leave {percent:g} %", *(_free(course, stage) for course in both))
    for checks, actions in _runs(found.checks):
        table.add_row(checks, *actions)
    return table


def _runs(checks: Iterable[Reconsidered]) -> Iterator[tuple[str, list[Text]]]:
    """Yield checks in a row that were decided alike."""
    for actions, group in groupby(checks, key=lambda c: (c.recorded.action, c.other.action)):
        numbers = [check.number for check in group]
        few = f"check {numbers[0]}"
        many = f"checks {numbers[0]} to {numbers[-1]}"
        said = [Text(words(action), style=colour(action)) for action in actions]
        yield (few if len(numbers) == 1 else many), said


def _free(course: Course, stage: int) -> str:
    found = next((moment for moment in course.free_to_go_on if moment.stage == stage), None)
    return _when(found)


def _when(moment: Moment | None) -> str:
    if moment is None:
        return "never"
    return f"check {moment.number}, {moment.at.astimezone(UTC):%m-%d %H:%M:%S}"


def _told(verdict: Verdict) -> Text:
    action = verdict.action
    return Text.assemble((words(action), colour(action)), f": {verdict.reason}")


def _stage(found: Grounds | Reconsidered) -> str:
    return f"stage {found.stage} ({found.percent:g} %)"


def _at(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
