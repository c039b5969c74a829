"""What a report says of a rollout, or of a bundle of them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.amendment import plan_at
from domain.cells import Cell, CellKey
from domain.database import Database
from domain.duration import spell
from domain.errors import NotFound
from domain.evidence.looks import Arm, Judged
from domain.hindsight.explanation import Grounds, explain
from domain.metrics import MetricsCollector
from domain.notifications.notice import link_to
from domain.record import Decision, Kind, Rollout, RolloutStatus
from domain.rollouts import RolloutManager
from domain.versions import VersionManager
from pictures import album
from pictures.album import Plate
from reports import timeline
from reports.facts import Glance, Look, Part, RolloutReport, VersionFacts
from reports.illustrated import RELEASE, Illustrated
from reports.lasting import whole
from reports.provenance import facts_of

MOST_LINES = 20_000  # of a journal
SHOWN = 3  # of a bundle's prompts, in its title
MOST_CHECKS = 400  # that are drawn and told one by one
BACK = (Kind.ROLLING_BACK, Kind.ROLLED_BACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Member:
    """A rollout with all that is known of it; `note` says why there are no checks."""

    rollout: Rollout
    checks: Sequence[Judged]
    grounds: Grounds | None
    observed: Mapping[CellKey, Cell]
    versions: tuple[VersionFacts, ...]
    note: str


class RolloutReports:
    """Gathers them."""

    def __init__(self, storage: Database, *, ui: str, namespace: str) -> None:
        self._rollouts = RolloutManager(storage)
        self._versions = VersionManager(storage)
        self._metrics = MetricsCollector(storage)
        self._ui, self._namespace = ui, namespace

    async def report(self, rollout: Rollout) -> Illustrated:
        """Report a rollout; of a bundle, all that are in it."""
        now = datetime.now(UTC)
        decisions = await self._rollouts.decisions(rollout.id, limit=MOST_LINES)
        ids = [member.rollout_id for member in rollout.bundle] or [rollout.id]
        members = [await self._member(await self._rollouts.get(each)) for each in ids]
        link = link_to(self._ui, self._namespace, workflow_id=rollout.workflow_id)
        report = _report(rollout, decisions, now=now).model_copy(
            update={"parts": tuple(map(_part, members)), "link": link}
        )
        plates = await asyncio.to_thread(_plates, members, decisions, now)
        return Illustrated(report, plates)

    async def _member(self, rollout: Rollout) -> _Member:
        checks, note = await self._checks(rollout)
        amended = await self._rollouts.amendments(rollout.id)
        grounds = None
        if checks:
            plan = plan_at(rollout.plan, amended, checks[-1].number)
            grounds = explain(rollout.judging(plan), checks[-1])
        ids = [rollout.candidate_id, rollout.baseline_id]
        epoch = checks[-1].look.epoch if checks else rollout.epoch
        return _Member(
            rollout=rollout,
            checks=checks,
            grounds=grounds,
            observed=await self._metrics.read_observed(
                ids, experiment_id=rollout.experiment_id, epoch=epoch
            ),
            versions=(
                await self._version("candidate", rollout.candidate, rollout.candidate_id),
                await self._version("baseline", rollout.baseline, rollout.baseline_id),
            ),
            note=note,
        )

    async def _checks(self, rollout: Rollout) -> tuple[Sequence[Judged], str]:
        """Return the checks; where there are none, why."""
        try:
            numbers = await self._rollouts.even_checks(rollout.id, most=MOST_CHECKS)
            checks = await self._rollouts.checks(rollout.id, numbers=numbers)
        except NotFound as error:  # retention deleted what they rested on
            return (), str(error)
        return checks, "" if checks else "nothing was checked, or the checks kept no evidence"

    async def _version(self, role: str, number: str, version_id: str) -> VersionFacts:
        found = await self._versions.get_version_by_id(version_id)
        return facts_of(found, role=role, number=number, id=version_id)


def _report(rollout: Rollout, decisions: Sequence[Decision], *, now: datetime) -> RolloutReport:
    told, why = tuple(timeline.lines(decisions)), _because(rollout, decisions)
    return RolloutReport(
        rampart=RELEASE,
        made_at=now,
        id=rollout.id,
        prompt=rollout.prompt,
        title=_title(rollout),
        status=rollout.status.value,
        ended=rollout.concluded_at is not None,
        finding=_finding(rollout, now=now),
        because=why.reason if why else "",
        by=why.by if why else "",
        asked_by=rollout.by,
        asked_for=rollout.reason,
        opened_at=rollout.opened_at,
        concluded_at=rollout.concluded_at,
        workflow_id=rollout.workflow_id,
        timeline=told,
        whole=bool(decisions) and decisions[0].kind is Kind.OPENED,
        deeds=timeline.deeds(told),
        plan=rollout.plan.model_dump(mode="json"),
        again=tuple(f"rampart {verb} {rollout.id}" for verb in ("replay", "explain")),
        baseline=rollout.baseline,
        candidate=rollout.candidate,
        stages=tuple(timeline.stages(rollout, decisions)),
    )


def _title(rollout: Rollout) -> str:
    changes = [str(member) for member in rollout.bundle[:SHOWN]]
    more = len(rollout.bundle) - SHOWN
    told = ", ".join(changes) or f"{rollout.prompt} {rollout.baseline} → {rollout.candidate}"
    return f"{told} and {more} more" if more > 0 else told


def _finding(rollout: Rollout, *, now: datetime) -> str:
    lasted = spell(whole((rollout.concluded_at or now) - rollout.opened_at))
    where = f"stage {rollout.stage} of {len(rollout.plan.stages)}"
    match rollout.status:
        case RolloutStatus.PROMOTED:
            return f"{rollout.candidate} was promoted, {lasted} after the rollout was opened."
        case RolloutStatus.ROLLED_BACK:
            return f"It was rolled back to {rollout.baseline} in {where}, after {lasted}."
        case RolloutStatus.LIVE:
            return f"It is under way for {lasted}, in {where}."
        case _:
            return f"It is {rollout.status.value.replace('_', ' ')}: not over yet, after {lasted}."


def _because(rollout: Rollout, decisions: Sequence[Decision]) -> Decision | None:
    """Return the line that says why it stands as it stands."""
    back = [line for line in decisions if line.kind in BACK]
    promoted = [line for line in decisions if line.kind is Kind.PROMOTED and line.by]
    judged = [line for line in decisions if line.action is not None]
    if back:
        return back[0]
    if rollout.status is RolloutStatus.PROMOTED and promoted:
        return promoted[0]
    return judged[-1] if judged else None


def _part(member: _Member) -> Part:
    rollout = member.rollout
    return Part(
        prompt=rollout.prompt,
        rollout_id=rollout.id,
        status=rollout.status.value,
        versions=member.versions,
        grounds=member.grounds,
        note=member.note,
        looks=tuple(map(_look, member.checks)),
    )


def _look(check: Judged) -> Look:
    return Look(
        number=check.number,
        at=check.look.at,
        stage=check.stage,
        percent=check.percent,
        action=check.verdict.action,
        log_e=check.evidence.log_e,
        guardrails=tuple(
            Glance(
                guardrail=reading.guardrail,
                candidate=sample.treatment if not sample.error else Arm(),
                baseline=sample.control if not sample.error else Arm(),
                log_e=reading.log_e,
            )
            for reading, sample in zip(check.verdict.readings, check.look.samples, strict=False)
        ),
    )


def _plates(
    members: Sequence[_Member], decisions: Sequence[Decision], now: datetime
) -> dict[str, list[Plate]]:
    return {
        member.rollout.prompt: album.of_rollout(
            member.rollout,
            decisions,
            member.checks,
            observed=member.observed,
            until=None if member.rollout.concluded_at else now,
        )
        for member in members
    }
