"""What a report says of an experiment."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from domain.database import Database
from domain.duration import spell
from domain.notifications.notice import link_to
from domain.trials.findings import Report as Look
from domain.trials.findings import Trial, TrialLine, TrialStatus
from domain.trials.manager import TrialManager
from domain.versions import VersionManager
from pictures import album
from reports import timeline
from reports.facts import ExperimentReport, VersionFacts
from reports.illustrated import RELEASE, Illustrated
from reports.lasting import whole
from reports.provenance import facts_of

MOST_LINES = 5_000  # of a journal


class ExperimentReports:
    """Gathers them."""

    def __init__(self, storage: Database, *, ui: str, namespace: str) -> None:
        self._trials = TrialManager(storage)
        self._versions = VersionManager(storage)
        self._ui, self._namespace = ui, namespace

    async def report(self, trial: Trial) -> Illustrated:
        """Report an experiment."""
        now = datetime.now(UTC)
        lines = await self._trials.lines(trial.id, limit=MOST_LINES)
        versions = [await self._version(trial, arm) for arm in trial.plan.arms]
        link = link_to(self._ui, self._namespace, workflow_id=trial.workflow_id)
        report = _report(trial, lines, now=now).model_copy(
            update={"versions": tuple(versions), "link": link}
        )
        until = None if trial.concluded_at else now
        plates = await asyncio.to_thread(album.of_trial, trial, lines, until=until)
        return Illustrated(report, {trial.prompt: plates})

    async def _version(self, trial: Trial, arm: str) -> VersionFacts:
        found = await self._versions.get_version(trial.name, trial.prompt_type, arm)
        role = "control" if arm == trial.plan.baseline else "treatment"
        return facts_of(found, role=role, number=arm)


def _report(trial: Trial, lines: Sequence[TrialLine], *, now: datetime) -> ExperimentReport:
    told, seen = tuple(timeline.trial_lines(lines)), album.latest(lines) or Look()
    found = trial.conclusion
    return ExperimentReport(
        rampart=RELEASE,
        made_at=now,
        id=trial.id,
        prompt=trial.prompt,
        title=f"{trial.prompt}: {', '.join(trial.plan.arms)}",
        status=trial.status.value,
        ended=trial.concluded_at is not None,
        finding=_finding(trial, now=now),
        because=found.why if found else seen.said if seen.arms else "",
        by=found.by if found else "",
        asked_by=trial.by,
        asked_for=trial.reason,
        opened_at=trial.opened_at,
        concluded_at=trial.concluded_at,
        workflow_id=trial.workflow_id,
        timeline=told,
        whole=len(lines) < MOST_LINES,
        deeds=timeline.deeds(told),
        plan=trial.plan.model_dump(mode="json"),
        again=(f"rampart experiment journal {trial.prompt}",),
        control=trial.plan.baseline,
        goal=trial.plan.goal,
        winner=found.winner if found else None,
        standing=seen.arms,
        results=found.arms if found else (),
        mismatch=found.mismatch if found else seen.mismatch,
    )


def _finding(trial: Trial, *, now: datetime) -> str:
    lasted = spell(whole((trial.concluded_at or now) - trial.opened_at))
    if trial.conclusion is not None:
        return f"After {lasted}: {trial.conclusion.finding}."
    if trial.status is TrialStatus.LIVE:
        return f"It is under way for {lasted}; its tests are asked once, at its end."
    return f"It was ended after {lasted} before its tests were asked."
