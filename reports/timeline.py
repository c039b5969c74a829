"""A journal as people tell it: checks in a row as one line, the stages, who did what."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from domain.record import Decision, Kind, Rollout
from domain.trials.findings import Step, TrialLine
from reports.facts import Deed, Line, Stage

ENDS = (Kind.COMPLETED, Kind.ROLLING_BACK, Kind.ROLLED_BACK)


def lines(decisions: Sequence[Decision]) -> Iterator[Line]:
    """Yield a rollout's journal, checks that were decided alike as one."""
    for action, group in groupby(decisions, key=_decided):
        found = [*group]
        if action is None:
            yield from (_line(line) for line in found)
            continue
        first, last = found[0], found[-1]
        what = last.action.value if last.action else ""
        told = {"since": first.at, "what": what, "checks": len(found)}
        yield _line(last).model_copy(update=told)


def trial_lines(found: Sequence[TrialLine]) -> Iterator[Line]:
    """Yield an experiment's journal, looks in a row as one."""
    for checked, group in groupby(found, key=lambda line: line.step is Step.CHECKED):
        told = [
            Line(since=line.at, until=line.at, what=line.step.value, by=line.by, reason=line.reason)
            for line in group
        ]
        if checked:
            update = {"since": told[0].since, "checks": len(told)}
            told = [told[-1].model_copy(update=update)]
        yield from told


def stages(rollout: Rollout, decisions: Sequence[Decision]) -> Iterator[Stage]:
    """Yield the stages it came to."""
    begun = [line for line in decisions if line.kind is Kind.RAMPED]
    end = next((line.at for line in decisions if line.kind in ENDS), rollout.concluded_at)
    untils = [*(line.at for line in begun[1:]), end]
    for line, until in zip(begun, untils, strict=bool(begun)):
        yield Stage(
            number=line.stage,
            percent=min(line.percent, 100 - rollout.plan.holdback),
            since=line.at,
            until=until,
            checks=sum(one.stage == line.stage and one.action is not None for one in decisions),
        )


def deeds(told: Iterable[Line]) -> tuple[Deed, ...]:
    """Return what everybody did who is named, in the order in which they came."""
    found: dict[tuple[str, str], Deed] = {}
    for line in told:
        if line.by:
            times = found[line.by, line.what].times if (line.by, line.what) in found else 0
            deed = Deed(by=line.by, what=line.what, times=times + 1, latest=line.until)
            found[line.by, line.what] = deed
    return tuple(found.values())


def _decided(line: Decision) -> tuple[str, int] | None:
    return (line.action.value, line.stage) if line.action else None


def _line(line: Decision) -> Line:
    return Line(
        since=line.at,
        until=line.at,
        what=line.kind.value,
        stage=line.stage,
        percent=line.percent,
        by=line.by,
        reason=line.reason,
    )
